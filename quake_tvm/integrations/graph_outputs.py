"""The outputs of a Dynamo graph: which values are computed, and what follows from them.

An output that shares memory in eager mode, with an argument or with another output, shares it here:
it is a view of the argument or of one computed value. A number follows from the inputs' sizes.
Knows torch, and nothing of this library.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

import sympy
import torch
from torch import fx

Arguments = Sequence[Any]
Found = Sequence[torch.Tensor]
Sizes = Mapping[sympy.Symbol, sympy.Integer]
Output = Callable[[Arguments, Found, Sizes], Any]


class Unsuitable(Exception):
    """The graph cannot be compiled; the message says why."""


class GraphOutputs:
    """What a graph returns, from its arguments and from the values that are computed.

    Parameters
    ----------
    graph : torch.fx.Graph
    axes : mapping of str to (int, int)
        The name of a size to the position of an argument and its axis.

    Attributes
    ----------
    computed : list of torch.fx.Node
        The values to compute.

    Raises
    ------
    Unsuitable
        For numbers that depend on data, and for views that these values cannot give.
    """

    def __init__(self, graph: fx.Graph, axes: Mapping[str, tuple[int, int]]) -> None:
        self.computed: list[fx.Node] = []
        self._axes = axes
        self._read: dict[sympy.Symbol, tuple[int, int]] = {}
        self._placeholders = graph.find_nodes(op="placeholder")
        self._owners: dict[int, list[fx.Node]] = {}
        for node in graph.nodes:
            if (memory := memory_of(node)) is not None:
                self._owners.setdefault(memory, []).append(node)
        (raw,) = graph.output_node().args
        returned = cast(tuple[Any, ...], raw)
        shared: dict[int, set[fx.Node]] = {}
        for value in returned:
            if isinstance(value, fx.Node) and (memory := memory_of(value)) is not None:
                shared.setdefault(memory, set()).add(value)
        self._alone = {memory for memory, nodes in shared.items() if len(nodes) == 1}
        self._outputs = [self._output(value) for value in returned]

    def __call__(self, arguments: Arguments, found: Found) -> tuple[Any, ...]:
        """The outputs of a call, given its arguments and the computed values."""
        sizes = {
            symbol: sympy.Integer(arguments[k].shape[axis])
            for symbol, (k, axis) in self._read.items()
        }
        return tuple(output(arguments, found, sizes) for output in self._outputs)

    def _output(self, value: Any) -> Output:
        if not isinstance(value, fx.Node):
            return lambda arguments, found, sizes: value
        if value.op == "placeholder":
            position = self._placeholders.index(value)
            return lambda arguments, found, sizes: arguments[position]
        example = value.meta["example_value"]
        if isinstance(example, torch.SymInt | torch.SymFloat | torch.SymBool | int | float):
            return self._number(example)
        memory = memory_of(value)
        if memory is None:
            return self._value(value)
        owners = self._owners[memory]
        inputs = [node for node in owners if node.op == "placeholder"]
        if len(inputs) > 1:
            raise Unsuitable(f"{value.name} is a view of inputs that share memory")
        if inputs:
            position = self._placeholders.index(inputs[0])
            return self._view(value, inputs[0], lambda arguments, found, _: arguments[position])
        if memory in self._alone:
            return self._value(value)
        base = owners[0]
        if not self._whole(base.meta["example_value"]):
            raise Unsuitable(f"{value.name} is a view of a value that is not contiguous")
        return self._view(value, base, self._value(base))

    def _value(self, node: fx.Node) -> Output:
        """A computed value."""
        if node not in self.computed:
            self.computed.append(node)
        place = self.computed.index(node)
        return lambda arguments, found, sizes: found[place]

    def _number(self, number: Any) -> Output:
        """A number that follows from the inputs' sizes."""
        kind = {torch.SymInt: int, torch.SymFloat: float, torch.SymBool: bool}.get(type(number))
        if kind is None:
            return lambda arguments, found, sizes: number
        expression = self._expression(number)
        return lambda arguments, found, sizes: kind(expression.xreplace(sizes))

    def _view(self, value: fx.Node, base: fx.Node, owner: Output) -> Output:
        """A view of the tensor that ``owner`` gives, which the graph calls ``base``."""
        view, whole = value.meta["example_value"], base.meta["example_value"]
        if view.dtype != whole.dtype or view.is_conj() or view.is_neg():
            raise Unsuitable(f"{value.name} is a view of another dtype")
        size, stride = ([*map(self._number, ns)] for ns in (view.shape, view.stride()))
        offset = self._number(view.storage_offset() - whole.storage_offset())

        def viewed(arguments: Arguments, found: Found, sizes: Sizes) -> torch.Tensor:
            tensor = owner(arguments, found, sizes)
            if tensor.requires_grad and not view.requires_grad:
                tensor = tensor.detach()
            return tensor.as_strided(
                [n(arguments, found, sizes) for n in size],
                [n(arguments, found, sizes) for n in stride],
                tensor.storage_offset() + offset(arguments, found, sizes),
            )

        return viewed

    def _whole(self, tensor: torch.Tensor) -> bool:
        """Whether a tensor is contiguous and fills its memory."""
        elements = sympy.Integer(1)
        for n, stride in zip(reversed(tensor.shape), reversed(tensor.stride()), strict=True):
            size = self._expression(n)
            if size != 1 and self._expression(stride) != elements:
                return False
            elements *= size
        held = self._expression(tensor.untyped_storage().nbytes())
        return bool(sympy.expand(held - elements * tensor.element_size()) == 0)

    def _expression(self, number: Any) -> sympy.Expr:
        """A number in terms of the inputs' sizes."""
        if not isinstance(number, torch.SymInt | torch.SymFloat | torch.SymBool):
            return sympy.Integer(number)
        expression = number.node.expr
        for symbol in expression.free_symbols:
            if str(symbol) not in self._axes:
                raise Unsuitable(f"the size {symbol} of a value depends on data")
            self._read[symbol] = self._axes[str(symbol)]
        return expression


def memory_of(node: fx.Node) -> int | None:
    """The storage of a tensor; None for other values, and for tensors inside of torch.vmap."""
    example = node.meta.get("example_value")
    if (
        isinstance(example, torch.Tensor)
        and example.layout == torch.strided
        and not torch._C._functorch.is_functorch_wrapped_tensor(example)
    ):
        return example.untyped_storage()._cdata
    return None
