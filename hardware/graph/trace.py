"""From a torch module to its operators: the module runs once on the meta device, where nothing is computed.

Two hooks of torch watch the run. One sees the calls that mean something as a whole (a linear layer, an attention, a
matrix product with its full shapes); the other sees every torch operator below, so that nothing escapes. Views cost
nothing and make no operator; an operator's inputs are found through the storage they live in.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from math import prod
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

from hardware.graph.kinds import CREATION, attributes_of, kind_of
from hardware.graph.operator import Operator
from hardware.graph.products import as_attention, score_products
from hardware.graph.shortcuts import known_output
from hardware.graph.tensors import free_name, is_torch_layer, named, numbers_in, shape_of, storage_of, tensors_in

if TYPE_CHECKING:
    import networkx as nx

BYTES = 4  # of a number in single precision
_PRODUCT_CALLS = {torch.matmul, torch.bmm, Tensor.matmul, Tensor.bmm, Tensor.__matmul__, Tensor.__rmatmul__}
_WATCHED = {F.linear, F.scaled_dot_product_attention, *_PRODUCT_CALLS}


def trace_module(module: nn.Module, input_shape: tuple[int, ...], block: str = "", stage: int = 0) -> nx.DiGraph:
    """Return the operators of a module for one image.

    The sums over the operators are exact: multiply-accumulates as `torch.utils.flop_counter` counts them, halved,
    and every parameter once, at the first operator that reads it. Parameters that nothing reads are at an operator
    named ``unread``, which reads and writes nothing.

    Args:
        module: built on the meta device; it is put in evaluation mode.
        input_shape: shape of its input without the batch.
        block, stage: written into every operator.

    Returns:
        A graph whose nodes are the names of the operators, each with the attribute `operator`, in the order of
        execution; edges follow the tensors. The graph has the attributes `input_shape` and `output_shape`, and
        `readers` and `writers`: the names of the operators that read the input and wrote the output. Names follow
        the module tree; an operator without a module of its own is named by its function, as in
        ``attention.softmax``.

    A fused attention is three operators (attention_scores, softmax, attention_values) with the attribute `fused`;
    their bytes are those of the three done one after the other. Operators that only work on parameters (such as the
    look-up of a table of position biases) have the attribute `constant`: their cost does not grow with the batch.

    >>> with torch.device("meta"):
    ...     layer = nn.Sequential(nn.Linear(8, 4), nn.ReLU())
    >>> [(n, o.kind, o.macs) for n, o in trace_module(layer, (10, 8)).nodes(data="operator")]
    [('0', 'matmul', 320), ('1', 'activation', 0)]
    """
    image = torch.empty(1, *input_shape, device="meta")
    tracer = _Tracer(module, image, block, stage)
    with torch.no_grad(), tracer.watch():
        output = module.eval()(image)
    return tracer.graph(output)


class _Tracer:
    """Collects the operators of one run of one module."""

    def __init__(self, module: nn.Module, image: Tensor, block: str, stage: int) -> None:
        self.image = image
        self.block, self.stage = block, stage
        self.operators: dict[str, Operator] = {}
        self.edges: dict[tuple[str, str], None] = {}
        self._readers: dict[str, None] = {}
        self._path: list[str] = [""]
        self._modules: dict[str, nn.Module] = {}
        self._leaves: dict[str, bool] = {}  # which of them are one operator of torch
        self._producer: dict[int, str] = {}  # storage to the operator that wrote it last
        self._unowned: dict[int, int] = {}  # storage of a parameter no operator has read yet, to its size
        self._constant: set[int] = set()  # storages that do not depend on the input
        self._unfolded: dict[int, list[tuple[int, int]]] = {}  # storage to (size, step) of the unfoldings of views
        self._alive: list[Tensor] = []  # a storage that is freed could come back as another tensor's
        for name, inner in module.named_modules():  # one walk; parameters() and buffers() would be two more
            self._leaves[name] = not inner._modules and is_torch_layer(inner)
            self._modules[name] = inner
            self._unowned.update((storage_of(p), p.numel()) for p in inner._parameters.values() if p is not None)
            self._constant.update(storage_of(b) for b in inner._buffers.values() if b is not None)
        self._constant.update(self._unowned)

    @contextmanager
    def watch(self) -> Iterator[None]:
        """Follow everything that runs inside."""
        hooks = []
        for name, module in self._modules.items():
            hooks.append(module.register_forward_pre_hook(partial(self._enter, name)))
            hooks.append(module.register_forward_hook(self._leave))
        try:
            with _Calls(self), _Operators(self):
                yield
        finally:
            for hook in hooks:
                hook.remove()

    def _enter(self, name: str, *_: Any) -> None:
        self._path.append(name)

    def _leave(self, *_: Any) -> None:
        self._path.pop()

    def graph(self, output: Tensor) -> nx.DiGraph:
        """Return what was collected."""
        import networkx as nx

        if self._unowned:
            params = sum(self._unowned.values())
            self._add("gather", "unread", [], [], {"function": "unread", "constant": True}, params=params)
        writer = self._producer.get(storage_of(output))
        graph = nx.DiGraph(
            input_shape=tuple(self.image.shape[1:]),
            output_shape=tuple(output.shape[1:]),
            readers=tuple(self._readers),
            writers=() if writer is None else (writer,),
        )
        scores = score_products(self.operators, self.edges)
        names: dict[str, str] = {}
        for name, operator in self.operators.items():
            if operator.kind == "product":
                kind = "attention_scores" if name in scores else "attention_values"
                names[name] = free_name(name.rpartition("product")[0] + kind, graph)
                operator = as_attention(operator, names[name], kind)
            graph.add_node(operator.name, operator=operator)
        graph.add_edges_from((names.get(a, a), names.get(b, b)) for a, b in self.edges)
        return graph

    # --- whole calls ----------------------------------------------------------------------------------------

    def call(self, func: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any]) -> Tensor:
        """Record a watched call as what it means; its output follows from the shapes, so nothing is run."""
        if func is F.scaled_dot_product_attention:
            query, key, value, mask = named(("query", "key", "value", "attn_mask"), args, kwargs)
            output = query.new_empty((*query.shape[:-1], value.shape[-1]))
            self._attention(output, query, key, value, mask)
        elif func is F.linear:
            x, weight, bias = named(("input", "weight", "bias"), args, kwargs)
            output = x.new_empty((*x.shape[:-1], weight.shape[0]))
            self._matmul(x, weight, bias, output)
        else:
            first, second = [a for a in (*args, *kwargs.values()) if isinstance(a, Tensor)][:2]
            if func is Tensor.__rmatmul__:
                first, second = second, first
            batch = torch.broadcast_shapes(first.shape[:-2], second.shape[:-2])
            rows, columns = first.shape[-2:-1], second.shape[-1:] if second.dim() > 1 else ()
            output = first.new_empty((*batch, *rows, *columns))
            self._product(first, second, [], output)
        return output

    def _matmul(self, x: Tensor, weight: Tensor, bias: Tensor | None, output: Tensor) -> None:
        sizes = {"tokens": x.numel() // x.shape[-1], "in_features": x.shape[-1], "out_features": output.shape[-1]}
        inputs = [t for t in (x, weight, bias) if t is not None]
        self._add("matmul", "linear", inputs, [output], sizes, macs=x.numel() * weight.shape[0])

    def _product(self, first: Tensor, second: Tensor, more: Sequence[Tensor], output: Tensor) -> None:
        """Record a product of two matrices: a linear layer if one is made of parameters, else a part of attention."""
        inputs = [first, second, *more]
        macs = output.numel() * first.shape[-1]
        weights = [storage_of(t) in self._constant for t in (first, second)]
        if any(weights):
            x = second if weights[0] and not weights[1] else first
            features = x.shape[-2] if x is second and x.dim() > 1 else x.shape[-1]
            sizes = {"tokens": x.numel() // features, "in_features": features}
            sizes["out_features"] = macs // x.numel() if x.numel() else 0
            self._add("matmul", "matmul", inputs, [output], sizes, macs=macs)
            return
        batch = first.shape[:-2]
        sizes = {
            "heads": batch[-1] if len(batch) > 1 else 1,
            "windows": prod(batch[:-1]) if len(batch) > 1 else prod(batch),
            "rows": first.shape[-2] if first.dim() > 1 else 1,
            "inner": first.shape[-1],
            "columns": second.shape[-1] if second.dim() > 1 else 1,
        }
        self._add("product", "product", inputs, [output], sizes, macs=macs)

    def _attention(self, output: Tensor, query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None) -> None:
        """Record a fused attention as its three operators."""
        *batch, tokens, head_dim = query.shape
        keys = key.shape[-2]
        sizes = {
            "heads": batch[-1] if len(batch) > 1 else 1,
            "windows": prod(batch[:-1]),
            "tokens": tokens,
            "keys": keys,
            "head_dim": head_dim,
            "fused": True,
        }
        scores = query.new_empty((*batch, tokens, keys))
        weights = query.new_empty(scores.shape)
        macs = prod(batch) * tokens * keys
        masked = [] if mask is None else [mask]
        self._add("attention_scores", "attention_scores", [query, key], [scores], sizes, macs=macs * head_dim)
        self._add(
            "softmax", "softmax", [scores, *masked], [weights], {**sizes, "width": keys, "masked": mask is not None}
        )
        values = {**sizes, "head_dim": value.shape[-1]}
        self._add(
            "attention_values", "attention_values", [weights, value], [output], values, macs=macs * value.shape[-1]
        )

    # --- single torch operators -----------------------------------------------------------------------------

    def operator(self, func: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        """Run one torch operator and record it."""
        name = func.overloadpacket.__name__
        if name in CREATION:  # makes room, or a constant
            output = func(*args, **kwargs)
            self._alive.append(output)
            self._constant.add(storage_of(output))
            return output
        output = known_output(name, args, kwargs)
        if output is None:
            output = func(*args, **kwargs)
        outputs = tensors_in((output,))
        inputs = tensors_in(args) + tensors_in(kwargs.values())
        self._alive += outputs
        if not outputs:
            return output
        if not inputs:  # the module makes a constant, such as arange
            self._constant.update(map(storage_of, outputs))
            return output
        sources = {storage_of(t) for t in inputs}
        if not func._schema.is_mutable and all(storage_of(t) in sources for t in outputs):
            self._view(name, args, outputs)
        elif name == "_unsafe_view":
            self._move(inputs[0], outputs[0])
        else:
            self._single(name, func, args, kwargs, inputs, outputs)
        return output

    def _single(
        self,
        name: str,
        func: Any,
        args: Sequence[Any],
        kwargs: Mapping[str, Any],
        inputs: list[Tensor],
        outputs: list[Tensor],
    ) -> None:
        kind = kind_of(name)
        count = flop_registry.get(func.overloadpacket)
        macs = count(*args, **kwargs, out_val=outputs[0]) // 2 if count is not None else 0
        arguments = {a.name: value for a, value in zip(func._schema.arguments, args, strict=False)} | dict(kwargs)
        if "scaled_dot_product" in name:
            query, key, value = inputs[:3]
            self._attention(outputs[0], query, key, value, None)
            return
        if kind == "product":
            factors = inputs[-2:]
            self._product(factors[0], factors[1], inputs[:-2], outputs[0])
            return
        attributes = attributes_of(name, kind, arguments)
        if name == "clone" and (steps := self._unfolded.pop(storage_of(inputs[0]), None)):
            kind = "unfold"
            attributes = {"kernel": tuple(size for size, _ in steps), "stride": tuple(step for _, step in steps)}
        if kind == "softmax":
            attributes = {"width": outputs[0].shape[int(args[1])]}
        word = kind if kind == "unfold" else name.strip("_")
        self._add(kind, word, inputs, outputs, attributes, macs=macs)

    def _view(self, name: str, args: Sequence[Any], outputs: Sequence[Tensor]) -> None:
        if name == "unfold":
            self._unfolded.setdefault(storage_of(outputs[0]), []).append((int(args[2]), int(args[3])))

    def _move(self, source: Tensor, target: Tensor) -> None:
        """A view that torch made a tensor of its own for."""
        if (producer := self._producer.get(storage_of(source))) is not None:
            self._producer[storage_of(target)] = producer
        if storage_of(source) in self._constant:
            self._constant.add(storage_of(target))

    # --- recording ------------------------------------------------------------------------------------------

    def _add(
        self,
        kind: str,
        word: str,
        inputs: Sequence[Tensor],
        outputs: Sequence[Tensor],
        attributes: Mapping[str, Any],
        macs: int = 0,
        params: int = 0,
    ) -> None:
        name = self._name(kind, word)
        data = [t for t in inputs if storage_of(t) not in self._constant]
        params += sum(self._unowned.pop(storage_of(t), 0) for t in inputs)
        attributes = dict(attributes) if data else {**attributes, "constant": True}
        for tensor in inputs:
            if storage_of(tensor) == storage_of(self.image):
                self._readers[name] = None
            if (producer := self._producer.get(storage_of(tensor))) not in (None, name):
                self.edges[str(producer), name] = None
        self._alive += [*inputs, *outputs]
        for tensor in outputs:
            self._producer[storage_of(tensor)] = name
            (self._constant.discard if data else self._constant.add)(storage_of(tensor))
        self.operators[name] = Operator(
            name=name,
            kind=kind,
            inputs=tuple(shape_of(t) for t in data),
            output=shape_of(outputs[0]) if outputs else (0,),
            macs=macs,
            params=params,
            bytes_read=BYTES * sum(map(numbers_in, data)),
            bytes_written=BYTES * outputs[0].numel() if outputs else 0,
            block=self.block,
            stage=self.stage,
            attributes=tuple(attributes.items()),
        )

    def _name(self, kind: str, word: str) -> str:
        """Return a name nobody has: that of the module where it is one operator of torch, else with the function's."""
        path = self._path[-1]
        own = self._leaves.get(path, False) and kind not in ("elementwise", "gather")
        name = path if own and path else f"{path}.{word}" if path else word
        return free_name(name, self.operators, "." if own else "")


class _Calls(TorchFunctionMode):
    """Hands the calls that mean something as a whole to the tracer."""

    def __init__(self, tracer: _Tracer) -> None:
        self.tracer = tracer

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        if func in _WATCHED:
            return self.tracer.call(func, args, kwargs or {})
        return func(*args, **(kwargs or {}))


class _Operators(TorchDispatchMode):
    """Hands every torch operator to the tracer."""

    def __init__(self, tracer: _Tracer) -> None:
        super().__init__()
        self.tracer = tracer

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        return self.tracer.operator(func, args, kwargs or {})
