"""From the recorded steps of a torch module to kernel calls: scales, types and integer constants."""

from __future__ import annotations

from collections import defaultdict
from math import prod

import numpy as np
from torch import Tensor

from hardware.tvm_int8 import arithmetic, golden
from hardware.tvm_int8.arithmetic import Array, Dyadic
from hardware.tvm_int8.isa import Isa
from hardware.tvm_int8.kernels import Add, Gather, LayerNorm, Lookup, Mean, Pack, Product, Shiftgelu, Shiftmax
from hardware.tvm_int8.layout import best_order, is_whole, pieces
from hardware.tvm_int8.plan import Argument, Call, Held, Kernel, Plan
from hardware.tvm_int8.record import IMAGE, Recording, Step, View

# Residual streams keep 16 bits (I-ViT): what only these read, and only these (or constants) write.
WIDE_READERS = frozenset({"add", "layer_norm", "mean"})
WIDE_WRITERS = frozenset({"linear", "layer_norm", "add", "mean", "constant"})
FINEST_SCORES = 2.0**-10  # finer steps of the attention scores leave Shiftmax fewer halvings and tell nothing more


def lower(recording: Recording, isa: Isa, inner: bool = False, last: bool = True) -> Plan:
    """Return the plan of a recorded module for processors with `isa`.

    Constants are left out where the module was recorded on the meta device.

    Args:
        inner: the module is a part of a network: what it reads may be a residual stream of 16 bits.
        last: what it gives is the result of the network, not the input of another part.

    Raises:
        UnsupportedError: where an integer would overflow, naming the layer.
    """
    return _Lowering(recording, isa, inner, last).plan()


class _Lowering:
    def __init__(self, recording: Recording, isa: Isa, inner: bool, last: bool) -> None:
        self.recording = recording
        self.isa = isa
        self.writers = WIDE_WRITERS | {"image"} if inner else WIDE_WRITERS
        self.last = last
        self.steps = {step.buffer: step for step in recording.steps}
        weights = [tensor for step in recording.steps for tensor in step.tensors.values()]
        self.real = not any(tensor.is_meta for tensor in weights)
        self.calls: list[Call] = []
        self.held: dict[int, Held] = {}
        self.next_buffer = max(self.steps, default=IMAGE) + 1
        self._settle_groups()

    # --- scales and types ---------------------------------------------------------------------------------------

    def _settle_groups(self) -> None:
        """Give each set of buffers that share a scale its number of bits and its step."""
        group = {buffer: buffer for buffer in (IMAGE, *self.steps)}

        def find(buffer: int) -> int:
            while group[buffer] != buffer:
                buffer = group[buffer]
            return buffer

        for joined in self.recording.joined:
            first, *others = joined
            for other in others:
                group[find(other)] = find(first)
        readers: dict[int, set[str]] = defaultdict(set)
        for step in self.recording.steps:
            for view in step.inputs:
                for buffer in view.buffers:
                    readers[find(buffer)].add(step.kind)
        members: dict[int, list[int]] = defaultdict(list)
        for buffer in group:
            members[find(buffer)].append(buffer)
        self.bits, self.scale = {}, {}
        for root, buffers in members.items():
            writers = {self.steps[buffer].kind if buffer in self.steps else "image" for buffer in buffers}
            wide = readers[root] <= WIDE_READERS and writers <= self.writers
            largest = max(self.steps[b].largest if b in self.steps else self.recording.largest for b in buffers)
            for buffer in buffers:
                self.bits[buffer] = 16 if wide else 8
                self.scale[buffer] = arithmetic.symmetric_scale(largest, self.bits[buffer])

    def dtype(self, buffer: int) -> str:
        """Return the type of a buffer's numbers."""
        return f"int{self.bits[buffer]}"

    def scale_of(self, view: View) -> float:
        """Return the real value of one step of what a view reads."""
        return self.scale[min(view.buffers)]

    def bits_of(self, view: View) -> int:
        return self.bits[min(view.buffers)]

    # --- the plan -----------------------------------------------------------------------------------------------

    def plan(self) -> Plan:
        recording = self.recording
        output = recording.output
        last = recording.steps[-1]
        raw = self.last and last.kind == "linear" and output.buffers == {last.buffer} and "low" not in last.settings
        for step in recording.steps:
            if step.kind == "linear" and raw and step is last:
                scale: Array | float = self._linear(step, raw=True)
            else:
                getattr(self, f"_{step.kind}")(step)
        if raw and is_whole(output.addresses, prod(last.shape)):
            buffer = last.buffer
        else:
            buffer, scale = self.materialise(output, "output"), self.scale_of(output)
        image = Argument((prod(recording.image),), self.dtype(IMAGE))
        return Plan(self.calls, self.held, image, self.scale[IMAGE], buffer, tuple(output.addresses.shape[1:]), scale)

    def new_buffer(self) -> int:
        self.next_buffer += 1
        return self.next_buffer - 1

    def call(
        self, kernel: Kernel, step: Step, kind: str, inputs: list[int], outputs: list[int], constants: list[Array]
    ) -> None:
        self.calls.append(Call(kernel, step.layer, kind, inputs, outputs, constants if self.real else []))

    def materialise(self, view: View, layer: str) -> int:
        """Return a buffer that holds what a view reads, in order; copied where it does not lie so."""
        size = view.addresses.numel()
        if len(view.buffers) == 1:
            buffer = min(view.buffers)
            held = prod(self.steps[buffer].shape) if buffer in self.steps else prod(self.recording.image)
            if size == held and is_whole(view.addresses, size):
                return buffer
        rows = view.addresses.reshape(-1, view.addresses.shape[-1]).numpy()
        found, length, zeros = pieces(rows)
        dtype = f"int{self.bits_of(view)}"
        sources = [piece.buffer for piece in found]
        sizes = [prod(self.steps[b].shape) if b in self.steps else prod(self.recording.image) for b in sources]
        kernel = Gather(tuple(sizes), tuple(len(piece.table) for piece in found), length, size, dtype, zeros)
        tables: list[Array] = [piece.table for piece in found]
        buffer = self.new_buffer()
        self.bits[buffer], self.scale[buffer] = self.bits_of(view), self.scale_of(view)
        self.calls.append(Call(kernel, layer, "gather", sources, [buffer], tables))
        return buffer

    # --- one method per kind of step ----------------------------------------------------------------------------

    def _constant(self, step: Step) -> None:
        values = step.tensors["values"]
        held: Array | None = None
        if self.real:
            integers = arithmetic.quantise(_numpy(values), self.scale[step.buffer], self.bits[step.buffer])
            held = integers.astype(self.dtype(step.buffer)).reshape(-1)
        self.held[step.buffer] = Held(Argument((values.numel(),), self.dtype(step.buffer)), held)

    def _linear(self, step: Step, raw: bool = False) -> Array:
        (view,) = step.inputs
        depth = view.addresses.shape[-1]
        rows = view.addresses.reshape(-1, depth)
        order = None if is_whole(rows, rows.numel()) else best_order(rows.numpy())
        if order is not None:
            view = View(rows[:, order], view.buffers)
        source = self.materialise(view, step.layer)
        columns = step.shape[-1]
        low = step.settings.get("low", -(2 ** (self.bits[step.buffer] - 1)))
        output = "int32" if raw else self.dtype(step.buffer)
        kernel = Product(1, len(rows), columns, depth, self.isa, output, low)
        constants: list[Array] = []
        scale = np.ones(columns)
        if self.real:
            weight = _numpy(step.tensors["weight"])
            weight = weight if order is None else weight[:, order]
            largest = np.abs(weight).max(1)
            steps = np.maximum(largest, max(1e-4 * float(largest.max()), 1e-8)) / 127
            integers = arithmetic.quantise(weight, steps[:, None], 8)
            scale = steps * self.scale_of(view)
            bias = np.zeros(columns) if "bias" not in step.tensors else _numpy(step.tensors["bias"])
            bias = np.rint(bias / scale).astype(np.int64)
            arithmetic.check_sums(integers, bias, step.layer)
            change = None if raw else arithmetic.dyadic(scale / self.scale[step.buffer], step.layer)
            constants = kernel.constants(integers.astype(np.int8), bias, change)
        kind = "convolution" if step.settings.get("convolution") else "matmul"
        self.call(kernel, step, kind, [source], [step.buffer], constants)
        return scale

    def _attention(self, step: Step) -> None:
        query, key, value = (self.materialise(view, step.layer) for view in step.inputs)
        *groups, tokens, depth = step.inputs[0].addresses.shape
        keys, out_depth = step.inputs[2].addresses.shape[-2:]
        batch = prod(groups)
        score_scale = max(arithmetic.symmetric_scale(step.settings["scores"], 8), FINEST_SCORES)
        packed, bias, scores, weights, packed_values, value_bias = (self.new_buffer() for _ in range(6))
        pack_keys = Pack(batch, keys, depth, False, self.isa)
        self.call(pack_keys, step, "gather", [key], [packed, bias], [])
        product = Product(batch, tokens, keys, depth, self.isa, "int8", -128, packed_here=True)
        factor = self.scale_of(step.inputs[0]) * self.scale_of(step.inputs[1]) * step.settings["factor"]
        change = arithmetic.dyadic(np.full(keys, factor / score_scale), step.layer)
        self.call(product, step, "attention_scores", [query, packed, bias], [scores], product.change(change))
        softmax = Shiftmax(batch * tokens, keys)
        extra = arithmetic.shiftmax_extra_bits(step.settings["peak"])
        constants = softmax.constants(arithmetic.shiftmax_constants(score_scale, keys, step.layer), extra, step.layer)
        self.call(softmax, step, "softmax", [scores], [weights], constants)
        pack_values = Pack(batch, keys, out_depth, True, self.isa)
        self.call(pack_values, step, "gather", [value], [packed_values, value_bias], [])
        product = Product(batch, tokens, out_depth, keys, self.isa, "int8", -128, packed_here=True)
        ratio = self.scale_of(step.inputs[2]) / 2 ** (7 + extra) / self.scale[step.buffer]
        change = arithmetic.dyadic(np.full(out_depth, ratio), step.layer)
        inputs = [weights, packed_values, value_bias]
        self.call(product, step, "attention_values", inputs, [step.buffer], product.change(change))

    def _layer_norm(self, step: Step) -> None:
        (view,) = step.inputs
        channels = step.shape[-1]
        kernel = LayerNorm(prod(step.shape) // channels, channels, f"int{self.bits_of(view)}", self.dtype(step.buffer))
        constants: list[Array] = []
        source = self.materialise(view, step.layer)
        if self.real:
            gamma = _numpy(step.tensors["weight"]) if "weight" in step.tensors else np.ones(channels)
            beta = _numpy(step.tensors["bias"]) if "bias" in step.tensors else np.zeros(channels)
            scale = self.scale[step.buffer]
            change = arithmetic.dyadic(gamma * golden.layer_norm_step(channels) / scale, step.layer)
            addend = arithmetic.addend(beta / scale, change, step.layer)
            constants = kernel.constants(change, addend)
        self.call(kernel, step, "norm", [source], [step.buffer], constants)

    def _gelu(self, step: Step) -> None:
        (view,) = step.inputs
        channels = step.shape[-1]
        source = self.materialise(view, step.layer)
        scale = self.scale_of(view)
        change = arithmetic.dyadic(golden.gelu_steps(scale) / self.scale[step.buffer], step.layer)
        constants = [golden.shiftgelu_table(scale, change, step.layer)] if self.real else []
        self.call(
            Shiftgelu(prod(step.shape) // channels, channels), step, "activation", [source], [step.buffer], constants
        )

    def _table(self, step: Step) -> None:
        (view,) = step.inputs
        source = self.materialise(view, step.layer)
        table = golden.table(step.settings["function"], self.scale_of(view), self.scale[step.buffer])
        self.call(Lookup(prod(step.shape)), step, "activation", [source], [step.buffer], [table])

    def _add(self, step: Step) -> None:
        sources = [self.materialise(view, step.layer) for view in step.inputs]
        a, b = (f"int{self.bits_of(view)}" for view in step.inputs)
        changes = [arithmetic.dyadic(self.scale_of(view) / self.scale[step.buffer], step.layer) for view in step.inputs]
        kernel = Add(prod(step.shape), a, b, self.dtype(step.buffer))
        self.call(kernel, step, "elementwise", sources, [step.buffer], kernel.constants(*changes))

    def _mean(self, step: Step) -> None:
        (view,) = step.inputs  # (..., channels, terms)
        channels, terms = view.addresses.shape[-2:]
        source = self.materialise(View(view.addresses.transpose(-1, -2), view.buffers), step.layer)
        rows = prod(step.shape) // channels
        kernel = Mean(rows, terms, channels, f"int{self.bits_of(view)}", self.dtype(step.buffer))
        change: Dyadic = arithmetic.dyadic(self.scale_of(view) / self.scale[step.buffer] / terms, step.layer)
        self.call(kernel, step, "pooling", [source], [step.buffer], kernel.constants(change))


def _numpy(tensor: Tensor) -> Array:
    array: Array = tensor.detach().double().cpu().numpy()
    return array
