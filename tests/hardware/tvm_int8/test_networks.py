"""Whole networks: the compiled graph equals the golden operators bit by bit, and follows the float network."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from hardware import UnsupportedError, timm_network
from hardware.tvm_int8 import golden
from hardware.tvm_int8.arithmetic import Dyadic, Exponential, quantise
from hardware.tvm_int8.isa import AVX2, PLAIN, VNNI, best_isa
from hardware.tvm_int8.kernels import Add, Gather, LayerNorm, Lookup, Mean, Pack, Product, Shiftgelu, Shiftmax
from hardware.tvm_int8.lower import lower
from hardware.tvm_int8.network import outline
from hardware.tvm_int8.plan import Call, Plan
from hardware.tvm_int8.record import merge_ranges, record
from searchspaces import get_space

# --- a plan run by the golden model ---------------------------------------------------------------------------------


def unpacked(packed: np.ndarray, product: Product) -> np.ndarray:
    """Return (batch, columns, depth) weights of packed ones."""
    batch, vectors, groups, _ = packed.shape
    isa = product.isa
    split = packed.reshape(batch, vectors, groups, isa.lanes, isa.group).transpose(0, 1, 3, 2, 4)
    whole = split.reshape(batch, vectors * isa.lanes, groups * isa.group)
    return whole[:, : product.columns, : product.depth].astype(np.int64)


def product_of(kernel: Product, x: np.ndarray, packed: np.ndarray, bias: np.ndarray, *change: np.ndarray) -> np.ndarray:
    weight = unpacked(packed, kernel)
    # Doubles hold these sums exactly, and their product is faster.
    sums = x.reshape(kernel.batch, kernel.rows, kernel.depth).astype(np.float64) @ weight.swapaxes(1, 2)
    sums = sums.astype(np.int64) + bias[:, None, : kernel.columns] + kernel.isa.zero * weight.sum(2)[:, None, :]
    if kernel.output == "int32":
        return sums
    dyadic = Dyadic(change[0][: kernel.columns], int(change[1][0]))
    return golden.clamp(golden.requantise(sums, dyadic), kernel.low, int(np.iinfo(kernel.output).max))


def pack_of(kernel: Pack, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    columns, depth = (kernel.channels, kernel.tokens) if kernel.values else (kernel.tokens, kernel.channels)
    weight = x.reshape(kernel.batch, kernel.tokens, kernel.channels)
    weight = weight.swapaxes(1, 2) if kernel.values else weight
    product = Product(1, 1, columns, depth, kernel.isa, "int32", 0)
    parts = [product.constants(one, np.zeros(columns, np.int64), None)[:2] for one in weight]
    return tuple(np.concatenate(arrays) for arrays in zip(*parts, strict=True))  # type: ignore[return-value]


def run_call(call: Call, inputs: list[np.ndarray]) -> tuple[np.ndarray, ...]:
    """Return what the golden model makes of a call."""
    kernel, constants = call.kernel, call.constants
    if isinstance(kernel, Product):
        return (product_of(kernel, *inputs, *constants),)
    if isinstance(kernel, Pack):
        return pack_of(kernel, *inputs)
    if isinstance(kernel, Gather):
        result = np.zeros(kernel.size, np.int64)
        for source, table in zip(inputs, constants, strict=True):
            for start, target, count in table.tolist():
                result[target : target + count] = source.reshape(-1)[start : start + count]
        return (result,)
    if isinstance(kernel, Shiftmax):
        base, halvings, _, _, _, last = constants[0].tolist()
        rows = inputs[0].reshape(kernel.rows, kernel.columns)
        return (golden.shiftmax(rows, Exponential(base, halvings), 24 - last),)
    if isinstance(kernel, LayerNorm):
        multiplier, addend, shift = constants
        rows = inputs[0].reshape(kernel.rows, kernel.channels)
        return (golden.layer_norm(rows, Dyadic(multiplier, int(shift[0])), addend, np.iinfo(kernel.output).bits),)
    if isinstance(kernel, Shiftgelu):
        rows = inputs[0].reshape(kernel.rows, kernel.columns)
        top = np.maximum(rows.max(1, keepdims=True), 0).astype(int)
        return (constants[0][top, rows.astype(int) + 128],)
    if isinstance(kernel, Lookup):
        return (constants[0][inputs[0].astype(int) + 128],)
    if isinstance(kernel, Add):
        m, s, n, t = constants[0].tolist()
        first, second = Dyadic(np.array([m]), s), Dyadic(np.array([n]), t)
        flat = [values.reshape(-1) for values in inputs]
        return (golden.add(*flat, first, second, np.iinfo(kernel.output).bits),)
    assert isinstance(kernel, Mean)
    m, s = constants[0].tolist()
    rows = inputs[0].reshape(kernel.rows, kernel.terms, kernel.channels)
    return (golden.mean(rows, Dyadic(np.array([m]), s), np.iinfo(kernel.output).bits),)


def run_plan(plan: Plan, image: np.ndarray) -> np.ndarray:
    """Return the integers of a whole network by the golden model."""
    buffers = {number: held.values for number, held in plan.held.items()}
    buffers[1] = quantise(image.reshape(-1), plan.image_scale, 8)
    for call in plan.calls:
        found = run_call(call, [buffers[number] for number in call.inputs])  # type: ignore[misc]
        buffers.update(zip(call.outputs, found, strict=True))
    result = buffers[plan.output]
    assert result is not None
    return result.reshape(-1)


# --- networks -------------------------------------------------------------------------------------------------------


class Everything(nn.Module):
    """A network with every operator there is."""

    def __init__(self) -> None:
        super().__init__()
        self.entry = nn.Conv2d(3, 8, 3, stride=2, padding=1, bias=False)
        self.entry_norm = nn.BatchNorm2d(8)
        self.conv = nn.Conv2d(8, 8, 3, padding=1)
        self.project = nn.Conv2d(8, 12, 2, stride=2)
        self.token = nn.Parameter(torch.randn(1, 1, 12))
        self.position = nn.Parameter(torch.randn(1, 17, 12))
        self.norm = nn.LayerNorm(12)
        self.qkv = nn.Linear(12, 36)
        self.merge_norm = nn.LayerNorm(48)
        self.merge = nn.Linear(48, 10, bias=False)
        self.head = nn.Linear(10, 5)
        with torch.no_grad():
            self.entry_norm.running_mean.normal_()
            self.entry_norm.running_var.uniform_(0.5, 2)

    def forward(self, image: Tensor) -> Tensor:
        x = F.relu(self.entry_norm(self.entry(image)))
        x = torch.relu(self.conv(x)) + x
        x = self.project(x).flatten(2).transpose(1, 2)
        x = torch.cat([self.token.expand(len(x), -1, -1), x], dim=1) + self.position
        q, k, v = self.qkv(self.norm(x)).unflatten(-1, (3, 2, 6)).permute(2, 0, 3, 1, 4).unbind(0)
        x = x + F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)
        x = x[:, 1:].unflatten(1, (4, 4))
        pooled = F.avg_pool2d(x.permute(0, 3, 1, 2), 2).mean((2, 3))
        x = x.unfold(1, 2, 2).unfold(2, 2, 2).flatten(3)
        x = F.gelu(self.merge(self.merge_norm(x))).mean((1, 2))
        return self.head(torch.tanh(x)) + pooled[:, :5]


def images(count: int, size: int) -> Tensor:
    return torch.randn(count, 3, size, size, generator=torch.Generator().manual_seed(0))


def planned(module: nn.Module, pictures: Tensor, isa: object = None) -> Plan:
    return lower(merge_ranges([record(module, image[None]) for image in pictures]), isa or best_isa())  # type: ignore[arg-type]


@pytest.fixture
def everything() -> nn.Module:
    torch.manual_seed(0)
    return Everything().eval()


@pytest.mark.parametrize("isa", [VNNI, AVX2, PLAIN], ids=lambda isa: isa.name)
def test_the_integer_network_follows_the_float_one(everything: nn.Module, isa: object) -> None:
    pictures = images(4, 16)
    plan = planned(everything, pictures, isa)
    found = np.stack([run_plan(plan, image.numpy()) * plan.output_scale for image in pictures])
    with torch.no_grad():
        real = everything(pictures).numpy()
    assert np.abs(found - real).max() <= 0.05 * np.abs(real).max()


def test_instruction_sets_give_equal_integers(everything: nn.Module) -> None:
    pictures = images(1, 16)
    results = [run_plan(planned(everything, pictures, isa), pictures[0].numpy()) for isa in (VNNI, AVX2, PLAIN)]
    np.testing.assert_array_equal(results[0], results[1])
    np.testing.assert_array_equal(results[0], results[2])


def test_the_compiled_network_equals_the_golden_one(everything: nn.Module) -> None:
    pytest.importorskip("tvm", reason="TVM is not installed (extra tvm)")
    from hardware.tvm_int8.compile import Executable

    pictures = images(3, 16)
    plan = planned(everything, pictures)
    executable = Executable(plan, best_isa())
    for image in pictures:
        found = executable.run(executable.prepare(image.numpy())).numpy()
        np.testing.assert_array_equal(found, run_plan(plan, image.numpy()))


@pytest.mark.slow
def test_a_whole_network_has_cuda_code(everything: nn.Module) -> None:
    pytest.importorskip("tvm", reason="TVM is not installed (extra tvm)")
    from hardware.tvm_int8.compile import compile_graph, cuda_target
    from hardware.tvm_int8.kernels.common import threads

    try:
        assert compile_graph(planned(everything, images(1, 16), PLAIN), cuda_target("sm_80"), threads) is not None
    except Exception as error:
        if "nvcc" in str(error) or "nvrtc" in str(error).lower():
            pytest.skip("no CUDA compiler")
        raise


@pytest.mark.parametrize(("space", "size"), [("asvit", 36), ("vit_resnas_digits", None)])
def test_networks_of_the_spaces_follow_the_float_ones(space: str, size: int | None) -> None:
    found = get_space(space)
    architecture = found.sample(np.random.default_rng(3), image_size=size or found.image_sizes[0], num_classes=10)
    torch.manual_seed(0)
    module = found.build(architecture).eval()
    pictures = images(2, architecture.image_size)
    plan = planned(module, pictures)
    result = np.stack([run_plan(plan, image.numpy()) * plan.output_scale for image in pictures])
    with torch.no_grad():
        real = module(pictures).numpy()
    cosine = (result * real).sum(1) / np.linalg.norm(result, axis=1) / np.linalg.norm(real, axis=1)
    assert cosine.min() > 0.98


# --- what is run ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("space", ["asvit", "vit_resnas_tiny", "vit_resnas_digits"])
def test_parts_run_the_kernels_of_the_whole_network(space: str) -> None:
    """The estimate's outline, made part by part without weights, has the products and rows of the real plan."""
    found = get_space(space)
    size = found.image_sizes[0]
    architecture = found.sample(np.random.default_rng(0), image_size=size)
    module = found.build(architecture).eval()
    plan = planned(module, images(1, size))
    heavy = (Product, Shiftmax, Shiftgelu, LayerNorm)
    whole = [call.kernel for call in plan.calls if isinstance(call.kernel, heavy)]
    parts = [kernel for kernel in outline(architecture, best_isa()).kernels() if isinstance(kernel, heavy)]
    assert parts == whole


def test_macs_of_the_products_are_those_of_the_network() -> None:
    from hardware import network_cost

    for space in ("asvit", "vit_resnas_tiny"):
        architecture = get_space(space).sample(np.random.default_rng(1))
        macs = sum(kernel.work().get("macs", 0) for kernel in outline(architecture, PLAIN).kernels())
        assert macs == network_cost(architecture).macs


def test_a_vision_transformer_of_timm_has_an_outline() -> None:
    found = outline(timm_network("deit_tiny_patch16_224"), AVX2)
    assert sum(isinstance(kernel, Shiftgelu) for kernel in found.kernels()) == 12
    assert 5.7e6 < found.weight_bytes < 8e6  # 5.7 million parameters in a byte each, position table and tables of runs


class Odd(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return torch.cumsum(x, 1)


def test_an_operator_without_kernel_is_named() -> None:
    with pytest.raises(UnsupportedError, match="'cumsum' has no integer kernel"):
        record(Odd(), images(1, 8))


class Reused(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Conv2d(3, 4, 1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.layer(x)
        return F.relu(x) + x


def test_reading_what_was_folded_is_refused_not_mistaken() -> None:
    with pytest.raises(UnsupportedError, match="folded"):
        record(Reused(), images(1, 8))


def test_memory_counts_each_buffer_from_its_writing_to_its_last_reading(everything: nn.Module) -> None:
    plan = planned(everything, images(1, 16))
    sizes = [argument.bytes for call in plan.calls for argument in call.kernel.gives()]
    assert max(sizes) < plan.peak_bytes() < sum(sizes) + plan.image.bytes
