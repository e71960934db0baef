"""TVM's ONNX importer, with converters of this library for operators that it gets wrong.

A converter gets one node with its inputs as typed Relax expressions. It returns the node's value,
or None if TVM's own converter is right. Knows no operator by name.
"""

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
import tvm
from tvm import relax
from tvm.relax.frontend.onnx.onnx_frontend import ONNXGraphImporter

from ...errors import QuakeError
from ...kernels.size_check import Need, Pair, held


@dataclass(frozen=True)
class Node:
    """An ONNX node during its conversion to Relax."""

    operator: str
    inputs: list[relax.Expr]  # None for an optional input that is left out
    attributes: Mapping[str, Any]  # strings are str, lists are tuples
    outputs: int = 1

    def input(self, index: int) -> relax.Expr | None:
        """An optional input; None if the node leaves it out."""
        return self.inputs[index] if index < len(self.inputs) else None

    def constant(self, index: int) -> np.ndarray | None:
        """The value of an optional input; None if the node leaves it out.

        Raises
        ------
        QuakeError
            If the input is computed at run time.
        """
        value = self.input(index)
        if value is None:
            return None
        if isinstance(value, tvm.ir.GenericConst):
            return value.value.numpy()
        if isinstance(value, relax.ShapeExpr) and all(hasattr(n, "value") for n in value.values):
            return np.array([n.value for n in value.values], np.int64)
        raise self.refuse(f"input {index} must be a constant")

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

    def shape(self, index: int = 0) -> list[int | tvm.ir.Expr]:
        """An input's extents. Dynamic extents are expressions instead of ints.

        Raises
        ------
        QuakeError
            If the rank is unknown.
        """
        ty = self.inputs[index].ty
        if ty.shape is None:
            raise self.refuse(f"the rank of input {index} must be known")
        return [n.value if hasattr(n, "value") else n for n in ty.shape]

    def dtype(self, index: int = 0) -> str:
        """An input's element type."""
        return str(self.inputs[index].ty.dtype)

    def require(self, builder: relax.BlockBuilder, within: list[Pair], problem: str) -> None:
        """Make the first input depend on a check: in no pair may the first size exceed the second.

        Raises
        ------
        QuakeError
            For sizes that never fit.
        """
        self.inputs[0] = held(builder, self.inputs[0], [Need(within, self.operator, problem)])

    def refuse(self, reason: str) -> QuakeError:
        """The error for a node that cannot be converted."""
        return QuakeError(f"cannot import {self.operator}: {reason}")


Converter = Callable[[relax.BlockBuilder, Node], relax.Expr | None]


class Importer(ONNXGraphImporter):
    """TVM's importer with other converters for some operators.

    Parameters
    ----------
    converters : mapping of operator name to converter
    shapes : mapping of input name to static shape
    """

    def __init__(
        self, converters: Mapping[str, Converter], shapes: Mapping[str, list[int]]
    ) -> None:
        super().__init__(dict(shapes), "float32", keep_params_in_input=False, sanitize=False)
        self._converters = converters

    def convert(self, model: onnx.ModelProto) -> tvm.IRModule:
        """The model as a Relax module.

        Raises
        ------
        QuakeError
            From a converter of this library. TVM's converters may raise any error.
        """
        opset = next((o.version for o in model.opset_import if o.domain == ""), 1)
        for value in model.graph.input:
            for dim in value.type.tensor_type.shape.dim:
                if dim.HasField("dim_value") and dim.dim_value == 0:
                    dim.dim_param = "0"  # TVM's importer reads a size of 0 as an open dimension
        try:
            return self.from_onnx(model.graph, opset)
        except BaseException as error:
            with suppress(tvm.error.InternalError):  # raised when no block is open
                while True:
                    self.bb._end_block()  # TVM complains about a block that is left open
            if isinstance(error, _Failed):
                raise error.error from None
            raise

    def _convert_operator(
        self, op_name: str, inputs: list[relax.Expr | None], attrs: dict[str, Any], opset: int
    ) -> relax.Expr:
        try:
            return self._converted(op_name, inputs, attrs, opset)
        except Exception as error:
            raise _Failed(error) from None

    def _converted(
        self, op_name: str, inputs: list[relax.Expr | None], attrs: dict[str, Any], opset: int
    ) -> relax.Expr:
        converter = self._converters.get(op_name)
        if converter is not None:
            given = {k: _text(v) for k, v in attrs.items() if k != "tvm_custom"}
            outputs = attrs.get("tvm_custom", {}).get("num_outputs", 1)
            node = Node(op_name, list(inputs), given, outputs)
            value = converter(self.bb, node)
            if value is not None:
                return self.bb.normalize(value)
            inputs[:] = node.inputs
        return super()._convert_operator(op_name, inputs, attrs, opset)


class _Failed(BaseException):
    """Carries a converter's error past TVM, which prints every Exception on standard output."""

    def __init__(self, error: Exception) -> None:
        super().__init__(error)
        self.error = error


def _text(value: object) -> object:
    return value.decode() if isinstance(value, bytes) else value
