"""An ONNX model whose norms in single operators sum the squares of s x, for other runtimes.

The operand x of a norm becomes s x, in each of the norm's steps that reads it, and epsilon becomes
s^2 epsilon. Norms that are one operator stay: runtimes sum these in float32. Knows no TVM.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import onnx
from onnx import helper, numpy_helper

from ..errors import QuakeError
from ..importers.onnx.nodes import all_nodes

# float16's smallest number: an epsilon of 0 would make rows of zeros NaN.
_SMALLEST = 2.0**-24
_OPERATORS = {
    "EmbedLayerNormalization",
    "LayerNormalization",
    "RMSNormalization",
    "SimplifiedLayerNormalization",
    "SkipLayerNormalization",
    "SkipSimplifiedLayerNormalization",
}


class Scaled(Protocol):
    """A norm with its scale; None is no scale."""

    @property
    def scale(self) -> float | None: ...


@dataclass(frozen=True)
class _Norm:
    """A norm in single operators.

    Attributes
    ----------
    x : str
        Its operand.
    readers : list of NodeProto
        Its nodes that read the operand.
    guard : NodeProto
        The addition of epsilon.
    epsilon : str
    """

    x: str
    readers: list[onnx.NodeProto]
    guard: onnx.NodeProto
    epsilon: str


def scaled(model: onnx.ModelProto, norms: Sequence[Scaled]) -> tuple[onnx.ModelProto, int]:
    """The model with the scales in its norms.

    Parameters
    ----------
    model : onnx.ModelProto
        Its norms in single operators may be of any float type.
    norms : sequence of Norm
        Those that :func:`norm_scales` found in the model.

    Returns
    -------
    tuple of ModelProto and int
        The model, and the number of norms that were changed.

    Raises
    ------
    QuakeError
        If the file's nodes are not these norms.
    """
    result = onnx.ModelProto()
    result.CopyFrom(model)
    graph = _Graph(result)
    found = [n for node in result.graph.node if (n := graph.norm(node)) is not None]
    if len(found) != len(norms):
        raise QuakeError(
            f"the file's nodes show {len(found)} norms, and the model has {len(norms)}: its scales "
            "cannot be written"
        )
    changed = 0
    for norm, given in zip(found, norms, strict=True):
        if isinstance(norm, _Norm) and given.scale not in (None, 1.0):
            graph.scale(norm, float(given.scale or 1.0))
            changed += 1
    return result, changed


class _Graph:
    """A model's main graph: what makes a tensor, and what reads it."""

    def __init__(self, model: onnx.ModelProto) -> None:
        self.graph = model.graph
        self.makers = {name: node for node in self.graph.node for name in node.output}
        self.constants = {t.name: numpy_helper.to_array(t) for t in self.graph.initializer}
        for node in self.graph.node:
            if node.op_type == "Constant" and node.attribute[0].name == "value":
                self.constants[node.output[0]] = numpy_helper.to_array(node.attribute[0].t)
        self.uses = Counter(name for node in all_nodes(model.graph) for name in node.input)
        self.uses.update(output.name for output in self.graph.output)

    def norm(self, node: onnx.NodeProto) -> "_Norm | onnx.NodeProto | None":
        """The norm whose root a node takes, or that it is."""
        if node.op_type in _OPERATORS:
            return node
        if node.op_type != "Sqrt":
            return None
        guard = self._maker(node.input[0], "Add")
        for mean, epsilon in _orders(guard):
            average = self._maker(mean, "ReduceMean")
            square = None if average is None else self._square(average.input[0])
            if guard is not None and square is not None and self._scalar(epsilon) is not None:
                return self._whole(square, node.output[0], guard, epsilon)
        return None

    def _whole(
        self, square: onnx.NodeProto, root: str, guard: onnx.NodeProto, epsilon: str
    ) -> "_Norm | None":
        over = square.input[0]
        divided = [n for n in self.graph.node if over in n.input and self._divides(n, over, root)]
        centred = self._maker(over, "Sub")
        average = None if centred is None else self._maker(centred.input[1], "ReduceMean")
        if centred is None or average is None or average.input[0] != centred.input[0]:
            return _Norm(over, [square, *divided], guard, epsilon) if divided else None
        inside = [square, *divided]
        if self.uses[over] > sum(list(n.input).count(over) for n in inside):
            return None  # something else reads the differences from the mean
        return _Norm(average.input[0], [average, centred], guard, epsilon)

    def _divides(self, node: onnx.NodeProto, x: str, root: str) -> bool:
        """Whether a node computes x / root."""
        if node.op_type == "Div":
            return list(node.input) == [x, root]
        if node.op_type != "Mul":
            return False
        (factor,) = {*node.input} - {x} or {x}
        inverse, quotient = self._maker(factor, "Reciprocal"), self._maker(factor, "Div")
        if inverse is not None:
            return inverse.input[0] == root
        return (
            quotient is not None
            and quotient.input[1] == root
            and self._scalar(quotient.input[0]) == 1.0
        )

    def _square(self, name: str) -> onnx.NodeProto | None:
        power, product = self._maker(name, "Pow"), self._maker(name, "Mul")
        if power is not None and self._scalar(power.input[1]) == 2.0:
            return power
        if product is not None and product.input[0] == product.input[1]:
            return product
        return None

    def _maker(self, name: str, operator: str) -> onnx.NodeProto | None:
        node = self.makers.get(name)
        return node if node is not None and node.op_type == operator else None

    def _scalar(self, name: str) -> float | None:
        constant = self.constants.get(name)
        return (
            float(constant.reshape(-1)[0]) if constant is not None and constant.size == 1 else None
        )

    def scale(self, norm: _Norm, factor: float) -> None:
        """Change the norm."""
        old = self.constants[norm.epsilon]
        least = _SMALLEST if old.dtype == np.float16 else 0.0
        epsilon = max(float(old.reshape(-1)[0]) * factor**2, least)
        names = [f"{norm.guard.output[0]}_{what}" for what in ("scale", "scaled", "epsilon")]
        for name, value in ((names[0], factor), (names[2], epsilon)):
            self.graph.initializer.append(
                numpy_helper.from_array(np.full(old.shape, value, old.dtype), name)
            )
        first = min(list(self.graph.node).index(node) for node in norm.readers)
        product = helper.make_node("Mul", [norm.x, names[0]], [names[1]], names[1])
        self.graph.node.insert(first, product)
        for node in norm.readers:
            _replace(node, norm.x, names[1])
        _replace(norm.guard, norm.epsilon, names[2])
        self.uses[norm.epsilon] -= 1
        if not self.uses[norm.epsilon]:
            kept = [t for t in self.graph.initializer if t.name != norm.epsilon]
            del self.graph.initializer[:]
            self.graph.initializer.extend(kept)


def _orders(node: onnx.NodeProto | None) -> list[tuple[str, str]]:
    """The two operands in both orders."""
    return [] if node is None else [tuple(node.input), tuple(node.input)[::-1]]


def _replace(node: onnx.NodeProto, old: str, new: str) -> None:
    for place, name in enumerate(node.input):
        if name == old:
            node.input[place] = new
