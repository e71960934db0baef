"""An ONNX node during its conversion to Relax: its inputs, and what is known of them.

Knows no operator by name.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import tvm
from tvm import relax

from ...errors import QuakeError
from ...kernels.size_check import Need, Pair, held
from .elements import Quotient, varies
from .extents import Extent, Extents, expression, plain
from .sizes import Numbers


@dataclass(frozen=True)
class Node:
    """An ONNX node during its conversion to Relax.

    Attributes
    ----------
    operator : str
    inputs : list of Expr
        None for an optional input that is left out.
    attributes : mapping of str to Any
        Strings are str, lists are tuples.
    outputs : int
        How many.
    known : sequence of Numbers or None
        The inputs whose elements are known.
    extents : Extents
    """

    operator: str
    inputs: list[relax.Expr]
    attributes: Mapping[str, Any]
    outputs: int = 1
    known: Sequence[Numbers | None] = ()
    extents: Extents = field(default_factory=Extents)

    def input(self, index: int) -> relax.Expr | None:
        """An optional input; None if the node leaves it out."""
        return self.inputs[index] if index < len(self.inputs) else None

    def numbers(self, index: int) -> list[Extent] | None:
        """The elements of an input of integers; None if it is left out or computed at run time."""
        known = self.known[index] if index < len(self.known) else None
        return None if known is None else list(known.elements.flat)

    def constant(self, index: int) -> np.ndarray | None:
        """The value of an optional input; None if the node leaves it out.

        Raises
        ------
        QuakeError
            If the input is computed at run time, or varies with the model's inputs' extents.
        """
        value = self.input(index)
        if value is None:
            return None
        if isinstance(value, tvm.ir.GenericConst):
            return value.value.numpy()
        known = self.known[index] if index < len(self.known) else None
        constant = None if known is None else known.constant()
        if constant is None:
            raise self.refuse(f"input {index} must be a constant")
        return constant

    def required(self, index: int) -> np.ndarray:
        """The value of an input that must be a constant.

        Raises
        ------
        QuakeError
            If the input is left out or computed at run time.
        """
        value = self.constant(index)
        if value is None:
            raise self.refuse(f"input {index} is missing")
        return value

    def shape(self, index: int = 0) -> list[Extent]:
        """An input's extents. Dynamic extents are expressions instead of ints.

        Raises
        ------
        QuakeError
            If the rank is unknown.
        """
        ty = self.inputs[index].ty
        if ty.shape is None:
            raise self.refuse(
                f"the rank of input {index} must be known: give shapes for the model's inputs"
            )
        return [plain(n) for n in ty.shape]

    def dtype(self, index: int = 0) -> str:
        """An input's element type."""
        return str(self.inputs[index].ty.dtype)

    def tensor(self, builder: relax.BlockBuilder, index: int) -> relax.Expr:
        """An input as a tensor, also if it is given as sizes."""
        if isinstance(self.inputs[index].ty, relax.TensorType):
            return self.inputs[index]
        known = self.known[index]
        return self.inputs[index] if known is None else tensor(builder, known)

    def require(
        self, builder: relax.BlockBuilder, within: list[Pair], problem: str, index: int = 0
    ) -> None:
        """Make an input depend on a check: in no pair may the first size exceed the second.

        Raises
        ------
        QuakeError
            For sizes that never fit.
        """
        unproven = [
            (a, b)
            for a, b in within
            if (isinstance(a, int) and isinstance(b, int))
            or not self.extents.proves(expression(a) <= b)
        ]
        need = Need(unproven, self.operator, problem)
        self.inputs[index] = held(builder, self.inputs[index], [need])

    def refuse(self, reason: str) -> QuakeError:
        """The error for a node that cannot be converted."""
        return QuakeError(f"cannot import {self.operator}: {reason}")


Converter = Callable[[relax.BlockBuilder, Node], relax.Expr | None]


def tensor(builder: relax.BlockBuilder, numbers: Numbers) -> relax.Expr:
    """Known numbers as a tensor: a constant, or computed from the extents at run time."""
    dtype = str(numbers.dtype)
    constant = numbers.constant()
    if constant is not None:
        return relax.const(constant, dtype)
    sizes, bottoms, rest = [], [], []
    for element in numbers.elements.flat:
        top, bottom, other = element, 1, 0
        if isinstance(element, Quotient):
            top, bottom = element.top, element.bottom
        elif not varies(element):
            top, other = 0, element
        elif str(element.ty.dtype) == "bool":
            top = tvm.tirx.Select(element, expression(1), expression(0))
        sizes.append(expression(top))
        bottoms.append(bottom)
        rest.append(other)
    value = builder.emit(relax.op.shape_to_tensor(relax.ShapeExpr(sizes)))
    value = builder.emit(relax.op.astype(value, dtype))
    shape = numbers.elements.shape
    if len(shape) != 1:
        value = builder.emit(relax.op.reshape(value, shape))
    if any(b != 1 for b in bottoms):
        divisors = np.array(bottoms, numbers.dtype).reshape(shape)
        value = builder.emit(relax.op.divide(value, relax.const(divisors, dtype)))
    if any(rest):
        others = np.array(rest, numbers.dtype).reshape(shape)
        join = relax.op.logical_or if dtype == "bool" else relax.op.add
        value = builder.emit(join(value, relax.const(others, dtype)))
    return value
