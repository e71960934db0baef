"""Sequences, optionals and branches are honoured or refused."""

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper, shape_inference

import quake_tvm
from quake_tvm import QuakeError
from quake_tvm.importers.onnx.check import check

from .models import alone, value


def compare(nodes, feeds, outputs, opset=18, constants=()):
    """Compile a graph; compare values with ONNX Runtime's and types with ONNX's inference."""
    inputs = [value(n, x.shape, helper.np_dtype_to_tensor_dtype(x.dtype)) for n, x in feeds.items()]
    initializers = [numpy_helper.from_array(np.array(v), n) for n, v in dict(constants).items()]
    outputs = [onnx.ValueInfoProto(name=o) for o in outputs]
    graph = helper.make_graph(nodes, "g", inputs, outputs, initializers)
    opsets = [helper.make_opsetid("", opset)]
    model = shape_inference.infer_shapes(
        helper.make_model(graph, opset_imports=opsets, ir_version=8)
    )
    results = quake_tvm.compile(model, method="exact").run(feeds)
    wanted = onnxruntime.InferenceSession(model.SerializeToString()).run(None, feeds)
    for q, y in zip(results, wanted, strict=True):
        assert q.dtype == y.dtype
        np.testing.assert_array_equal(q, y)


def test_sequences():
    node, x = helper.make_node, np.arange(14, dtype=np.float32).reshape(7, 2)
    nodes = [
        node("SequenceConstruct", ["x", "z"], ["s"]),
        node("SequenceInsert", ["s", "w"], ["s1"]),
        node("SequenceInsert", ["s1", "w", "zero"], ["s2"]),
        node("SequenceErase", ["s2", "one"], ["s3"]),
        node("SequenceErase", ["s3"], ["s4"]),
        node("SequenceLength", ["s4"], ["length"]),
        node("SequenceAt", ["s3", "one"], ["second"]),
        node("SequenceAt", ["s3", "last"], ["third"]),
        node("ConcatFromSequence", ["s3"], ["joined"], axis=-1),
        node("ConcatFromSequence", ["s3"], ["stacked"], axis=1, new_axis=1),
        node("SequenceEmpty", [], ["none"]),
        node("SequenceInsert", ["none", "x"], ["some"]),
        node("SequenceAt", ["some", "zero"], ["only"]),
        # Seven elements in chunks of three: three, three and one.
        node("SplitToSequence", ["x", "three"], ["t"], axis=0),
        node("SequenceAt", ["t", "zero"], ["chunk"]),
        node("SequenceAt", ["t", "two"], ["rest"]),
        node("SplitToSequence", ["x", "sizes"], ["u"], axis=0),
        node("SequenceAt", ["u", "one"], ["five"]),
        node("SplitToSequence", ["x"], ["v"], axis=1, keepdims=0),
        node("SequenceAt", ["v", "one"], ["column"]),
    ]
    constants = {"zero": 0, "one": 1, "two": 2, "last": -1, "three": 3, "sizes": [2, 5]}
    outputs = ["length", "second", "third", "joined", "stacked", "only", "chunk", "rest", "five",
               "column"]  # fmt: skip
    compare(nodes, {"x": x, "w": -x, "z": 2 * x}, outputs, constants=constants)


def test_chunks_of_one_size_whose_number_would_make_others():
    nodes = [
        helper.make_node("SplitToSequence", ["x", "four"], ["t"]),
        helper.make_node("SequenceAt", ["t", "zero"], ["y"]),
    ]
    compare(nodes, {"x": np.arange(9.0)}, ["y"], constants={"four": 4, "zero": 0})


@pytest.mark.parametrize("position", [-2, -1, 0, 1, 2])
def test_positions_of_insertions(position):
    """At -1, a tensor comes before the last one."""
    nodes = [
        helper.make_node("SequenceConstruct", ["x", "z"], ["s"]),
        helper.make_node("SequenceInsert", ["s", "w", "k"], ["t"]),
        helper.make_node("ConcatFromSequence", ["t"], ["y"], axis=-1),
    ]
    feeds = {"x": np.arange(2.0), "z": np.arange(3.0), "w": -np.arange(4.0)}
    compare(nodes, feeds, ["y"], constants={"k": position})


@pytest.mark.parametrize(
    ("split", "keepdims"),
    [(None, 0), *((split, 1) for split in (None, 2, 4, 7, [2, 5], [7], [0, 7]))],
)
def test_what_a_split_gives(split, keepdims):
    """Counted, joined, and taken from its end. Of the axis, only TVM knows the extent."""
    given = ["x1"] if split is None else ["x1", "split"]
    nodes = [
        helper.make_node("Neg", ["size"], ["minus"]),
        helper.make_node("Abs", ["minus"], ["same"]),
        helper.make_node("Reshape", ["x", "same"], ["x1"]),
        helper.make_node("SplitToSequence", given, ["t"], axis=-1, keepdims=keepdims),
        helper.make_node("SequenceLength", ["t"], ["length"]),
        helper.make_node("SequenceAt", ["t", "last"], ["y"]),
        helper.make_node("SequenceErase", ["t"], ["u"]),
        helper.make_node("SequenceInsert", ["u", "y"], ["v"]),
        helper.make_node(
            "ConcatFromSequence", ["v"], ["joined"], axis=-1, new_axis=int(split is None)
        ),
    ]
    constants = {"last": -1, "size": [2, 7]} | ({} if split is None else {"split": split})
    outputs = ["length", "y", "joined"]
    compare(nodes, {"x": np.arange(14.0).reshape(2, 7)}, outputs, constants=constants)


def test_sequences_that_branches_give():
    def branch(second):
        made = helper.make_node("SequenceConstruct", ["x", second], ["s"])
        inner = helper.make_node("SequenceAt", ["s", "last"], ["t"])
        return helper.make_graph([made, inner], "b", [], [onnx.ValueInfoProto(name="t")])

    nodes = [helper.make_node("If", ["c"], ["y"], then_branch=branch("z"), else_branch=branch("x"))]
    feeds = {"x": np.arange(2.0), "z": -np.arange(2.0), "c": np.array(True)}
    compare(nodes, feeds, ["y"], constants={"last": -1})


@pytest.mark.parametrize(
    ("nodes", "said"),
    [
        ([("SequenceAt", ["s", "two"], ["y"])], "position 2 in a sequence of 2"),
        ([("SequenceErase", ["s", "-3"], ["t"])], "position -3 in a sequence of 2"),
        ([("SequenceInsert", ["s", "x", "three"], ["t"])], "position 3 in a sequence of 2"),
        ([("SequenceAt", ["s", "k"], ["y"])], "input 1 must be a constant"),
        ([("SplitToSequence", ["x", "two"], ["t"])], "chunks of an axis whose extent varies"),
        ([("SplitToSequence", ["w", "0"], ["t"])], "chunks of 0 elements"),
        ([("SplitToSequence", ["w", "pair"], ["t"])], "do not add up"),
    ],
)
def test_sequences_that_are_refused(nodes, said):
    nodes = [helper.make_node("SequenceConstruct", ["x", "x"], ["s"])] + [
        helper.make_node(*each) for each in nodes
    ]
    made = nodes[-1].output[0]
    if made == "t":
        nodes.append(helper.make_node("SequenceAt", ["t", "0"], ["y"]))
    constants = {"0": 0, "two": 2, "three": 3, "-3": -3, "pair": [1, 1]}
    graph = helper.make_graph(
        nodes,
        "g",
        [value("x", ["n"]), value("w", [5]), value("k", [], TensorProto.INT64)],
        [onnx.ValueInfoProto(name="y")],
        [numpy_helper.from_array(np.array(v), n) for n, v in constants.items()],
    )
    opsets = [helper.make_opsetid("", 18)]
    with pytest.raises(QuakeError, match=said):
        quake_tvm.compile(helper.make_model(graph, opset_imports=opsets, ir_version=8))


def test_optionals():
    nodes = [
        helper.make_node("Optional", ["x"], ["o"]),
        helper.make_node("OptionalHasElement", ["o"], ["has"]),
        helper.make_node("OptionalGetElement", ["o"], ["y"]),
    ]
    compare(nodes, {"x": np.float32([1, 2])}, ["has", "y"])


def if_with(*nodes):
    """An If on ``c`` with these nodes in both branches, which compute ``t`` from ``x``."""
    branches = [helper.make_graph(nodes, n, [], [value("t", [1, 2])]) for n in ("then", "other")]
    return helper.make_node("If", ["c"], ["y"], then_branch=branches[0], else_branch=branches[1])


def test_what_is_in_branches_is_honoured():
    chosen = if_with(helper.make_node("Slice", ["x"], ["t"], axes=[1], starts=[0], ends=[2]))
    for truth in (True, False):
        compare([chosen], {"x": np.float32([[3, 1, 2]]), "c": np.array(truth)}, ["y"], opset=9)


@pytest.mark.parametrize("truth", [True, False])
def test_nodes_of_several_outputs_in_branches(truth):
    """Also nested ones, and a branch that hands on a constant."""
    node, x = helper.make_node, np.float32([[3, 1, 2, 5], [2, 7, 1, 1]])
    halves = [node("Split", ["x"], ["a", "b"], axis=1), node("Sub", ["a", "b"], ["d"])]
    top = [node("TopK", ["x", "two"], ["v", "i"]), node("Neg", ["v"], ["n"])]
    inner = [
        helper.make_graph(nodes, name, [], [value(name, [2, 2])])
        for nodes, name in ((halves, "d"), (top, "n"))
    ]
    nested = [
        node("Not", ["c"], ["other"]),
        node("If", ["other"], ["t"], then_branch=inner[0], else_branch=inner[1]),
    ]
    branches = [
        helper.make_graph(nested, "then", [], [value("t", [2, 2])]),
        helper.make_graph([node("Identity", ["w"], ["e"])], "else", [], [value("e", [2, 2])]),
    ]
    nodes = [
        node("If", ["c"], ["y"], then_branch=branches[0], else_branch=branches[1]),
        node("Abs", ["y"], ["z"]),
    ]
    constants = {"two": [2], "w": np.float32([[1, -2], [3, 4]])}
    compare(nodes, {"x": x, "c": np.array(truth)}, ["z"], opset=17, constants=constants)


@pytest.mark.parametrize(
    ("node", "message"),
    [
        (
            helper.make_node("Constant", [], ["t"], value_string="text"),
            "attribute value_string=text of the ONNX operator Constant",
        ),
        (helper.make_node("Det", ["x"], ["t"]), "cannot import these ONNX operators: Det"),
    ],
    ids=["attribute", "operator"],
)
def test_what_is_in_branches_is_refused(node, message):
    with pytest.raises(QuakeError, match=message):
        check(alone(if_with(node), 12))


@pytest.mark.parametrize("kind", ["sequence", "optional"])
def test_inputs_and_outputs_that_are_no_tensors_are_refused(kind):
    tensor = helper.make_tensor_type_proto(TensorProto.FLOAT, [2])
    make = {
        "sequence": helper.make_sequence_type_proto,
        "optional": helper.make_optional_type_proto,
    }
    output = helper.make_value_info("y", make[kind](tensor))
    given = helper.make_value_info("s", make[kind](tensor))
    operator = {"sequence": "SequenceConstruct", "optional": "Optional"}[kind]
    graph = helper.make_graph(
        [helper.make_node(operator, ["x"], ["y"])], "g", [value("x", [2])], [output]
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
    with pytest.raises(QuakeError, match=f"'y' is of type {kind}: .* must be tensors"):
        quake_tvm.compile(model)
    model.graph.input.append(given)
    with pytest.raises(QuakeError, match=f"'s' is of type {kind}: .* must be tensors"):
        quake_tvm.compile(model)
