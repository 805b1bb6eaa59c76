"""What every space must do; a new space joins by its name."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from hardware import network_cost
from searchspaces import Architecture, NasError, get_space

SIZES = {
    "asvit": 32,
    "m3vit": 32,
    "m3vit_digits": 32,
    "toy": 8,
    "vit_resnas_cifar": 32,
    "vit_resnas_digits": 32,
    "vit_resnas_reference": 56,
    "vit_resnas_small": 56,
    "vit_resnas_tiny": 56,
}
SPACES = list(SIZES)
seeds = st.integers(0, 2**32 - 1)


@pytest.mark.parametrize("name", SPACES)
@settings(max_examples=1500, deadline=None)
@given(seed=seeds, probability=st.floats(0.01, 1.0))
def test_every_operator_stays_legal(name, seed, probability):
    space, rng = get_space(name), np.random.default_rng(seed)
    a, b = space.sample(rng, num_classes=7), space.sample(rng, num_classes=7)
    for architecture in (a, space.mutate(a, rng, probability), space.crossover(a, b, rng)):
        assert architecture == space.architecture(architecture.choices, num_classes=7)
        assert dict(architecture.choices) == space.canonical(architecture.choices)
        assert Architecture.from_json(architecture.to_json()) == architecture


@pytest.mark.parametrize("name", SPACES)
def test_operators_repeat_with_the_seed(name):
    space = get_space(name)

    def walk():
        rng = np.random.default_rng(5)
        a, b = space.sample(rng), space.sample(rng)
        return [space.mutate(a, rng), space.crossover(a, b, rng), space.sample(rng)]

    assert walk() == walk()


@pytest.mark.parametrize("name", SPACES)
def test_mutation_with_certainty_changes_every_decision(name):
    space, rng = get_space(name), np.random.default_rng(0)
    for _ in range(50):
        before = space.sample(rng)
        after = space.mutate(before, rng, 1.0)
        common = [d.name for d in space.active_dimensions(before) if d.name in after.choices]
        assert all(before.choices[n] != after.choices[n] for n in common if len(space._by_name[n].choices) > 1)


@pytest.mark.parametrize("name", SPACES)
def test_crossover_takes_from_the_parents(name):
    space, rng = get_space(name), np.random.default_rng(1)
    for _ in range(50):
        a, b = space.sample(rng), space.sample(rng)
        child = space.crossover(a, b, rng)
        for key, value in child.choices.items():
            parents = [p.choices[key] for p in (a, b) if key in p.choices]
            assert not parents or value in parents


@pytest.mark.parametrize("name", SPACES)
def test_neighbours_are_one_decision_away(name):
    space = get_space(name)
    start = space.sample(np.random.default_rng(2))
    found = space.neighbours(start)
    assert len(set(found)) == len(found)
    assert start not in found
    for other in found:
        changed = [n for n in start.choices if n in other.choices and start.choices[n] != other.choices[n]]
        assert len(changed) == 1


@pytest.mark.parametrize("name", SPACES)
def test_sampling_reaches_every_choice(name):
    space, rng = get_space(name), np.random.default_rng(3)
    drawn = [space.sample(rng) for _ in range(400)]
    for dimension in space.searched:
        seen = {a.choices[dimension.name] for a in drawn if dimension.name in a.choices}
        assert seen == set(dimension.choices)


@pytest.mark.parametrize("name", SPACES)
def test_models_run_and_their_costs_are_those_of_the_module(name):
    space, rng, size = get_space(name), np.random.default_rng(4), SIZES[name]
    for architecture in (
        space.smallest(image_size=size),
        space.largest(image_size=size),
        space.sample(rng, image_size=size, in_channels=1, num_classes=5),
    ):
        model = space.build(architecture).eval()
        images = torch.randn(2, architecture.in_channels, size, size)
        assert model(images).shape == (2, architecture.num_classes)
        assert model.forward_features(images).ndim == 2
        cost = network_cost(architecture)
        assert cost.params == sum(p.numel() for p in model.parameters())
        assert cost.output_shape == (architecture.num_classes,)


@pytest.mark.parametrize("name", SPACES)
def test_parts_chain_into_the_network(name):
    space = get_space(name)
    architecture = space.sample(np.random.default_rng(6), image_size=SIZES[name])
    parts = space.parts(architecture)
    if parts is None:
        pytest.skip(f"{name} is no chain of parts")
    x = torch.randn(1, *parts[0].input_shape)
    for part in parts:
        assert tuple(x.shape[1:]) == part.input_shape, part.name
        x = part.build()(x)
    assert x.shape == (1, architecture.num_classes)


@pytest.mark.parametrize("name", SPACES)
@pytest.mark.parametrize("size", [0, -8, 3, 100_000, True, 64.0, "64", None])
def test_impossible_image_sizes_are_refused(name, size):
    with pytest.raises(NasError, match=r"image_size=.* cannot be taken"):
        get_space(name).smallest(image_size=size)


def test_size_is_exact():
    assert get_space("asvit").size() == 4_556_250


def test_size_equals_brute_force():
    toy = get_space("toy")
    assert toy.size() == len(list(toy.enumerate())) == 4 * (1 + 3 * (1 + 2)) * 3
    asvit = get_space("asvit")

    class Reduced(type(asvit)):
        dimensions = tuple(
            type(d)(d.name, d.choices[:2] if d.name in ("stage1.kernel", "heads", "stage3.split") else d.choices[:1])
            if d.searched
            else d
            for d in asvit.dimensions
        )

    reduced = Reduced()
    assert reduced.size() == len(list(reduced.enumerate())) == 8
