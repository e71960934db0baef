"""Subgraphs that compute shapes become constants, and branches that are known are taken."""

import numpy as np
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

import quake_tvm
from quake_tvm import QuakeError
from quake_tvm.importers.onnx import module as onnx_import

from .models import INT64, compare, constant, exp, kinds, make, node, operators, ramp, value


def flatten(batch):
    """The nodes that exporters write for x.reshape(x.shape[0], -1)."""
    nodes = [
        node("Exp", ["x"], ["e"]),
        node("Shape", ["e"], ["shape"]),
        node("Gather", ["shape", "zero"], ["batch"]),
        node("Unsqueeze", ["batch", "axes"], ["first"]),
        node("Concat", ["first", "rest"], ["target"], axis=0),
        node("Reshape", ["e", "target"], ["y"]),
    ]
    constants = [
        constant(np.array(0), "zero"),
        constant(np.array([0]), "axes"),
        constant(np.array([-1]), "rest"),
    ]
    return make(nodes, {"x": [batch, 3, 4]}, {"y": None}, constants)


def expand(batch):
    """The nodes that exporters write for an additive mask: ConstantOfShape, Expand, Where."""
    nodes = [
        node("Shape", ["x"], ["shape"]),
        node("ConstantOfShape", ["shape"], ["ones"], value=constant(np.ones(1, np.int64), "v")),
        node("Mul", ["ones", "minus"], ["negative"]),
        node("Equal", ["shape", "negative_shape"], ["never"]),
        node("Where", ["never", "shape", "shape"], ["target"]),
        node("Expand", ["row", "target"], ["mask"]),
        node("Add", ["x", "mask"], ["masked"]),
        node("Softmax", ["masked"], ["y"], axis=-1),
    ]
    constants = [
        constant(np.array(-1), "minus"),
        constant(np.array([-1]), "negative_shape"),
        constant(ramp(1, 4), "row"),
    ]
    return make(nodes, {"x": [batch, 3, 4]}, {"y": None}, constants)


@pytest.mark.parametrize(
    ("build", "wanted"),
    [(flatten, ["relax.exp", "relax.reshape"]), (expand, ["relax.add", "relax.nn.softmax"])],
)
def test_shape_subgraphs_are_folded(build, wanted):
    assert operators(build(2)) == wanted
    assert operators(build("n"), shapes={"x": (2, 3, 4)}) == wanted
    compare(build("n"), ramp(2, 3, 4), shapes={"x": (2, 3, 4)})


def test_the_slice_of_a_shape_is_folded():
    nodes = [
        node("Shape", ["x"], ["shape"], start=1, end=-1),
        node("Concat", ["shape", "rest"], ["target"], axis=0),
        node("Reshape", ["x", "target"], ["y"]),
    ]
    model = make(nodes, {"x": [2, 3, 4]}, {"y": None}, [constant(np.array([8]), "rest")])
    assert kinds(onnx_import.fold_shapes(model)) == ["Reshape"]
    compare(model, ramp(2, 3, 4))


@pytest.mark.parametrize(
    ("random", "inputs", "attributes"),
    [
        ("RandomNormal", [], {"shape": [2, 3]}),
        ("RandomUniform", [], {"shape": [2, 3]}),
        ("RandomNormalLike", ["c"], {}),
        ("RandomUniformLike", ["c"], {}),
        ("Multinomial", ["c"], {}),
        ("Bernoulli", ["c"], {}),
        ("Dropout", ["c", "", "training"], {}),
    ],
    ids=lambda v: v if isinstance(v, str) else "",
)
def test_random_operators_are_not_folded(random, inputs, attributes):
    constants = [constant(ramp(2, 3), "c"), constant(np.array(True), "training")]
    nodes = [node(random, inputs, ["r"], **attributes), node("Exp", ["r"], ["y"])]
    model = make(nodes, {}, {"y": None}, constants)
    assert kinds(onnx_import.fold_shapes(model)) == [random, "Exp"]


@pytest.mark.parametrize("side", [8, 1 << 30])
def test_large_constants_are_not_made(side):
    # The larger constant would not fit into memory.
    nodes = [node("ConstantOfShape", ["shape"], ["c"]), node("Exp", ["c"], ["y"])]
    model = make(nodes, {}, {"y": None}, [constant(np.array([side, side]), "shape")])
    folded = onnx_import.fold_shapes(model)
    assert kinds(folded) == (["ConstantOfShape", "Exp"] if side > 8 else ["Exp"])


def test_weights_that_operators_compute_are_folded_whatever_their_size():
    """A weight norm of more elements than a constant may have that is made of smaller ones."""
    v = np.random.default_rng(0).normal(size=(96, 96, 3, 3)).astype(np.float32)
    nodes = [
        node("ReduceL2", ["v"], ["length"], axes=[1, 2, 3]),
        node("Div", ["v", "length"], ["w"]),
        node("ReduceL2", ["v"], ["same_length"], axes=[1, 2, 3]),
        node("Div", ["v", "same_length"], ["same"]),
        node("Conv", ["x", "w"], ["a"]),
        node("Conv", ["a", "same"], ["y"]),
    ]
    model = make(nodes, {"x": [1, 96, 8, 8]}, {"y": None}, [constant(v, "v")])
    folded = onnx_import.fold_shapes(model)
    assert kinds(folded) == ["Conv", "Conv"]
    (weights,) = folded.graph.initializer  # one for both, and the one that it is made of is gone
    wanted = v / np.sqrt((v.astype(float) ** 2).sum((1, 2, 3), keepdims=True))
    np.testing.assert_allclose(numpy_helper.to_array(weights), wanted, rtol=1e-5)


@pytest.mark.parametrize(
    ("operator", "operands", "attributes"),
    [
        # The logarithm of a probability that is too small for its type.
        ("LogSoftmax", [np.float32([0, 200])], {}),
        # A quotient beyond int32, which is the largest number of the result's type.
        ("QuantizeLinear", [np.float32([-1e30, 1, 1e30]), np.float32(1e-3), np.uint8(7)], {}),
        ("ReduceLogSumExp", [np.float32([-np.inf, -np.inf])], {}),
        # In the order in which they are found.
        ("Unique", [np.float32([2, 0, 2, 1])], {"sorted": 0}),
    ],
)
def test_what_the_reference_gets_wrong_is_not_folded(operator, operands, attributes):
    names = [f"c{k}" for k in range(len(operands))]
    nodes = [node(operator, names, ["c"], **attributes), node("Identity", ["c"], ["y"])]
    constants = map(constant, operands, names)
    model = make(nodes, {"x": [1]}, {"y": None}, constants, opset=18)
    model.graph.output[0].ClearField("type")
    session = onnxruntime.InferenceSession(model.SerializeToString())
    (y,) = session.run(None, {"x": ramp(1)})
    (q,) = quake_tvm.compile(model, method="exact").run(ramp(1))
    np.testing.assert_allclose(q, y, rtol=1e-6)


def test_zero_points_of_rows_belong_to_rows():
    """ONNX's reference subtracts them from columns; ONNX Runtime does not have them."""
    nodes = [
        node("MatMulInteger", ["ones", "ones", "zeros"], ["c"]),
        node("Identity", ["c"], ["y"]),
    ]
    constants = {"ones": np.ones((3, 3), np.uint8), "zeros": np.uint8([1, 2, 3])}
    model = make(nodes, {"x": [1]}, {"y": None}, [constant(v, k) for k, v in constants.items()])
    model.graph.output[0].ClearField("type")
    (q,) = quake_tvm.compile(model).run(ramp(1))
    np.testing.assert_array_equal(q, np.repeat([[0], [-3], [-6]], 3, 1))


def test_all_that_grows_is_bounded():
    """Each fits, but not all together."""
    nodes = [node("Expand", [f"c{k}", "shape"], [f"e{k}"]) for k in range(3)]
    nodes.append(node("Sum", ["x", "e0", "e1", "e2"], ["y"]))
    side = 1 << 11
    constants = [constant(np.float32([k]), f"c{k}") for k in range(3)]
    constants.append(constant(np.array([2, side, side // 2 * 3]), "shape"))
    model = make(nodes, {"x": [1]}, {"y": None}, constants)
    assert kinds(onnx_import.fold_shapes(model)) == ["Expand", "Expand", "Sum"]


def test_outputs_are_not_folded():
    nodes = [node("Shape", ["x"], ["y"]), node("Exp", ["x"], ["z"])]
    model = make(nodes, {"x": [2, 3]}, {"z": None})
    model.graph.output.append(value("y", [2], INT64))
    assert kinds(onnx_import.fold_shapes(model)) == ["Shape", "Exp"]


def test_what_a_branch_uses_is_kept():
    def branch(operator):
        nodes = [node(operator, ["x", "c"], [operator])]
        return helper.make_graph(nodes, operator, [], [value(operator, [2, 3])])

    nodes = [
        node("Neg", ["two"], ["c"]),
        node("If", ["condition"], ["y"], then_branch=branch("Add"), else_branch=branch("Mul")),
    ]
    constants = [constant(np.float32(2), "two")]
    model = make(nodes, {"x": [2, 3]}, {"y": None}, constants)
    model.graph.input.append(value("condition", [], TensorProto.BOOL))
    folded = onnx_import.fold_shapes(model)
    assert kinds(folded) == ["If"]
    assert {c.name for c in folded.graph.initializer} >= {"c"}


@pytest.mark.parametrize("taken", [True, False])
def test_the_branch_that_shapes_choose(taken):
    """The branches are those that torch writes for squeeze. The other branch has another rank."""
    inner = helper.make_graph([node("Squeeze", ["x", "none"], ["t"])], "t", [], [value("t", None)])
    outer = node("If", ["same"], ["t"], then_branch=inner, else_branch=exp([4]).graph)
    del outer.attribute[0].g.input[:]  # of the else branch
    then = helper.make_graph([outer, node("Neg", ["t"], ["u"])], "u", [], [value("u", None)])
    other = helper.make_graph([node("Identity", ["x"], ["e"])], "e", [], [value("e", None)])
    nodes = [
        node("Shape", ["x"], ["s"]),
        node("Gather", ["s", "zero"], ["rows"]),
        node("Equal", ["rows", "one"], ["same"]),
        node("If", ["same"], ["t"], then_branch=then, else_branch=other),
        node("Exp", ["t"], ["y"]),
    ]
    constants = {"zero": np.array(0), "one": np.array(1), "none": np.array([0])}
    model = make(
        nodes, {"x": ["n", 4]}, {"y": None}, [constant(v, k) for k, v in constants.items()]
    )
    rows = 1 if taken else 2
    x = ramp(rows, 4)
    (y,) = quake_tvm.compile(model, method="exact", shapes={"x": x.shape}).run(x)
    np.testing.assert_allclose(y, np.exp(-x[0] if taken else x), rtol=1e-6)
    del nodes[:3]
    inputs = {"x": [1, 4]}
    at_run_time = make(nodes, inputs, {"y": None}, [constant(constants["none"], "none")])
    at_run_time.graph.input.append(value("same", [], TensorProto.BOOL))
    with pytest.raises(QuakeError, match="If has branches of the types"):
        quake_tvm.compile(at_run_time)
