"""A graph whose nodes are being replaced: facts about its values, and the new nodes.

Knows no operator and no TVM.
"""

from collections.abc import Iterable
from functools import cached_property
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper, shape_inference

from ..external import array
from ..inference import SMALL, inferred, negative
from ..nodes import graphs

# Every form that differs between opset 7 and this one is rewritten.
OPSET = 18


class Graph:
    """A model's values, and the nodes that replace the nodes read so far.

    Parameters
    ----------
    model : onnx.ModelProto
        Must not change while this object is used.
    """

    def __init__(self, model: onnx.ModelProto) -> None:
        self._model = model
        self._names = {name for g in graphs(model.graph) for name in _names(g)}
        self.opset = next((o.version for o in model.opset_import if not o.domain), 0)
        self.nodes: list[onnx.NodeProto] = []

    @cached_property
    def _types(self) -> dict[str, onnx.TypeProto.Tensor]:
        try:
            known = inferred(self._model)
        except Exception:  # a wrong annotation in the file
            known = self._model.graph
        return {
            value.name: value.type.tensor_type
            for g in graphs(known)
            for value in (*g.value_info, *g.input, *g.output)
            if value.type.HasField("tensor_type")
        }

    @cached_property
    def _constants(self) -> dict[str, onnx.TensorProto]:
        found = {c.name: c for g in graphs(self._model.graph) for c in g.initializer}
        nodes = (n for g in graphs(self._model.graph) for n in g.node)
        for node in nodes:
            value = next((a.t for a in node.attribute if a.name == "value"), None)
            if node.op_type == "Constant" and not node.domain and value is not None:
                found[node.output[0]] = value
            elif node.op_type == "Identity" and not node.domain and node.input[0] in found:
                found[node.output[0]] = found[node.input[0]]
        return found

    @cached_property
    def used(self) -> set[str]:
        """The values that a node or a graph output reads."""
        inner = list(graphs(self._model.graph))
        read = {i for g in inner for n in g.node for i in n.input if i}
        return read | {o.name for g in inner for o in g.output}

    @cached_property
    def inputs(self) -> set[str]:
        """The names of the model's inputs that are no constants."""
        constants = {c.name for c in self._model.graph.initializer}
        return {i.name for i in self._model.graph.input} - constants

    def optional_outputs(self, node: onnx.NodeProto) -> set[int]:
        """The positions of the optional outputs of a standard operator's node."""
        if node.domain or len(node.output) < 2:
            return set()
        formal = onnx.defs.get_schema(node.op_type, self.opset).outputs
        optional = onnx.defs.OpSchema.FormalParameterOption.Optional
        return {k for k, o in enumerate(formal) if o.option == optional}

    def constant_value(self, name: str) -> np.ndarray | None:
        """The value of a constant; None if the name is no constant."""
        constant = self._constants.get(name)
        return None if constant is None else array(constant)

    def rank(self, name: str) -> int | None:
        """The number of dimensions, or None if it is unknown."""
        shape = self.shape(name)
        return None if shape is None else len(shape)

    def shape(self, name: str) -> list[int | None] | None:
        """The extents, with None for unknown ones; None if the rank is unknown."""
        if name in self._constants:
            return list(self._constants[name].dims)
        known = self._types.get(name)
        if known is None or not known.HasField("shape"):
            return None
        return [d.dim_value if d.HasField("dim_value") else None for d in known.shape.dim]

    def inner(self, name: str) -> list[int] | None:
        """The extents after the first, which is a batch's; None if one of them is unknown."""
        known = [n for n in (self.shape(name) or [None])[1:] if n is not None]
        return known if len(known) + 1 == self.rank(name) else None

    def dtype(self, name: str) -> int:
        """The element type; float32 if it is unknown: TVM refuses operands of different types."""
        if name in self._constants:
            return self._constants[name].data_type
        known = self._types.get(name)
        return known.elem_type if known is not None and known.elem_type else TensorProto.FLOAT

    def fresh(self, stem: str) -> str:
        """A new name that no value has."""
        name, k = stem, 0
        while name in self._names:
            k += 1
            name = f"{stem}_{k}"
        self._names.add(name)
        return name

    def constant(self, value: np.ndarray | float | list, dtype: int, stem: str) -> str:
        """Emit a Constant node and return its output's name.

        Parameters
        ----------
        value : array, number or list
        dtype : int
            An ONNX element type.
        stem : str
            The beginning of the name.
        """
        array = np.asarray(value).astype(helper.tensor_dtype_to_np_dtype(dtype))
        output = self.fresh(stem)
        tensor = numpy_helper.from_array(array, output)
        self.nodes.append(helper.make_node("Constant", [], [output], value=tensor))
        self._constants[output] = tensor
        return output

    def emit(
        self, operator: str, inputs: Iterable[str], output: str = "", **attributes: Any
    ) -> str:
        """Emit a node with one output and return the output's name.

        Parameters
        ----------
        operator : str
            An operator of the standard.
        inputs : iterable of str
        output : str
            The output's name; a new name if it is empty.
        **attributes
            The node's attributes.
        """
        output = output or self.fresh(operator.lower())
        self.keep(helper.make_node(operator, list(inputs), [output], **attributes))
        return output

    def extent(self, x: str, axis: int) -> str:
        """Emit an extent of a tensor, as a tensor of rank 0."""
        shape = self.shape(x)
        known = None if shape is None else shape[axis]
        if known is not None:
            return self.constant(known, TensorProto.INT64, "extent")
        return self.emit("Squeeze", [self.emit("Shape", [x], start=axis, end=axis + 1)])

    def count_up(self, x: str, axis: int) -> str:
        """Emit 0, 1, 2, … for the rows of a tensor along a dimension."""
        extent = self.extent(x, axis)
        known = self.constant_value(extent)
        if known is not None:
            return self.constant(np.arange(int(known)), TensorProto.INT64, "places")
        ends = [self.constant(n, TensorProto.INT64, "end") for n in (0, 1)]
        return self.emit("Range", [ends[0], extent, ends[1]])

    def keep(self, node: onnx.NodeProto) -> None:
        """Emit a node as it is."""
        self.nodes.append(node)
        self._learn(node)

    def _learn(self, node: onnx.NodeProto) -> None:
        """Infer the types of an emitted node's outputs: what follows an operator of another domain
        has none yet."""
        if node.domain or all(self.shape(name) is not None for name in node.output if name):
            return
        if any(a.HasField("g") for a in node.attribute):  # onnx may end the process
            return
        given = [name for name in node.input if name]
        types = {name: t for name in given if (t := self._type(name)) is not None}
        if any(map(negative, types.values())):  # a slice of such a tensor ends the process
            return
        small = {
            name: self._constants[name]
            for name in given
            if name in self._constants and np.prod(self._constants[name].dims) <= SMALL
        }
        try:
            form = onnx.defs.get_schema(node.op_type, max(self.opset, OPSET))
            found = shape_inference.infer_node_outputs(form, node, types, small)
        except Exception:  # an input of unknown type, or an operator without inference
            return
        self._types |= {
            name: t.tensor_type for name, t in found.items() if t.HasField("tensor_type")
        }

    def _type(self, name: str) -> onnx.TypeProto | None:
        if name in self._constants:
            constant = self._constants[name]
            return helper.make_tensor_type_proto(constant.data_type, constant.dims)
        known = self._types.get(name)
        return None if known is None else onnx.TypeProto(tensor_type=known)


def attributes(node: onnx.NodeProto) -> dict[str, Any]:
    """A node's attributes by name, with text as str."""
    values = {a.name: helper.get_attribute_value(a) for a in node.attribute}
    return {k: v.decode() if isinstance(v, bytes) else v for k, v in values.items()}


def _names(graph: onnx.GraphProto) -> Iterable[str]:
    yield from (v.name for v in (*graph.input, *graph.initializer))
    yield from (o for node in graph.node for o in node.output)
