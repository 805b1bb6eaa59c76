"""As-ViT against the published numbers, the genotype string, and odd image sizes."""

import pytest
import torch

from hardware import network_cost
from searchspaces import NasError, get_space
from searchspaces.asvit.geometry import stages
from searchspaces.asvit.layers import WindowAttention

space = get_space("asvit")


def test_params_and_macs_of_all_published_vectors(asvit_vectors):
    assert len(asvit_vectors) == 12
    for vector in asvit_vectors:
        architecture = space.from_notation(vector["genotype"])
        cost = network_cost(architecture)
        assert cost.params == vector["params"], vector["id"]
        assert space.authors_macs(architecture, cost.macs) == vector["macs"], vector["id"]
        stem, *_, last = stages(architecture)
        assert vector["macs"] - cost.macs == 56**2 * stem.dim + 100 * last.dim


def test_position_embedding_makes_the_published_sizes():
    sizes = {"asvit_small": 29_051_296, "asvit_base": 52_622_428, "asvit_large": 88_145_300}
    for name, params in sizes.items():
        architecture = space.published()[name].replace(choices={"position_embedding": True})
        assert network_cost(architecture).params == params


def test_genotype_goes_there_and_back(asvit_vectors):
    for vector in asvit_vectors:
        assert space.notation(space.from_notation(vector["genotype"])) == vector["genotype"]


def test_default_depths_and_width_are_the_seed_topology():
    short = space.from_notation("8,2,3|4,1,2|4,1,4|4,1,6|32")
    assert short == space.from_notation("8,2,3,1|4,1,2,1|4,1,4,1|4,1,6,1|32,32")
    assert "width" not in short.choices
    assert space.from_notation("8,2,3,2|4,1,2|4,1,4|4,1,6|32").choices["stage2.depth"] == 1


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("8,2,3|4,1,2|4,1,4|32", "is not of the form"),
        ("8,2,3|4,1,2|4,1,4|4,1,x|32", "is not of the form"),
        ("8,2,3|4,1,2|4,1,4|4,2,6|32", "its split is always 1"),
        ("9,2,3|4,1,2|4,1,4|4,1,6|32", "stage1.kernel=9 is outside the space; choose one of 4, 5, 6, 7, 8"),
        ("8,2,3|4,1,2|4,1,4|4,1,6|32,3", "width=3 leaves heads=32 without channels"),
        ("", "is not of the form"),
    ],
)
def test_bad_genotypes(text, message):
    with pytest.raises(NasError, match=message.replace("|", r"\|")):
        space.from_notation(text)


@pytest.mark.parametrize("size", [32, 36, 50, 64, 100, 224])
def test_any_image_size_runs(size):
    architecture = space.smallest(image_size=size, num_classes=3)
    model = space.build(architecture)
    assert model(torch.randn(1, 3, size, size)).shape == (1, 3)


def test_large_images_run_on_the_meta_device():
    for genotype in ("8,2,3|4,1,2|4,1,4|4,1,6|32", "7,8,2|3,4,2|2,2,2|3,1,2|16"):
        assert network_cost(space.from_notation(genotype, image_size=384)).output_shape == (1000,)


def test_odd_maps_grow_by_one():
    assert [stage.side for stage in stages(space.smallest(image_size=100))] == [25, 13, 7, 4]


def test_windows_that_do_not_divide_the_map_attend_to_themselves_only():
    torch.manual_seed(0)
    attention = WindowAttention(8, 2, 3).eval()
    x = torch.randn(1, 7, 7, 8)
    out = attention(x)
    alone = WindowAttention(8, 2, 3)
    alone.load_state_dict(attention.state_dict())
    for rows in (slice(0, 3), slice(3, 6), slice(6, 7)):
        for columns in (slice(0, 3), slice(3, 6), slice(6, 7)):
            tokens = x[:, rows, columns].reshape(1, -1, 8)
            q, k, v = (t.reshape(1, -1, 2, 4).transpose(1, 2) for t in alone.qkv(tokens).chunk(3, dim=-1))
            weights = (q @ k.transpose(-1, -2) / 2.0).softmax(-1)
            expected = alone.projection((weights @ v).transpose(1, 2).reshape(1, -1, 8))
            torch.testing.assert_close(out[:, rows, columns].reshape(1, -1, 8), expected, rtol=1e-5, atol=1e-6)


def test_width_not_divisible_by_heads_keeps_fewer_channels():
    attention = WindowAttention(18, 4, 7)
    assert attention.qkv.out_features == 3 * 16
    assert attention.projection.in_features == 16


def test_widths_stop_at_1024():
    assert [stage.dim for stage in stages(space.published()["asvit_large"])] == [180, 360, 720, 1024]
