"""TVM's ONNX importer, with converters of this library for operators that it gets wrong.

A converter gets one node with its inputs as typed Relax expressions. It returns the node's value,
or None if TVM's own converter is right. What nodes compute from extents alone is kept as numbers
(:mod:`sizes`), and becomes Relax only where a tensor of it is needed. Knows no operator by name,
except If, and those that read a shape.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Any

import onnx
import tvm
from onnx import helper
from tvm import relax
from tvm.relax.frontend.onnx.onnx_frontend import ONNXGraphImporter, onnx_input

from ...errors import QuakeError, last_line
from ...kernels.index_check import Places, checked
from ...kernels.size_check import after
from ...runtime.description import CONDITIONS, OUTPUTS
from ..dimensions import Ranges
from . import sizes
from .extents import Extents, Limit, NeedsLimit, expression, plain
from .node import Converter, Node, tensor
from .nodes import DoesNotFitError, errors_of, place
from .sizes import Numbers


class Importer(ONNXGraphImporter):
    """TVM's importer with other converters for some operators.

    Parameters
    ----------
    converters : mapping of operator name to converter
    read_as_sizes : mapping of operator name to positions
        The inputs that converters take as numbers, and not as tensors.
    shapes : mapping of input name to static shape
    ranges : mapping of dimension name to (least, most)
    constants : mapping of initializer name to relax.Expr
    limits : sequence of Limit
        Conditions on the inputs' extents.
    """

    _nodes: dict[str, relax.Expr]

    def __init__(
        self,
        converters: Mapping[str, Converter],
        read_as_sizes: Mapping[str, Sequence[int]],
        shapes: Mapping[str, list[int]],
        ranges: Ranges,
        constants: Mapping[str, relax.Expr],
        limits: Sequence[Limit] = (),
    ) -> None:
        super().__init__(dict(shapes), "float32", keep_params_in_input=False, sanitize=False)
        self._constants = constants
        self._converters = converters
        self._read_as_sizes = read_as_sizes
        self._extents = Extents(limits, ranges)
        self._known: dict[str, Numbers] = {}
        self._given: list[Numbers | None] = []
        self._opsets: Sequence[onnx.OperatorSetIdProto] = ()

    def convert(self, model: onnx.ModelProto) -> tvm.IRModule:
        """The model as a Relax module.

        Raises
        ------
        QuakeError
            From a converter of this library. TVM's converters may raise any error.
        NeedsLimit
            If the model needs one more condition on the inputs' extents.
        """
        self._opsets = model.opset_import
        opset = next((o.version for o in model.opset_import if o.domain == ""), 1)
        for value in model.graph.input:
            for dim in value.type.tensor_type.shape.dim:
                if dim.HasField("dim_value") and dim.dim_value == 0:
                    dim.dim_param = "0"  # TVM's importer reads a size of 0 as an open dimension
        try:
            mod = self.from_onnx(model.graph, opset)
        except BaseException:
            with suppress(tvm.error.InternalError):  # raised when no block is open
                while True:
                    self.bb._end_block()  # TVM complains about a block that is left open
            raise
        if self._extents.conditions:
            mod["main"] = mod["main"].with_attr(CONDITIONS, self._extents.conditions)
        mod["main"] = mod["main"].with_attr(OUTPUTS, [output.name for output in model.graph.output])
        return mod

    def _parse_graph_initializers(self, graph: onnx.GraphProto) -> None:
        self._nodes |= self._constants

    def _check_for_unsupported_ops(self, graph: onnx.GraphProto) -> None:
        """Allow operators that only have a converter here; :mod:`check` has refused all others."""

    def _construct_nodes(self, graph: onnx.GraphProto) -> None:
        for value in self._inputs.values():
            if isinstance(value, relax.Var) and value.ty.shape is not None:
                self._extents.of_input([plain(n) for n in value.ty.shape])
        self._convert_nodes(graph.node)
        for output in graph.output:
            self._nodes[output.name] = self._tensor(output.name)

    def _convert_subgraph(self, bb: relax.BlockBuilder, graph: onnx.GraphProto) -> relax.Expr:
        """A branch of If, as one value or a tuple of them."""
        outer, fitted = (dict(self._nodes), dict(self._known)), len(self._extents.fitted)
        try:
            for constant in graph.initializer:
                self._nodes[constant.name] = relax.const(self._parse_array(constant))
            self._convert_nodes(graph.node)
            results = [self._tensor(output.name) for output in graph.output]
        finally:
            self._nodes, self._known = outer
            del self._extents.fitted[fitted:]  # a branch may not run
        return results[0] if len(results) == 1 else relax.Tuple(results)

    def _branch(self, graph: onnx.GraphProto) -> relax.SeqExpr:
        """A branch of If with bindings of its own."""
        self.bb._begin_binding_block()
        try:
            value = self.bb.emit(self._convert_subgraph(self.bb, graph))
        finally:
            block = self.bb._end_block()
        return relax.SeqExpr([block], value)

    def _fitting(self, graph: onnx.GraphProto) -> relax.SeqExpr | DoesNotFitError:
        """A branch of If, or why the sizes do not fit in it."""
        try:
            return self._branch(graph)
        except DoesNotFitError as error:
            return error

    def _convert_nodes(self, nodes: Iterable[onnx.NodeProto]) -> None:
        for node in nodes:
            if node.op_type == "If":
                self._convert_if(node)
                continue
            with self._errors_of(node):
                numbers = self._computed(node)
                if numbers is None:
                    self._convert_node(node)
                    continue
            self._known |= zip([name for name in node.output if name], numbers, strict=True)

    @contextmanager
    def _errors_of(self, node: onnx.NodeProto) -> Iterator[None]:
        """Raise errors of a node's conversion as QuakeErrors that name the node."""
        try:
            with errors_of(node):
                yield
        except (NeedsLimit, QuakeError):
            raise
        except Exception as error:
            given = [name for name in node.input if _of_unknown_rank(self._nodes.get(name))]
            reason = last_line(error)
            if given:
                reason = f"only a run knows the rank of {given[0]!r}, as after an If"
            what = f"TVM cannot take {node.op_type} ({place(node)}): {reason}"
            raise NotTaken(what) from error

    def _convert_if(self, node: onnx.NodeProto) -> None:
        condition = self._numbers(node.input[0])
        holds = None if condition is None else condition.constant()
        branches = {a.name: a.g for a in node.attribute}
        if holds is not None:
            taken = branches["then_branch" if holds.any() else "else_branch"]
            value = self._convert_subgraph(self.bb, taken)
        else:
            value = self._choice(node, branches["then_branch"], branches["else_branch"])
        if len(node.output) == 1:
            self._nodes[node.output[0]] = value
            return
        for k, name in enumerate(node.output):
            part = value[k] if isinstance(value, relax.Tuple) else relax.TupleGetItem(value, k)
            self._nodes[name] = self.bb.emit(part)

    def _choice(
        self, node: onnx.NodeProto, then: onnx.GraphProto, other: onnx.GraphProto
    ) -> relax.Expr:
        """The value of an If whose condition only a run knows.

        If the sizes do not fit in one branch, as in that of another sampling rate, the value is
        that of the other branch, and a run that takes the unfit one ends with an error.
        """
        test = self._tensor(node.input[0])
        parts = [self._fitting(graph) for graph in (then, other)]
        unfit = [part for part in parts if isinstance(part, DoesNotFitError)]
        if not unfit:
            return self.bb.emit(relax.If(test, *parts))
        if len(unfit) == len(parts):
            raise unfit[0]
        graph, wrong = (other, test) if parts[0] is unfit[0] else (then, relax.op.logical_not(test))
        number = self.bb.emit(relax.op.astype(relax.op.reshape(wrong, [1]), "int64"))
        problem = f"the branch that was taken does not fit the sizes of this build: {unfit[0]}"
        check = self.bb.emit(checked(number, [1], Places.FRONT, "If", problem=problem))
        results = self._convert_subgraph(self.bb, graph)
        if not isinstance(results, relax.Tuple):
            return after(self.bb, results, [check])
        return relax.Tuple([after(self.bb, result, [check]) for result in results])

    def _numbers(self, name: str) -> Numbers | None:
        """A value's elements, if they are known."""
        if name not in self._known:
            value = self._nodes.get(name)
            if not isinstance(value, tvm.ir.GenericConst):
                return None
            found = sizes.of_constant(value)
            if found is None:
                return None
            self._known[name] = found
        return self._known[name]

    def _tensor(self, name: str) -> relax.Expr:
        """A value in Relax. Raises QuakeError if nothing that came before gives it."""
        if name not in self._nodes:
            if name not in self._known:
                raise QuakeError(f"no input and no node before gives {name!r}: correct the model")
            self._nodes[name] = tensor(self.bb, self._known[name])
        return self._nodes[name]

    def _computed(self, node: onnx.NodeProto) -> list[Numbers] | None:
        """The node's outputs, if they are computed from extents alone."""
        if node.op_type in ("Shape", "Size"):
            known = self._known.get(node.input[0])
            if known is not None:
                return [sizes.shape(node, known.elements.shape)]
            ty = self._tensor(node.input[0]).ty
            if not isinstance(ty, relax.TensorType) or ty.shape is None:
                return None
            self._extents.state_fitted()
            return [sizes.shape(node, [plain(n) for n in ty.shape])]
        given = [self._numbers(name) if name else None for name in node.input]
        if any(name and g is None for name, g in zip(node.input, given, strict=True)):
            return None
        return sizes.computed(node, given, self._opsets, self._extents) if given else None

    def _convert_node(self, node: onnx.NodeProto) -> None:
        attributes = self._parse_attr(node.attribute)
        attributes["tvm_custom"] = {"name": node.name, "num_outputs": len(node.output)}
        self._given = [self._numbers(name) if name else None for name in node.input]
        inputs = onnx_input()
        for k, (name, known) in enumerate(zip(node.input, self._given, strict=True)):
            as_sizes = k in self._read_as_sizes.get(node.op_type, ())
            if as_sizes and known is not None and known.are_sizes():
                inputs.append(relax.ShapeExpr([expression(n) for n in known.elements.flat]))
            else:
                inputs.append(self._tensor(name) if name else None)
        value = self._convert_operator(node.op_type, inputs, attributes, self.opset)
        several = isinstance(getattr(value, "ty", None), relax.TupleType)
        if not several or self._gives_sequence(node):
            self._nodes[node.output[0]] = value
            return
        for k, name in enumerate(node.output):
            held = isinstance(value, relax.Tuple)
            self._nodes[name] = value[k] if held else self.bb.emit(relax.TupleGetItem(value, k))

    def _parse_attr(self, attributes: Iterable[onnx.AttributeProto]) -> dict[str, Any]:
        """The attributes by name. Some writers leave out what is 0, and lists may be empty."""
        values = {a.name: helper.get_attribute_value(a) for a in attributes}
        return {name: tuple(v) if isinstance(v, list) else v for name, v in values.items()}

    def _gives_sequence(self, node: onnx.NodeProto) -> bool:
        """Whether the node's value may be a sequence, which Relax has as a tuple."""
        if node.domain:
            return False
        form = onnx.defs.get_schema(node.op_type, self.opset)
        return any(kind.startswith(("seq(", "optional(")) for kind in form.outputs[0].types)

    def _convert_operator(
        self, op_name: str, inputs: list[relax.Expr | None], attrs: dict[str, Any], opset: int
    ) -> relax.Expr:
        converter = self._converters.get(op_name)
        if converter is not None:
            given = {k: _text(v) for k, v in attrs.items() if k != "tvm_custom"}
            outputs = attrs.get("tvm_custom", {}).get("num_outputs", 1)
            node = Node(op_name, list(inputs), given, outputs, self._given, self._extents)
            value = converter(self.bb, node)
            if value is not None:
                return self.bb.normalize(value)
            inputs[:] = node.inputs
        return super()._convert_operator(op_name, inputs, attrs, opset)


class NotTaken(QuakeError):
    """A node that TVM cannot take, for a reason that TVM gives."""


def _of_unknown_rank(value: relax.Expr | None) -> bool:
    ty = getattr(value, "ty", None)
    return isinstance(ty, relax.TensorType | relax.ShapeType) and ty.ndim == -1


def _text(value: object) -> object:
    return value.decode() if isinstance(value, bytes) else value
