"""What every target keeps, whatever the device: a new one joins by being registered."""

import math
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import toy_target  # noqa: F401  # registers the toy devices

from hardware import Estimate, Quantity, UnsupportedError, get_target, targets, timm_network
from searchspaces import NasError, get_space

# Targets that are not quick compile and measure operators on the way.
NAMES = [name if targets.get(name).quick else pytest.param(name, marks=pytest.mark.slow) for name in targets.names()]
SPACES = ["asvit", "m3vit", "vit_resnas_tiny", "vit_resnas_digits", "toy"]


def drawn(name):
    space, rng = get_space(name), np.random.default_rng(1)
    low, high = space.image_sizes
    size = {"image_size": 224 if low <= 224 <= high else 64}
    return [space.smallest(**size), space.sample(rng, **size)]


def ready(name):
    """Return a target that gives estimates of some network on this machine, or skip."""
    target = get_target(name)
    for space in ("asvit", "m3vit"):
        try:
            target.estimate(get_space(space).smallest(image_size=224))
        except UnsupportedError as error:
            reason = error
        except NasError as error:  # not installed, or never profiled: it says so
            pytest.skip(str(error))
        else:
            return target, space
    pytest.skip(str(reason))


@pytest.mark.parametrize("name", NAMES)
def test_it_describes_itself(name):
    target = get_target(name)
    assert target.name == name
    assert target.meaning
    assert target.precisions
    assert len(set(target.precisions)) == len(target.precisions)
    assert target.available() is None or target.available().strip()


@pytest.mark.parametrize("name", NAMES)
def test_bad_settings_are_named(name):
    target, network = get_target(name), get_space("asvit").smallest()
    with pytest.raises(NasError, match="batch_size=0 must be an integer of at least 1"):
        target.estimate(network, batch_size=0)
    with pytest.raises(NasError, match=r"batch_size=1\.5 must be"):
        target.estimate(network, batch_size=1.5)
    with pytest.raises(NasError, match=f"precision='fp3' is not one of {name}; it has {target.precisions[0]}"):
        target.estimate(network, precision="fp3")


@pytest.mark.parametrize("name", NAMES)
def test_a_device_that_is_not_at_hand_says_so(name):
    target = get_target(name)
    if target.available() is None:
        pytest.skip("this device is at hand")
    with pytest.raises(UnsupportedError, match=r"\w"):
        target.measure(get_space("asvit").smallest())


@pytest.mark.parametrize("space", SPACES)
@pytest.mark.parametrize("name", NAMES)
def test_estimates_are_whole_or_the_reason_is_told(name, space):
    target, _ = ready(name)
    for network in drawn(space):
        estimate = estimated(target, network)
        if estimate is not None:
            check(target, estimate)
            assert target.estimate(network) == estimate
            assert get_target(name).estimate(network) == estimate


def estimated(target, network):
    """Return the estimate, or None if the target refuses the network and says why."""
    try:
        return target.estimate(network)
    except UnsupportedError as error:
        reason = str(error)
    assert len(reason.split()) > 3
    return None


def check(target, estimate: Estimate):
    assert (estimate.target, estimate.batch_size) == (target.name, 1)
    assert estimate.precision == target.precisions[0]
    assert estimate.latency_ms.value > 0
    for quantity in (estimate.latency_ms, estimate.energy_mj, estimate.memory_mb):
        if quantity is not None:
            check_quantity(quantity)
    assert estimate.breakdown
    assert all(share.latency_ms >= 0 and share.name and share.kind for share in estimate.breakdown)
    total = math.fsum(share.latency_ms for share in estimate.breakdown)
    assert total == pytest.approx(estimate.latency_ms.value, rel=1e-6)


def check_quantity(quantity: Quantity):
    assert math.isfinite(quantity.value)
    assert quantity.value > 0
    assert quantity.basis in ("measured", "fitted", "model")
    assert quantity.error is None or 0 <= quantity.error < math.inf
    if quantity.interval is not None:
        low, high = quantity.interval
        assert 0 <= low <= quantity.value <= high < math.inf
        assert 0 < quantity.coverage < 1


@pytest.mark.parametrize("name", NAMES)
def test_larger_networks_and_batches_do_not_get_faster(name):
    target, space = ready(name)
    smallest, largest = get_space(space).smallest(image_size=224), get_space(space).largest(image_size=224)
    # Many images: one alone may wait for kernels to be started, of which a larger network can have fewer.
    low, high = target.estimate(smallest, 64), target.estimate(largest, 64)
    assert low.latency_ms.value <= high.latency_ms.value
    assert low.energy_mj is None or low.energy_mj.value <= high.energy_mj.value
    batch = target.estimate(smallest, 128)
    assert batch.latency_ms.value >= low.latency_ms.value
    assert batch.batch_size == 128


@pytest.mark.parametrize("name", NAMES)
def test_networks_of_timm_are_estimated_or_refused_with_a_reason(name):
    target, _ = ready(name)
    estimate = estimated(target, timm_network("deit_tiny_patch16_224"))
    if estimate is not None:
        check(target, estimate)


@pytest.mark.parametrize("name", NAMES)
def test_names_are_words_for_the_command_line(name):
    assert name == name.lower()
    assert not set(name) & set(" .,@:/=<>")


def test_the_target_of_the_docs_works():
    text = (Path(__file__).parents[2] / "docs" / "targets.md").read_text()
    graph, target = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    code = f"{graph}\n{target}\nfrom hardware import get_target\n"
    code += "print(get_target('abacus').estimate(timm_network('deit_tiny_patch16_224')).latency_ms.value)"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert int(out[0]) > 4e9
    assert float(out[-1]) > 1e6
