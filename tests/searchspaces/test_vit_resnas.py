"""ViT-ResNAS against numbers from the authors' code: sizes, MACs, shapes and outputs."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from hardware import network_cost, part_cost
from searchspaces import Architecture, NasError, get_space
from searchspaces.layers import QkvLinear
from searchspaces.vit_resnas import SMALL, TINY, Layout, StageLayout, ViTResNASSpace
from searchspaces.vit_resnas.geometry import Block, Stage, authors_macs
from searchspaces.vit_resnas.model import ViTRes, network_parts

VECTORS = json.loads((Path(__file__).parent.parent / "data" / "vit_resnas.json").read_text())
NETWORKS = [vector for vector in VECTORS if vector["kind"] == "network"]
SPACES = {"vit_resnas_tiny": TINY, "vit_resnas_small": SMALL}
PLAIN_STEM, REDUCTION = 0, 3  # first fields of entries of a vector's `network_def`


def described(vector):
    """Return the stages, stem width and classes that a vector's list of entries stands for."""
    first, *entries, (_, _, classes) = vector["network_def"]
    width = None if first[0] == PLAIN_STEM else first[2] if len(first) == 3 else 24
    side, dim, head_dim, blocks, index, found = vector["image_size"] // 14, first[1], 0, [], 0, []
    for entry in entries:
        if entry[0] == REDUCTION:
            found.append(Stage(side, dim, head_dim, tuple(blocks)))
            side, dim, blocks, index = side // 2, entry[2], [], 0
        else:
            _, (_, heads, head_dim), (_, hidden), exists = entry
            index += 1
            if exists:
                blocks.append(Block(index, heads, hidden))
    return (*found, Stage(side, dim, head_dim, tuple(blocks))), width, classes


def parts_of(vector):
    stages, width, classes = described(vector)
    return network_parts(stages, 14, width, 3, classes)


def member(space_name, vector):
    """Return the architecture of a space that has the vector's stages."""
    stages, _, classes = described(vector)
    choices = {}
    for number, (stage, layout) in enumerate(zip(stages, SPACES[space_name].stages, strict=True), 1):
        choices[f"stage{number}.dim"] = stage.dim
        present = {block.number: block for block in stage.blocks}
        for index in layout.skippable:
            choices[f"stage{number}.block{index}.present"] = index in present
        for index, block in present.items():
            choices[f"stage{number}.block{index}.heads"] = block.heads
            choices[f"stage{number}.block{index}.hidden"] = block.hidden
    return get_space(space_name).architecture(choices, vector["image_size"], 3, classes)


def fill(shape, number):
    """Return numbers in [-1, 1) from integer arithmetic modulo 2^32: the same on every machine."""
    i = np.arange(int(np.prod(shape)), dtype=np.uint64)
    modulus = np.uint64(2**32 - 1)
    h = (i * np.uint64(2654435761) + np.uint64((number + 1) * 2654473011 % 2**32)) & modulus
    for shift, factor in ((15, 2246822519), (13, 3266489917)):
        h = ((h ^ (h >> np.uint64(shift))) * np.uint64(factor)) & modulus
    h ^= h >> np.uint64(16)
    return torch.from_numpy(2 * (h.astype(np.float64) / 2**32) - 1).reshape(shape)


def tensors_in_order(model):
    """Yield (module, name, tensor) in the order of the filling rule."""
    for part in [*model.body.children(), model.head]:
        own = [(part, name, tensor) for name, tensor in part.named_parameters(recurse=False)]
        below = [
            (module, name, tensor)
            for module in part.modules()
            if module is not part
            for name, tensor in [*module.named_parameters(recurse=False), *module.named_buffers(recurse=False)]
            if name != "num_batches_tracked"
        ]
        yield from [*below, *own]  # the tables come last in a reduction, and after the projection in the stem


@torch.no_grad()
def fill_model(model, patch_head):
    tensors = [*tensors_in_order(model), *((patch_head, *named) for named in patch_head.named_parameters())]
    for number, (module, name, tensor) in enumerate(tensors):
        s = fill(tuple(tensor.shape), number)
        if "token" in name or "position" in name:
            value = 0.5 * s
        elif name == "running_mean" or name == "bias":
            value = 0.1 * s
        elif name == "running_var":
            value = 1 + 0.5 * s
        elif isinstance(module, nn.Linear | nn.Conv2d):
            value = s * (3 / tensor[0].numel()) ** 0.5
        else:
            value = 1 + 0.2 * s
        tensor.copy_(value)


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector["name"])
def test_params_and_macs_of_every_vector(vector):
    costs = [part_cost(part) for part in parts_of(vector)]
    assert sum(cost.params for cost in costs) == vector["params"]
    assert sum(cost.macs for cost in costs) == vector["macs"]
    _, width, classes = described(vector)
    sizes = Architecture("vit_resnas_tiny", {}, vector["image_size"], 3, classes)
    assert authors_macs(Layout(TINY.stages, 14, width), sizes, vector["macs"]) == vector["authors_macs"]
    dim = vector["network_def"][-1][1]
    assert vector["params_with_patch_head"] - vector["params"] == (dim + 1) * classes


@pytest.mark.parametrize("name", SPACES)
def test_members_have_the_counts_of_their_vectors(name):
    word = name.rsplit("_", 1)[1]
    vectors = [v for v in VECTORS if v["name"].startswith((f"s_{word}_", f"{word}_space_"))]
    assert len(vectors) >= 11
    for vector in vectors:
        architecture = member(name, vector)
        cost = network_cost(architecture)
        assert (cost.params, cost.macs) == (vector["params"], vector["macs"]), vector["name"]
        assert get_space(name).authors_macs(architecture, cost.macs) == vector["authors_macs"]


def test_extremes_are_those_of_the_vectors():
    by_name = {vector["name"]: vector for vector in VECTORS}
    tiny, small = (get_space(name) for name in SPACES)
    assert tiny.smallest() == member("vit_resnas_tiny", by_name["tiny_space_smallest"])
    assert tiny.largest() == member("vit_resnas_tiny", by_name["tiny_space_largest"])
    assert small.smallest() == member("vit_resnas_small", by_name["small_space_smallest"])
    assert network_cost(small.largest()).macs == 6_260_342_784
    assert network_cost(small.largest()).params == 155_318_528


def test_sizes_are_exact():
    assert get_space("vit_resnas_tiny").size() == 5**3 * 28**9 * 29**9
    assert get_space("vit_resnas_small").size() == 5**3 * 28**12 * 29**9
    assert get_space("vit_resnas_reference").size() == 1


def test_published_networks_have_both_published_counts():
    spaces = [get_space(name) for name in ("vit_resnas_tiny", "vit_resnas_small", "vit_resnas_reference")]
    found = {name: (space, network) for space in spaces for name, network in space.published().items()}
    vectors = {vector["name"]: vector for vector in NETWORKS}
    sizes = ("", "_280", "_336", "_392")
    medium = {f"vit_resnas_medium{size}" for size in sizes}
    assert set(found) == {"vit_res_tiny", "vit_resnas_tiny", "vit_resnas_small"} | medium
    for name, (space, network) in found.items():
        cost, vector = network_cost(network), vectors[name]
        assert (cost.params, cost.macs) == (vector["params"], vector["macs"]), name
        assert space.authors_macs(network, cost.macs) == vector["authors_macs"], name
        assert space.from_notation(space.notation(network), image_size=network.image_size) == network
    small = found["vit_resnas_small"][1]
    assert small == member("vit_resnas_small", vectors["vit_resnas_small_with_skip_flags"])


def test_authors_macs_away_from_224():
    space = get_space("vit_resnas_small")
    network = space.published()["vit_resnas_medium_280"]
    assert network_cost(network).macs - space.authors_macs(network, network_cost(network).macs) == 77_728_896
    digits = get_space("vit_resnas_digits")
    with pytest.raises(NasError, match="one MAC convention only"):
        digits.authors_macs(digits.smallest(image_size=32), 1)


@pytest.mark.parametrize("vector", NETWORKS, ids=lambda vector: vector["name"])
def test_shapes_after_each_listed_block(vector):
    stem, *body, head = parts_of(vector)
    entries, body, shape = vector["network_def"][1:-1], iter(body), part_cost(stem).output_shape
    for entry, expected in zip(entries, vector["token_shapes"], strict=True):
        if entry[0] == REDUCTION or entry[3]:
            shape = part_cost(next(body)).output_shape
        assert [2, *shape] == expected
    assert next(body, None) is None
    assert head.input_shape == shape


@pytest.mark.parametrize("vector", NETWORKS, ids=lambda vector: vector["name"])
def test_outputs_with_filled_weights(vector):
    size, expected, classes = vector["image_size"], vector["outputs"], vector["network_def"][-1][2]
    with torch.device("meta"):
        model = ViTRes(parts_of(vector))
        patch_head = nn.Linear(vector["network_def"][-1][1], classes)
    model, patch_head = (module.double().to_empty(device="cpu").eval() for module in (model, patch_head))
    fill_model(model, patch_head)
    images = 2 * fill((2, 3, size, size), 999)
    with torch.no_grad():
        tokens = model.forward_tokens(images)
        logits = model.head.classifier(tokens[:, 0])
        patches = patch_head(tokens[:, 1:])
        if size <= 224:
            torch.testing.assert_close(model(images), logits, rtol=0, atol=1e-12)
    close = {"rtol": 0, "atol": 1e-9}
    assert list(tokens.shape) == vector["token_shapes"][-1]
    torch.testing.assert_close(logits[:, :8], torch.tensor(expected["logits"], dtype=torch.float64), **close)
    assert logits.argmax(1).tolist() == expected["argmax"]
    assert logits.mean().item() == pytest.approx(expected["mean"], rel=0, abs=1e-9)
    assert logits.std(correction=0).item() == pytest.approx(expected["deviation"], rel=0, abs=1e-9)
    assert patches[0, 0, :4].tolist() == pytest.approx(expected["patch_logits"], rel=0, abs=1e-9)
    assert patches.mean().item() == pytest.approx(expected["patch_mean"], rel=0, abs=1e-9)


def test_forward_reads_the_class_token_of_forward_tokens():
    space = get_space("vit_resnas_digits")
    model = space.build(space.smallest(image_size=32, in_channels=1, num_classes=10)).eval()
    images = torch.randn(3, 1, 32, 32)
    tokens = model.forward_tokens(images)
    assert tokens.shape == (3, 1 + 2 * 2, 80)
    torch.testing.assert_close(model.head.classifier(tokens[:, 0]), model(images))
    torch.testing.assert_close(model.head.norm(model.forward_features(images)), tokens[:, 0])


def test_absent_blocks_leave_holes_in_the_names():
    space = get_space("vit_resnas_tiny")
    names = [part.name for part in space.parts(space.smallest())]
    blocks = [[f"stage{number}.block{index}" for index in (1, 3, 5)] for number in (1, 2, 3)]
    assert names == ["stem", *blocks[0], "stage2.reduction", *blocks[1], "stage3.reduction", *blocks[2], "head"]
    assert "body.stage1_block3.attention.qkv.weight" in space.build(space.smallest()).state_dict()


def test_fresh_weights_are_the_authors():
    space = get_space("vit_resnas_digits")
    torch.manual_seed(0)
    model = space.build(space.largest(image_size=32))
    for module in model.modules():
        if isinstance(module, nn.Linear):
            assert module.weight.std().item() == pytest.approx(0.02, rel=0.1)
            assert not module.bias.any()
    assert {module.eps for module in model.modules() if isinstance(module, nn.LayerNorm)} == {1e-6}
    assert {module.eps for module in model.modules() if isinstance(module, nn.BatchNorm2d)} == {1e-5}
    qkv = [module for module in model.modules() if isinstance(module, QkvLinear)]
    assert len(qkv) == 12
    assert {module.groups for module in qkv} == {3}


@pytest.mark.parametrize(
    ("name", "size", "sides", "params"),
    [("vit_resnas_digits", 32, [8, 4, 2], 921_598), ("vit_resnas_cifar", 32, [16, 8, 4], 5_278_386)],
)
def test_derived_spaces_at_their_image_size(name, size, sides, params):
    space = get_space(name)
    largest = space.largest(image_size=size, in_channels=1, num_classes=10)
    assert [stage["tokens"] for stage in space.stages(largest)] == [side * side + 1 for side in sides]
    assert network_cost(largest).params == params
    model = space.build(largest)
    assert model(torch.randn(2, 1, size, size)).shape == (2, 10)


@pytest.mark.parametrize(
    ("name", "size", "message"),
    [
        ("vit_resnas_tiny", 230, "give a multiple of 56, such as 224 or 280"),
        ("vit_resnas_small", 32, "give a multiple of 56 from 56 to 4088"),
        ("vit_resnas_digits", 28, "give a multiple of 16, such as 16 or 32"),
        ("vit_resnas_cifar", 36, "give a multiple of 8, such as 32 or 40"),
        ("vit_resnas_tiny", 4096, "give a multiple of 56 from 56 to 4088"),
    ],
)
def test_image_sizes_between_the_patches_are_refused(name, size, message):
    with pytest.raises(NasError, match=f"image_size={size} cannot be taken by {name}; {message}"):
        get_space(name).smallest(image_size=size)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is not of the form"),
        ("176: 3/704 | 352: 10/1408", "is not of the form"),
        ("176: 3/704 | 352: 10/1408 | 704: 10/2560", "lists 1 blocks in stage 1; give 6"),
        (" | ".join(["176: - 3/704 3/704 3/704 3/704 3/704"] * 3), "'stage1.block1.heads' is missing"),
        (" | ".join(["177: 3/704 - 3/704 - 3/704 -"] * 3), "stage1.dim=177 is outside the space"),
    ],
)
def test_bad_short_forms(text, message):
    with pytest.raises(NasError, match=message):
        get_space("vit_resnas_tiny").from_notation(text)


def test_a_layout_of_ones_own():
    class Own(ViTResNASSpace):
        name = "own"
        layout = Layout((StageLayout((8, 16), 4, (1, 2), (8, 16), 2, (2,)), StageLayout((16,), 4, (2,), (8,), 1)), 8)

    space = Own()
    assert space.size() == 2 * 4 * (1 + 4)
    assert len(set(space.enumerate())) == space.size()
    assert space.image_step == 16


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"divisor": 5, "patch": 4}, "divisor=5 does not divide 176 channels"),
        ({"divisor": 0, "patch": 4}, "divisor=0 does not divide"),
        ({"divisor": 8, "patch": 3, "stem_width": 8}, "patch=3 cannot be made by the stem"),
        ({"divisor": 8, "patch": 4, "blocks": 9}, "blocks=9 is outside the stage; give 1 to 6"),
    ],
)
def test_bad_scales(options, message):
    with pytest.raises(NasError, match=message):
        TINY.scaled(**options)
