"""The space of M3ViT's backbone: its networks, the mixture layer against a plain loop, and what goes with it."""

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from evaluators import evaluate, get_metric
from evaluators.supernet import Supernet
from hardware import network_cost
from searchspaces import NasError, get_space
from searchspaces.m3vit.layers import MixtureOfExperts

SPACE, DIGITS, CODESIGN = (get_space(name) for name in ("m3vit", "m3vit_digits", "m3vit_codesign"))
SHIPPED = SPACE.published()["m3vit_tiny_cityscapes"]
SIZES = {"image_size": 32, "in_channels": 1, "num_classes": 10}
MIXED = {
    **{"width": 32, "heads": 2, "depth": 2, "experts": 4, "top_k": 2},
    **{"layer1.ffn": "dense", "layer1.ratio": 2, "layer2.ffn": "moe", "layer2.expert_ratio": 1},
}


def test_the_shipped_network_has_its_published_sizes():
    plan = SPACE.network(SHIPPED)
    assert plan[:6] == (3, 128, 256, 16, 192, 3)
    assert plan.tokens == 129
    assert [layer.hidden for layer in plan.layers] == [768, 384] * 6
    assert {(layer.experts, layer.top_k) for layer in plan.mixtures} == {(16, 2)}
    dense, expert = 192 * 768 * 2 + 768 + 192, 192 * 384 * 2 + 384 + 192
    layers = 12 * (4 * 192 * 192 + 4 * 192 + 4 * 192) + 6 * dense + 6 * (16 * expert + 16 * 192)
    stem, head = 768 * 192 + 192 + 192 + 129 * 192, 2 * 192 + 192 * 19 + 19
    assert network_cost(SHIPPED).params == stem + layers + head
    with torch.no_grad():
        assert SPACE.build(SHIPPED).eval()(torch.zeros(1, 3, 128, 256)).shape == (1, 19)


def test_sizes_are_exact():
    class Little(type(DIGITS)):
        name = "m3vit_little"
        widths, heads, depths, ratios, expert_ratios, experts, top_ks = (
            (32,),
            (1, 2),
            (1, 2),
            (2, 3),
            (1,),
            (2, 4),
            (1,),
        )

    little = Little()
    assert little.size() == len(list(little.enumerate())) == 2 * ((1 * 2 + 2) + ((9 - 4) * 2 + 4))
    assert CODESIGN.size() == SPACE.size() * 4 * 5


def test_networks_without_a_mixture_have_no_experts():
    dense = {"width": 32, "heads": 2, "depth": 2}
    dense |= {f"layer{i}.ffn": "dense" for i in (1, 2)} | {f"layer{i}.ratio": 2 for i in (1, 2)}
    plain = DIGITS.architecture(dense, **SIZES)
    assert plain == DIGITS.architecture({**dense, "experts": 8, "top_k": 2}, **SIZES)
    assert "experts" not in plain.choices
    assert DIGITS.architecture(MIXED, **SIZES).choices["experts"] == 4
    with pytest.raises(NasError, match="the dimension 'experts' is missing"):
        DIGITS.architecture({name: value for name, value in MIXED.items() if name != "experts"}, **SIZES)


def test_a_mixture_is_its_definition():
    """Every token through every expert, and only the chosen ones added, each by its probability over all."""
    torch.manual_seed(0)
    layer = MixtureOfExperts(12, 5, 2, 7).double()
    x = torch.randn(3, 4, 12, dtype=torch.float64, requires_grad=True)
    expected = torch.zeros(3, 4, 12, dtype=torch.float64)
    for image in range(3):
        for token in range(4):
            probabilities = (layer.gate.weight @ x[image, token]).softmax(0)
            for number in probabilities.argsort(descending=True)[:2]:
                expert = layer.experts[number]
                hidden = F.gelu(expert.fc1.weight @ x[image, token] + expert.fc1.bias)
                expected[image, token] = expected[image, token] + probabilities[number] * (
                    expert.fc2.weight @ hidden + expert.fc2.bias
                )
    torch.testing.assert_close(layer(x), expected)
    gate = torch.autograd.grad(expected.square().sum(), layer.gate.weight, retain_graph=True)[0]
    torch.testing.assert_close(torch.autograd.grad(layer(x).square().sum(), layer.gate.weight)[0], gate)


def test_macs_are_those_of_the_experts_a_token_uses():
    def macs(**choices):
        return network_cost(DIGITS.architecture({**MIXED, **choices}, **SIZES)).macs

    tokens, dim = 65, 32
    assert macs(top_k=2) - macs(top_k=1) == tokens * 2 * dim * dim
    assert macs(experts=8) - macs(experts=4) == tokens * dim * 4, "only the gate grows"


def test_images_of_another_shape_are_told():
    square = torch.zeros(1, 3, 128, 128)
    with pytest.raises(NasError, match="images of 128x128 pixels do not fit a network for 128x256; give aspect=1"):
        SPACE.build(SHIPPED)(square)
    assert SPACE.build(SHIPPED.replace(choices={"aspect": 1})).eval()(square).shape == (1, 19)


def test_knobs_are_drawn_like_any_decision():
    rng = np.random.default_rng(0)
    drawn = [CODESIGN.sample(rng) for _ in range(60)]
    drawn += [CODESIGN.mutate(drawn[0], rng), CODESIGN.crossover(drawn[0], drawn[1], rng)]
    assert all(network == CODESIGN.architecture(network.choices) for network in drawn)
    for knob in ("accelerator.tile", "accelerator.queries"):
        assert {network.choices[knob] for network in drawn} == set(CODESIGN._by_name[knob].choices)


def test_knobs_of_the_accelerator_do_not_change_the_network():
    start = {**SHIPPED.choices, "accelerator.tile": 16}
    few, many = (CODESIGN.architecture({**start, "accelerator.queries": n}, image_size=128) for n in (4, 8))
    assert few != many
    assert CODESIGN.parts(few) == CODESIGN.parts(many) == SPACE.parts(SHIPPED.replace(num_classes=1000))


@pytest.mark.parametrize("metric", ["length", "ntk"])
def test_training_free_proxies_see_it(metric):
    network = DIGITS.architecture(MIXED, **SIZES)
    (found,) = evaluate(get_metric(metric, {"repeats": 1}), [network])
    assert found.failure is None
    assert found.value > 0


def test_the_tangent_kernel_is_that_of_its_definition():
    """Tokens of several images meet in the queue of an expert; their gradients must not."""
    from evaluators.proxies.kernel import gram_by_definition, ntk_gram

    torch.manual_seed(0)
    model = DIGITS.build(DIGITS.architecture(MIXED, **SIZES)).eval()
    images = torch.randn(3, 1, 32, 32)
    torch.testing.assert_close(ntk_gram(model, images), gram_by_definition(model, images))


def test_a_subnetwork_shares_the_weights_of_a_larger_one():
    larger = DIGITS.architecture({**MIXED, "width": 64, "experts": 8, "layer2.expert_ratio": 2}, **SIZES)
    smaller = DIGITS.architecture(MIXED, **SIZES)
    torch.manual_seed(0)
    supernet = Supernet(larger).eval()
    images = torch.randn(2, 1, 32, 32)
    torch.testing.assert_close(supernet(images, smaller), supernet.extract(smaller)(images))
    other = DIGITS.architecture({**MIXED, "layer1.ffn": "moe", "layer1.expert_ratio": 1}, **SIZES)
    assert "which the super-network does not hold" in supernet.fits(other)


def test_stages_tell_where_the_experts_are():
    (stage,) = SPACE.stages(SHIPPED)
    assert stage["experts"] == "2 of 16 in layers 2, 4, 6, 8, 10, 12"
    assert (stage["tokens"], stage["dim"], stage["depth"], stage["heads"]) == (129, 192, 12, 3)
    assert "experts" not in SPACE.stages(SPACE.smallest())[0]


def test_mutation_brings_experts_to_life():
    rng = np.random.default_rng(0)
    start = DIGITS.smallest(**SIZES)
    assert "experts" not in start.choices
    found = [DIGITS.mutate(start, rng, 0.5) for _ in range(30)]
    assert any("experts" in network.choices for network in found)
