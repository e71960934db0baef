"""Adds nodes with unique names to a list, for the graphs that the judge runs."""

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from .graph import session

FLOATS = {
    TensorProto.FLOAT: np.dtype(np.float32),
    TensorProto.DOUBLE: np.dtype(np.float64),
    TensorProto.FLOAT16: np.dtype(np.float16),
}

_KINDS = {
    f"tensor({name})": getattr(TensorProto, name.upper())
    for name in ("float", "double", "float16", "bool", "int32", "int64", "int8", "uint8")
}


class Writer:
    """Nodes in order.

    Parameters
    ----------
    opset : int
    types : dict
        The known element types of tensors.
    prefix : str
        A prefix of the names of new tensors.
    """

    def __init__(self, opset: int, types: dict[str, int], prefix: str) -> None:
        self.opset, self.types, self.prefix = opset, types, prefix
        self.nodes: list[onnx.NodeProto] = []

    def do(self, operator: str, *inputs: str, output: str = "", **attributes: object) -> str:
        """Add a node; returns the name of its output."""
        name = output or f"{self.prefix}{len(self.nodes)}"
        self.nodes.append(helper.make_node(operator, inputs, [name], **attributes))
        return name

    def copy(self, node: onnx.NodeProto, operand: str, output: str = "") -> str:
        """Add a copy of the node with another first operand."""
        copy = onnx.NodeProto()
        copy.CopyFrom(node)
        copy.input[0] = operand
        copy.output[0] = output or f"{self.prefix}{len(self.nodes)}"
        self.nodes.append(copy)
        return copy.output[0]

    def value(self, number: object, kind: int) -> str:
        """A constant."""
        array = np.array(number, helper.tensor_dtype_to_np_dtype(kind))
        return self.do("Constant", value=numpy_helper.from_array(array))

    def random(self, like: str, kind: int) -> str:
        """Random numbers from -1 to 1, of a float type, one for each element of a tensor."""
        seed = len(self.nodes) + 1
        if self.opset < 22:
            wide = TensorProto.DOUBLE if kind == TensorProto.DOUBLE else TensorProto.FLOAT
            u = self.do("RandomUniformLike", like, low=-1.0, high=1.0, dtype=wide, seed=float(seed))
        else:  # ONNX Runtime has no RandomUniformLike of these opsets: use -1 or 1
            wide, u = TensorProto.FLOAT, self._sign(like, seed)
        return u if wide == kind else self.do("Cast", u, to=kind)

    def _sign(self, like: str, seed: int) -> str:
        """The product of three Dropouts: one alone leaves some elements unchanged for many runs."""
        three = self.value([3], TensorProto.INT64)
        shape = self.do("Concat", three, self.do("Shape", like), axis=0)
        one = numpy_helper.from_array(np.array([1], np.float32))
        ones = self.do("ConstantOfShape", shape, value=one)
        half, true = self.value(0.5, TensorProto.FLOAT), self.value(True, TensorProto.BOOL)
        dropped = self.do("Dropout", ones, half, true, seed=seed)
        signs = self.do("Sub", dropped, self.value(1, TensorProto.FLOAT))
        return self.do("ReduceProd", signs, self.value([0], TensorProto.INT64), keepdims=0)


def opset_of(model: onnx.ModelProto) -> int:
    """The opset of the standard's domain."""
    return next(o.version for o in model.opset_import if not o.domain)


def types_of(model: onnx.ModelProto) -> dict[str, int]:
    """The element types of all tensors, inferred by ONNX Runtime: it knows Microsoft's too."""
    every = onnx.ModelProto()
    every.CopyFrom(model)
    given = {o.name for o in model.graph.output}
    names = dict.fromkeys(o for node in model.graph.node for o in node.output if o)
    every.graph.output.extend(onnx.ValueInfoProto(name=n) for n in names if n not in given)
    found = session(every)
    types = {v.name: _KINDS.get(v.type, 0) for v in (*found.get_inputs(), *found.get_outputs())}
    return types | {c.name: c.data_type for c in model.graph.initializer}
