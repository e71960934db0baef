"""Every option of an ONNX node that is not honoured is refused."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

import quake_tvm
from quake_tvm import QuakeError
from quake_tvm.importers.onnx.check import check
from quake_tvm.importers.onnx.contributed import MICROSOFT
from quake_tvm.importers.onnx.operators import OLDEST, STANDARD, forms, honours

from .models import alone, value

FORMS = [(name, form) for name in sorted(STANDARD) for form in forms(name)]


def another(attribute: onnx.defs.OpSchema.Attribute) -> onnx.AttributeProto:
    """The attribute with a value that is not its default."""
    kinds = onnx.defs.OpSchema.AttrType
    default = attribute.default_value.i or attribute.default_value.f
    values = {
        kinds.INT: int(default) + 7,
        kinds.FLOAT: float(default) + 7,
        kinds.STRING: "other",
        kinds.INTS: [7],
        kinds.FLOATS: [7.0],
        kinds.STRINGS: ["other"],
        kinds.TENSOR: helper.make_tensor("t", TensorProto.FLOAT, [1], [7]),
        kinds.SPARSE_TENSOR: helper.make_sparse_tensor(
            helper.make_tensor("v", TensorProto.FLOAT, [1], [7]),
            helper.make_tensor("i", TensorProto.INT64, [1], [0]),
            [2],
        ),
    }
    return helper.make_attribute(attribute.name, values[attribute.type])


def node_with(form: onnx.defs.OpSchema, name: str) -> onnx.NodeProto:
    """A node that sets an attribute, input or output, and everything that is required."""
    node = onnx.NodeProto(op_type=form.name)
    for k, formal in enumerate(form.inputs):
        needed = formal.option != onnx.defs.OpSchema.FormalParameterOption.Optional
        node.input.append(f"x{k}" if needed or formal.name == name else "")
    for k, formal in enumerate(form.outputs):
        node.output.append(f"y{k}" if k == 0 or formal.name == name else "")
    if name in form.attributes:
        node.attribute.append(another(form.attributes[name]))
    return node


@pytest.mark.parametrize(
    ("form", "name"),
    [(form, n) for op, form in FORMS for n, yes in honours(op, form).items() if not yes],
    ids=lambda value: getattr(value, "name", value),
)
def test_what_is_not_honoured_is_refused(form, name):
    model = alone(node_with(form, name), max(form.since_version, OLDEST))
    with pytest.raises(QuakeError, match=f"^[^\\n]*{name}[^\\n]* of the ONNX operator {form.name}"):
        check(model)


def test_defaults_and_unused_outputs_are_no_demands():
    node = helper.make_node("MaxPool", ["x"], ["y", "indices"], kernel_shape=[2], storage_order=0)
    graph = helper.make_graph(
        [node],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 1, 4])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 12)], ir_version=8)
    (y,) = quake_tvm.compile(model).run([np.float32([[[1, 3, 2, 4]]])])
    np.testing.assert_array_equal(y, [[[3, 3, 4]]])


@pytest.mark.parametrize("operator", sorted(MICROSOFT))
def test_what_is_not_honoured_of_onnx_runtimes_is_refused(operator):
    honoured = MICROSOFT[operator]
    beyond = [{"inputs": [f"x{k}" for k in range(max(honoured.inputs) + 2)]}]
    for asked in (
        *([] if honoured.variadic else beyond),
        {"outputs": [f"y{k}" for k in range(max(honoured.outputs) + 2)]},
        {"unheard_of": 1},
    ):
        asked = {"inputs": ["x0"], "outputs": ["y0"]} | asked
        node = helper.make_node(operator, domain="com.microsoft", **asked)
        with pytest.raises(QuakeError, match=f"of the ONNX operator com.microsoft.{operator}"):
            check(alone(node, 17))


@pytest.mark.parametrize("operator", ["Add", "Concat", "Conv", "Relu", "Split", "Where"])
def test_an_input_that_may_not_be_left_out(operator):
    schema = onnx.defs.get_schema(operator)
    required = [k for k, i in enumerate(schema.inputs) if i.option != i.option.Optional]
    for k in required:
        names = ["" if k == n else f"x{n}" for n in range(max(len(required), 2))]
        node = helper.make_node(operator, names, ["y"], "node")
        refused = f"{operator} needs its input {k}, which is left out \\(node 'node'\\)$"
        with pytest.raises(QuakeError, match=refused):
            check(alone(node, 18))


@pytest.mark.parametrize("training", ["input", "true"])
def test_dropout_that_may_train_is_refused(training):
    graph = helper.make_graph(
        [helper.make_node("Dropout", ["x", "", "training"], ["y"])],
        "g",
        [value("x", [2]), value("training", [], TensorProto.BOOL)][: 1 + (training == "input")],
        [value("y", [2])],
        [numpy_helper.from_array(np.array(True), "training")][: training == "true"],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    with pytest.raises(QuakeError, match="Dropout that trains is random"):
        quake_tvm.compile(model)


@pytest.mark.parametrize(
    ("operator", "opset"), [("Add", 6), ("Sigmoid", 5), ("BatchNormalization", 5)]
)
def test_forms_before_opset_7_are_refused(operator, opset):
    node = helper.make_node(operator, ["x"], ["y"])
    with pytest.raises(QuakeError, match=f"the form in opset {opset} of the ONNX operator"):
        check(alone(node, opset))
