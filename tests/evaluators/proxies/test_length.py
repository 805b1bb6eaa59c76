"""The metric `length`."""

from __future__ import annotations

import math
import subprocess
import sys

import pytest
import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from evaluators import get_metric
from evaluators.metric import MetricFailure, measure_once
from evaluators.proxies import curve, initialise
from evaluators.proxies.curve import circle, length_terms
from evaluators.proxies.initialise import draw_network, generator
from evaluators.proxies.length import LengthSettings
from searchspaces import NasError, get_space

SEED = get_space("asvit").published()["asvit_seed"].replace(image_size=64)


def jvp_terms(network: nn.Module, first: Tensor, second: Tensor, points: int, radius: float) -> Tensor:
    """The definition, all points including the repeated one, through torch's own forward mode."""
    angles = torch.linspace(0.0, 2.0 * math.pi, points, dtype=first.dtype)

    def features(theta: Tensor) -> Tensor:
        images = radius * (
            torch.cos(theta)[:, None, None, None] * first + torch.sin(theta)[:, None, None, None] * second
        )
        return network.forward_features(images)  # type: ignore[operator]

    with sdpa_kernel(SDPBackend.MATH):
        return torch.func.jvp(features, (angles,), (torch.ones_like(angles),))[1].norm(dim=1)


@pytest.mark.parametrize("keep_norms", [False, True])
@pytest.mark.parametrize("radius", [1.0, 110.0])
@pytest.mark.parametrize("genotype", ["8,2,3|4,1,2|4,1,4|4,1,6|32", "5,8,2,2|2,2,2,3|3,2,2,3|3,1,2,2|16,12"])
def test_equals_forward_mode_of_torch(genotype: str, radius: float, keep_norms: bool) -> None:
    from searchspaces.asvit import read_genotype

    architecture = get_space("asvit").architecture(read_genotype(genotype), image_size=72)
    network = draw_network(architecture, LengthSettings(keep_norms=keep_norms), "length", 0)
    first, second = circle((3, 72, 72), generator(0, "test", 0))
    single = length_terms(network, first, second, 10, radius)
    double = length_terms(network.double(), first.double(), second.double(), 10, radius)
    expected = jvp_terms(network, first.double(), second.double(), 10, radius)
    torch.testing.assert_close(double, expected, rtol=1e-11, atol=0.0)
    torch.testing.assert_close(single, expected, rtol=1e-5, atol=0.0)


def test_equals_the_loop_over_output_coordinates() -> None:
    """The authors' way: one reverse pass per feature, down to the angles."""
    architecture = SEED.replace(choices={"width": 8, "heads": 16})
    network = draw_network(architecture, LengthSettings(), "length", 0).double()
    first, second = (x.double() for x in circle((3, 64, 64), generator(0, "test", 0)))
    angles = torch.linspace(0.0, 2.0 * math.pi, 10, dtype=torch.float64, requires_grad=True)
    cosine, sine = (f(angles)[:, None, None, None] for f in (torch.cos, torch.sin))
    features = network.forward_features(cosine * first + sine * second)
    columns = [torch.autograd.grad(c, angles, retain_graph=True)[0] for c in features.sum(0)]
    expected = torch.stack(columns).norm(dim=0)
    torch.testing.assert_close(length_terms(network, first, second, 10, 1.0), expected.detach(), rtol=1e-11, atol=0.0)


def test_circle_is_orthonormal_and_full_turn() -> None:
    first, second = (x.double() for x in circle((3, 32, 32), generator(0, "test", 0)))
    assert first.norm().item() == pytest.approx(1.0, rel=1e-6)
    assert second.norm().item() == pytest.approx(1.0, rel=1e-6)
    assert (first * second).sum().item() == pytest.approx(0.0, abs=1e-7)


def test_repeats_do_not_depend_on_order_or_global_state() -> None:
    metric = get_metric("length", {"image_size": 64})
    torch.manual_seed(1)
    before = torch.random.get_rng_state()
    forward = [metric.measure(SEED, repeat) for repeat in range(3)]
    assert torch.equal(torch.random.get_rng_state(), before)
    torch.manual_seed(2)
    assert [metric.measure(SEED, repeat) for repeat in (2, 1, 0)] == forward[::-1]
    assert len(set(forward)) == 3


@pytest.mark.parametrize(
    "setting",
    [{"seed": 1}, {"points": 20}, {"radius": "sqrt_pixels"}, {"width": 16}, {"image_size": 96}, {"keep_norms": True}],
)
def test_every_setting_changes_the_value(setting: dict) -> None:
    assert get_metric("length", setting).measure(SEED, 0) != get_metric("length").measure(SEED, 0)


def test_initialisation_shares_the_convolution_or_not() -> None:
    def stems(word: str) -> list[Tensor]:
        drawn = LengthSettings(initialisation=word)  # type: ignore[arg-type]
        return [draw_network(SEED, drawn, "length", r).body.stem.projection.weight for r in (0, 1)]  # type: ignore[union-attr]

    assert torch.equal(*stems("asvit"))
    assert not torch.equal(*stems("independent"))
    network = draw_network(SEED, LengthSettings(keep_norms=True), "length", 0)
    linear = torch.cat([m.weight.flatten() for m in network.modules() if isinstance(m, nn.Linear)])
    assert linear.std().item() == pytest.approx(0.02, rel=0.01)
    assert all(not m.bias.any() for m in network.modules() if isinstance(m, nn.Linear) and m.bias is not None)


def test_parameters_of_other_kinds_are_drawn_by_the_space() -> None:
    positioned = SEED.replace(choices={"position_embedding": True})
    first, again = (draw_network(positioned, LengthSettings(), "length", 0) for _ in range(2))
    embedding = first.body.stem.position_embedding  # type: ignore[union-attr]
    assert embedding.std().item() == pytest.approx(0.02, rel=0.1)  # type: ignore[union-attr, operator]
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), again.parameters(), strict=True))
    assert get_metric("length").measure(positioned, 0) > 0.0


@pytest.mark.parametrize(
    "values", [{"points": 1}, {"radius": 0.0}, {"radius": "pixels"}, {"repeats": 0}, {"pionts": 3}]
)
def test_settings_are_checked(values: dict) -> None:
    with pytest.raises(NasError, match=next(iter(values))):
        get_metric("length", values)


def test_a_space_without_width_fails_with_a_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    space = get_space("asvit")
    monkeypatch.setattr(
        type(space), "dimensions", [dimension for dimension in space.dimensions if dimension.name != "width"]
    )
    with pytest.raises(MetricFailure, match="no dimension 'width'"):
        get_metric("length", {"width": 8}).measure(SEED, 0)


def test_a_width_the_space_cannot_take_fails_with_a_reason() -> None:
    assert "width=1" in str(measure_once(get_metric("length", {"width": 1}), SEED, 0).failure)


@pytest.mark.parametrize(("weight", "reason"), [(math.nan, "not finite"), (0.0, "zero")])
def test_broken_weights_are_failures(monkeypatch: pytest.MonkeyPatch, weight: float, reason: str) -> None:
    def broken(*args: object) -> nn.Module:
        network = draw_network(*args)  # type: ignore[arg-type]
        network.body.stem.projection.weight.fill_(weight)  # type: ignore[union-attr, operator]
        return network

    monkeypatch.setattr(initialise, "draw_network", broken)
    result = measure_once(get_metric("length"), SEED, 0)
    assert result.value is None
    assert reason in str(result.failure)


class Exotic(nn.Module):
    """Uses an operation dual tensors do not know."""

    def forward_features(self, x: Tensor) -> Tensor:
        return torch.cumsum(x.flatten(1), 1).sin()


def test_unknown_operations_fall_back_to_jvp() -> None:
    images, tangents = (torch.randn(3, 1, 4, 4, generator=generator(0, name, 0)) for name in ("a", "b"))
    value, tangent = curve.forward_mode(Exotic(), images, tangents)
    summed, slope = torch.cumsum(images.flatten(1), 1), torch.cumsum(tangents.flatten(1), 1)
    torch.testing.assert_close(value, summed.sin())
    torch.testing.assert_close(tangent, summed.cos() * slope)


def test_importing_the_metrics_does_not_import_torch() -> None:
    code = "import sys, evaluators; assert 'torch' not in sys.modules and 'timm' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
