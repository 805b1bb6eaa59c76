"""A plan as a Relax function of own kernels, compiled for the processor."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from hardware.tvm_int8 import arithmetic
from hardware.tvm_int8.isa import Isa
from hardware.tvm_int8.kernels.common import Over, require_tvm, serial, threads
from hardware.tvm_int8.plan import Argument, Kernel, Plan

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from hardware.tvm_int8.arithmetic import Array

# What is left of TVM's default pipeline: RewriteDataflowReshape fails on kernels of plain loops.
PASSES = (
    "LegalizeOps",
    "ToNonDataflow",
    "RemovePurityChecking",
    "CallTIRRewrite",
    "StaticPlanBlockMemory",
    "LowerAllocTensor",
    "KillAfterLastUse",
    "LowerRuntimeBuiltin",
    "ComputePrimValue",
    "VMShapeLower",
    "AttachGlobalSymbol",
)


@lru_cache(maxsize=4)
def code_target(isa: Isa) -> Any:
    """Return TVM's target for code that uses `isa`.

    It names the first processor with these instructions, not the one at hand: a virtual machine may hide some that the
    latter's name implies, and code tuned for it (znver4) was no faster.
    """
    return require_tvm().target.Target({"kind": "llvm", "mcpu": isa.mcpu} if isa.mcpu else {"kind": "llvm"})


def compile_kernels(kernels: Sequence[Kernel], isa: Isa) -> list[Any]:
    """Return one callable per kernel, which takes its arrays in order; all are compiled together."""
    tvm = require_tvm()
    functions = {}
    for number, kernel in enumerate(kernels):
        functions[f"kernel{number}"] = kernel.build().with_attr("global_symbol", f"kernel{number}")
    library = tvm.compile(tvm.IRModule(functions), target=code_target(isa))
    return [library[name] for name in functions]


def build_module(plan: Plan, over: Over = serial) -> Any:
    """Return the Relax module of a plan: `main` takes the int8 image, flat, and gives the result, flat."""
    tvm = require_tvm()
    from tvm import relax

    builder = relax.BlockBuilder()
    functions: dict[Kernel, Any] = {}
    image = relax.Var("image", _type(plan.image))
    values: dict[int, Any] = {1: image}
    with builder.function("main", [image]):
        for number, held in plan.held.items():
            assert held.values is not None
            values[number] = relax.const(tvm.runtime.tensor(held.values))
        for call in plan.calls:
            if call.kernel not in functions:
                name = f"kernel{len(functions)}"
                function = call.kernel.build(over).with_attr("global_symbol", name)
                functions[call.kernel] = builder.add_func(function, name)
            arguments = [values[number] for number in call.inputs]
            arguments += [relax.const(tvm.runtime.tensor(np.ascontiguousarray(c))) for c in call.constants]
            types = [_type(argument) for argument in call.kernel.gives()]
            result = relax.call_tir(functions[call.kernel], arguments, types if len(types) > 1 else types[0])
            value = builder.emit(result)
            if len(types) == 1:
                values[call.outputs[0]] = value
            else:
                for place, number in enumerate(call.outputs):
                    values[number] = builder.emit(relax.TupleGetItem(value, place))
        builder.emit_func_output(values[plan.output])
    return builder.get()


def compile_graph(plan: Plan, target: Any, over: Over) -> Any:
    """Return the compiled Relax module of a plan."""
    tvm = require_tvm()
    from tvm import relax

    pipeline = tvm.ir.transform.Sequential([getattr(relax.transform, name)() for name in PASSES])
    return tvm.compile(build_module(plan, over), target=target, relax_pipeline=pipeline)


def cuda_target(arch: str | None = None) -> Any:
    """Return TVM's target for a CUDA device: the one at hand, or an architecture such as ``sm_80``."""
    tvm = require_tvm()
    if arch is None:
        arch = "sm_" + tvm.cuda().compute_version.replace(".", "")
    return tvm.target.Target({"kind": "cuda", "arch": arch}, host="llvm")


def _type(argument: Argument) -> Any:
    from tvm import relax

    return relax.TensorType(argument.shape, argument.dtype)


class Executable:
    """A compiled network.

    Args:
        plan: what it computes, with constants.
        isa: instructions it was lowered for.
        cuda: whether to run it on the CUDA device, for which it must be lowered with plain loops.
    """

    def __init__(self, plan: Plan, isa: Isa, cuda: bool = False) -> None:
        tvm = require_tvm()
        from tvm import relax

        self.plan = plan
        self.device = tvm.cuda() if cuda else tvm.cpu()
        library = compile_graph(plan, cuda_target() if cuda else code_target(isa), threads if cuda else serial)
        self._main = relax.VirtualMachine(library, self.device)["main"]

    def prepare(self, image: ArrayLike) -> Any:
        """Return a (channels, size, size) image in [-largest, largest] as the network's int8 input."""
        values = np.asarray(image, np.float64).reshape(-1)
        integers = arithmetic.quantise(values, self.plan.image_scale, 8).astype(np.int8)
        return require_tvm().runtime.tensor(integers, self.device)

    def run(self, prepared: Any) -> Any:
        """Return the integers the network gives, flat."""
        return self._main(prepared)

    def __call__(self, image: ArrayLike) -> Array:
        """Return what the network gives for one (channels, size, size) image, in real numbers."""
        integers = self.run(self.prepare(image)).numpy().reshape(self.plan.output_shape)
        result: Array = integers * self.plan.output_scale
        return result
