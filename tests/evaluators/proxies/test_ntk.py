"""The metric `ntk`."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from evaluators import get_metric
from evaluators.metric import measure_once
from evaluators.proxies import initialise
from evaluators.proxies.gradients import linear_gradients, linear_gram, row_gram, token_gram
from evaluators.proxies.initialise import draw_network, generator
from evaluators.proxies.kernel import gram_by_definition, ntk_gram
from evaluators.proxies.ntk import NtkSettings
from evaluators.proxies.series import choose_order, feature_count, monomials, series_attention
from searchspaces import NasError, get_space
from searchspaces.asvit import read_genotype

SEED = get_space("asvit").published()["asvit_seed"].replace(image_size=64)


def normal(seed: int, *shape: int, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def condition(gram: Tensor) -> float:
    eigenvalues = torch.linalg.eigvalsh(gram)
    return (eigenvalues[-1] / eigenvalues[0]).item()


@pytest.mark.parametrize("keep_norms", [False, True])
@pytest.mark.parametrize("genotype", ["8,2,3|4,1,2|4,1,4|4,1,6|16", "5,8,2,2|2,2,2,1|3,2,2,2|3,1,2,1|32,12"])
def test_gram_equals_the_gradients_of_every_image(genotype: str, keep_norms: bool) -> None:
    architecture = get_space("asvit").architecture(read_genotype(genotype), image_size=40)
    network = draw_network(architecture, NtkSettings(keep_norms=keep_norms), "ntk", 0)
    images = normal(0, 4, 3, 40, 40)
    expected = gram_by_definition(network.double(), images)
    torch.testing.assert_close(ntk_gram(network, images), expected, rtol=1e-10, atol=1e-12 * expected.max().item())
    single = ntk_gram(network.float(), images.float())
    assert (single - expected).norm() <= 1e-6 * expected.norm()


def test_gram_with_trained_norms() -> None:
    """Scales and shifts away from 1 and 0."""
    network = draw_network(SEED.replace(choices={"width": 8, "heads": 16}), NtkSettings(), "ntk", 0).double()
    for number, parameter in enumerate(network.parameters()):
        parameter += 0.05 * normal(number, *parameter.shape)
    images = normal(0, 3, 3, 64, 64)
    torch.testing.assert_close(ntk_gram(network, images), gram_by_definition(network, images), rtol=1e-9, atol=0.0)


class Odd(nn.Module):
    """A grouped convolution, a linear layer used twice, a layer that is never reached, and one with a frozen flag."""

    def __init__(self) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(4, 6, 3, stride=2, padding=1, groups=2)
        self.shared = nn.Linear(6, 6)
        self.unused = nn.Linear(6, 6)
        self.last = nn.Linear(6, 5)

    def tail(self, x: Tensor) -> Tensor:
        return self.last(x)

    def forward_features(self, x: Tensor) -> Tensor:
        x = self.convolution(x).permute(0, 2, 3, 1)
        return self.tail(self.shared(torch.tanh(self.shared(x)))).sin().mean((1, 2))


class Folded(Odd):
    """Tokens folded into the batch."""

    def tail(self, x: Tensor) -> Tensor:
        return self.last(x.flatten(0, 2)).reshape(*x.shape[:3], -1)


class Sliced(Odd):
    """A weight used in part, as in elastic networks."""

    def tail(self, x: Tensor) -> Tensor:
        return F.linear(x, self.last.weight[:3])


class Other(Odd):
    """A norm with a weight that has no rule here."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.GroupNorm(2, 6)

    def tail(self, x: Tensor) -> Tensor:
        return self.norm(x.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)


@pytest.mark.parametrize("kind", [Odd, Folded, Sliced, Other])
def test_other_networks_are_exact_too(kind: type[nn.Module]) -> None:
    module, images = kind().double().eval(), normal(0, 5, 4, 8, 8)
    torch.testing.assert_close(ntk_gram(module, images), gram_by_definition(module, images), rtol=1e-10, atol=0.0)
    assert all(parameter.requires_grad and parameter.grad is None for parameter in module.parameters())


def test_both_forms_of_the_linear_gram_agree() -> None:
    x, gradient = normal(0, 4, 7, 30), normal(1, 4, 7, 50)
    expected = row_gram(linear_gradients(x, gradient))
    torch.testing.assert_close(token_gram(x, gradient), expected)
    torch.testing.assert_close(linear_gram(x, gradient), expected)
    few = normal(2, 4, 1, 30), normal(3, 4, 1, 50)
    torch.testing.assert_close(linear_gram(*few), row_gram(linear_gradients(*few)))


@pytest.mark.parametrize(("channels", "order"), [(1, 4), (3, 2), (4, 3), (8, 2)])
def test_series_is_the_power_series(channels: int, order: int) -> None:
    q, k, v = (0.5 * normal(i, 2, 3, 11, channels) for i in range(3))
    score = (q @ k.transpose(-1, -2)) * 0.7
    weights = sum(score**m / math.factorial(m) for m in range(order + 1))
    expected = weights @ v / weights.sum(-1, keepdim=True)
    torch.testing.assert_close(series_attention(q, k, v, 0.7, order), expected)
    assert len(monomials(channels, order, q.dtype).coefficients) == feature_count(channels, order)


def test_series_has_the_right_gradients() -> None:
    inputs = tuple(normal(i, 1, 2, 5, 3).requires_grad_() for i in range(3))
    assert torch.autograd.gradcheck(lambda q, k, v: series_attention(q, k, v, 0.5, 3), inputs)


def test_series_is_refused_where_it_would_be_inexact_or_slower() -> None:
    q = normal(0, 1, 2, 784, 8, dtype=torch.float32)
    assert choose_order(q, q, 8**-0.5) is None
    assert choose_order(0.1 * q, 0.1 * q, 8**-0.5) == 2
    assert choose_order(0.1 * q[:, :, :49], 0.1 * q[:, :, :49], 8**-0.5) is None
    assert choose_order(0.1 * q.double(), 0.1 * q.double(), 8**-0.5) is None


def test_series_moves_the_condition_number_by_less_than_rounding_does() -> None:
    """112 px: windows of 196 and more tokens, so that the series is taken."""
    architecture = get_space("asvit").architecture(read_genotype("8,2,2|2,1,2|2,1,2|2,1,2|64"), image_size=112)
    network = draw_network(architecture, NtkSettings(), "ntk", 0)
    images = normal(0, 8, 3, 112, 112, dtype=torch.float32)
    series, exact = ntk_gram(network, images), ntk_gram(network, images, exact=True)
    assert not torch.equal(series, exact)
    assert condition(series) == pytest.approx(condition(exact), rel=2e-6)
    assert (series - exact).norm() <= 1e-5 * exact.norm()


def test_repeats_do_not_depend_on_order_or_global_state() -> None:
    metric = get_metric("ntk")
    before = torch.random.get_rng_state()
    forward = [metric.measure(SEED, repeat) for repeat in range(3)]
    assert torch.equal(torch.random.get_rng_state(), before)
    torch.manual_seed(2)
    assert [metric.measure(SEED, repeat) for repeat in (2, 1, 0)] == forward[::-1]
    assert len(set(forward)) == 3


@pytest.mark.parametrize(
    "setting", [{"seed": 1}, {"batch_size": 8}, {"width": 16}, {"image_size": 96}, {"keep_norms": False}]
)
def test_every_setting_changes_the_value(setting: dict) -> None:
    assert get_metric("ntk", setting).measure(SEED, 0) != get_metric("ntk").measure(SEED, 0)


@pytest.mark.parametrize("values", [{"batch_size": 1}, {"points": 10}, {"initialisation": "default"}])
def test_settings_are_checked(values: dict) -> None:
    with pytest.raises(NasError, match=next(iter(values))):
        get_metric("ntk", values)


def test_a_constant_network_is_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    """A stem of zeros sees no image, so that all gradients are equal and the kernel is singular."""

    def broken(value: float) -> None:
        def draw(*args: object) -> nn.Module:
            network = draw_network(*args)  # type: ignore[arg-type]
            network.body.stem.projection.weight.fill_(value)  # type: ignore[union-attr, operator]
            return network

        monkeypatch.setattr(initialise, "draw_network", draw)

    settings = {"keep_norms": False, "batch_size": 4}
    broken(math.nan)
    assert "not finite" in str(measure_once(get_metric("ntk", settings), SEED, 0).failure)
    images = torch.ones(4, 3, 64, 64)
    monkeypatch.setattr(torch, "randn", lambda *shape, **_: images if len(shape) == 4 else None)
    monkeypatch.setattr(initialise, "draw_network", draw_network)
    assert "singular" in str(measure_once(get_metric("ntk", settings), SEED, 0).failure)


def test_generators_differ_by_purpose_repeat_and_seed() -> None:
    streams = [generator(*key) for key in ((0, "a", 0), (0, "a", 1), (0, "b", 0), (1, "a", 0))]
    assert len({torch.randn(1, generator=g).item() for g in streams}) == 4
