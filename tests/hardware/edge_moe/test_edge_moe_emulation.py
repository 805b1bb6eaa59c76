"""The accelerator's arithmetic: samples of the sheet, plain oracles, and whole networks."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

from hardware.edge_moe import fixed_point as fixed
from hardware.edge_moe.emulation import FixedM3ViT
from hardware.edge_moe.fixed_point import ACTIVATION, STEP, WEIGHT, Format
from searchspaces import NasError, get_space


def draw(*shape, seed=0, scale=1.0):
    return ACTIVATION(torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64) * scale)


@settings(max_examples=200, deadline=None)
@given(x=st.floats(-1e4, 1e4), bits=st.integers(8, 32), integer=st.integers(0, 10))
def test_conversion_truncates_and_wraps_like_an_integer(x, bits, integer):
    integer = min(integer, bits - 1)
    form = Format(bits, integer)
    raw = int(np.floor(x * 2.0**form.fraction)) % 2**bits
    raw -= 2**bits if raw >= 2 ** (bits - 1) else 0
    assert float(form(torch.tensor(x, dtype=torch.float64))) == raw / 2.0**form.fraction


def test_gelu_samples(vectors):
    known = vectors["gelu"]
    x, y = (torch.tensor([s[key] for s in known["samples"]], dtype=torch.float64) for key in ("x", "y"))
    assert (fixed.gelu(ACTIVATION(x)) - y).abs().max() <= known["tolerance_abs"]
    assert len(fixed.gelu_table()) == known["table_entries"]
    grid = ACTIVATION(torch.linspace(-8, 8, 100_001, dtype=torch.float64))
    worst = (fixed.gelu(grid) - F.gelu(grid)).abs().max()
    assert 0.9 * known["max_abs_error_vs_exact"] < worst <= known["max_abs_error_vs_exact"]


def test_softmax_sample(vectors):
    known = vectors["softmax"]
    scores = torch.tensor(known["scores"], dtype=torch.float64)
    largest, total = fixed.softmax_statistics(scores)
    assert float(largest) == known["bias"]
    assert float(total) == pytest.approx(known["sum"], abs=known["tolerance_abs"])
    assert float(ACTIVATION(1 / total)) == pytest.approx(known["recip"], abs=known["tolerance_abs"])
    assert (fixed.softmax(scores) - torch.tensor(known["p"])).abs().max() <= known["tolerance_abs"]


@settings(max_examples=50, deadline=None)
@given(seed=st.integers(0, 2**31), keys=st.integers(1, 80), scale=st.floats(0.01, 50))
def test_one_pass_is_softmax_up_to_rounding(seed, keys, scale):
    scores = draw(3, keys, seed=seed, scale=scale)
    weights = fixed.softmax(scores)
    assert (weights - scores.softmax(-1)).abs().max() < 2e-6 * max(1, keys / 8)
    assert (weights.sum(-1) - 1).abs().max() < 1e-4


def test_products_truncated_one_by_one_or_in_the_mean():
    """A plain loop that truncates every product, against the correction of the sum."""
    x, weight, bias = draw(20, 192), WEIGHT(draw(30, 192, seed=1, scale=0.05)), WEIGHT(draw(30, seed=2, scale=0.1))
    exact = np.floor(x.numpy()[:, None] * weight.numpy() / STEP).sum(-1) * STEP + bias.numpy()
    error = fixed.linear(x, weight, bias).numpy() - exact
    assert np.sqrt((error**2).mean()) < 5e-6
    assert np.abs(np.floor((x @ weight.T + bias).numpy() / STEP) * STEP - exact).mean() > 5 * np.abs(error).mean()


def test_layer_norm_and_attention_are_close_to_floating_point():
    x, weight, bias = draw(4, 10, 64), draw(64, seed=1) + 1, draw(64, seed=2)
    expected = F.layer_norm(x, (64,), weight, bias, 1e-6)
    assert (fixed.layer_norm(x, weight, bias) - expected).abs().max() < 1e-4
    q, k, v = (draw(2, 3, 17, 16, seed=s) for s in (3, 4, 5))
    expected = F.scaled_dot_product_attention(q, k, v)
    assert (fixed.attention(q, k, v) - expected).abs().max() < 1e-4


def test_the_gate_keeps_probabilities_over_all_experts_and_the_first_of_equals():
    logits = ACTIVATION(torch.tensor([[1.0, 3.0, 3.0, -2.0], [0.5, 0.5, 0.5, 0.5]], dtype=torch.float64))
    scores, chosen = fixed.choose_experts(logits, 2)
    assert chosen.tolist() == [[1, 2], [0, 1]]
    assert (scores - logits.softmax(-1).gather(-1, chosen)).abs().max() < 1e-5


@pytest.fixture(scope="module")
def network():
    space = get_space("m3vit_digits")
    rng = np.random.default_rng(3)
    architecture = next(
        a
        for a in (space.sample(rng, image_size=32, in_channels=1, num_classes=10) for _ in range(99))
        if space.network(a).mixtures and len(space.network(a).mixtures) < len(space.network(a).layers)
    )
    torch.manual_seed(0)
    return space.build(architecture).eval()


def test_a_network_computes_nearly_the_same(network):
    mean, std = 0.3, 0.4
    pixels = torch.randint(0, 256, (3, 1, 32, 32), generator=torch.Generator().manual_seed(1)) / 256
    images = (pixels - mean) / std
    emulated = FixedM3ViT(network, [mean], [std])
    with torch.no_grad():
        expected = network.body(images)
        found = emulated.forward_tokens(images)
        assert torch.equal(found, ACTIVATION(found))
        error = (found - expected).square().mean().sqrt() / expected.square().mean().sqrt()
        assert 0 < error < 0.02  # 0.23 % after the first layer in the source; here several, one with experts
        assert emulated(images).shape == (3, 10)
        assert emulated(images).dtype == images.dtype


def test_parameters_that_do_not_fit_move_the_point():
    weights = torch.tensor([0.7, -2.5])
    assert WEIGHT.holding(torch.tensor([1.9, -2.0])) == WEIGHT
    moved = WEIGHT.holding(weights)
    assert moved == Format(16, 3)
    assert (moved(weights) - weights).abs().max() < 2**-moved.fraction
    assert float(WEIGHT(torch.tensor(2.5))) == -1.5


def test_other_networks_are_refused():
    with pytest.raises(NasError, match="takes networks of the space m3vit, not Linear"):
        FixedM3ViT(torch.nn.Linear(2, 2), [0.0], [1.0])
