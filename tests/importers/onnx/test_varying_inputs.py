"""Operators whose inputs are sizes that vary, against ONNX Runtime at several sizes."""

import numpy as np
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

import quake_tvm

FLOAT = TensorProto.FLOAT
node = helper.make_node
# "n" is the length of x, "a" and "b" are (n // 2,) and (n % 3,).
GIVEN = [
    node("Shape", ["x"], ["n"], start=0, end=1),
    node("Squeeze", ["n"], ["size"]),
    node("Cast", ["size"], ["size.0"], to=FLOAT),
    node("Div", ["n", "two"], ["a"]),
    node("Sub", ["n", "a"], ["rest"]),
    node("Mod", ["n", "three"], ["b"]),
    node("Neg", ["a"], ["-a"]),
    node("Sub", ["n", "three"], ["n - 3"]),
    node("Concat", ["a", "rest"], ["parts"], axis=0),
    node("Concat", ["b", "zero", "a", "zero"], ["pads"], axis=0),
    node("Concat", ["b", "zero", "b", "zero"], ["few"], axis=0),
    node("Neg", ["b"], ["-b"]),
    node("Concat", ["-b", "zero", "n - 3", "zero"], ["cut"], axis=0),
    node("Concat", ["b", "zero", "-a", "zero"], ["cut end"], axis=0),
    node("Concat", ["n", "two"], ["pair"], axis=0),
    node("Concat", ["three", "n", "one"], ["three sizes"], axis=0),
    node("Concat", ["one", "n"], ["repeats"], axis=0),
    node("Concat", ["a", "three"], ["half"], axis=0),
    node("Mul", ["n", "two"], ["twice"]),
    node("Concat", ["twice", "five"], ["larger"], axis=0),
    node("Unsqueeze", ["size.0", "zero"], ["size.1"]),
    node("Concat", ["size.1", "ones.0"], ["scales"], axis=0),
    node("Transpose", ["x"], ["sideways"]),
    node("Slice", ["x", "zero", "one", "one"], ["first column"]),
    node("Squeeze", ["first column", "one"], ["slopes"]),
]
CONSTANTS = {
    "zero": np.array([0]), "one": np.array([1]), "two": np.array([2]), "three": np.array([3]),
    "five": np.array([5]), "-1": np.array([-1]), "far": np.array([2**62]),
    "-far": np.array([-(2**62)]), "0": np.int64(0), "1": np.int64(1), "-2": np.int64(-2),
    "9": np.int64(9), "1.0": np.float32(1), "2.0": np.float32(2), "7.5": np.float32(7.5),
    "off and on": np.array([-1, 2], np.float32), "ones.0": np.ones(1, np.float32),
    "row": np.arange(2, dtype=np.float32)[None],
    "table": np.arange(24, dtype=np.float32).reshape(12, 2), "flat": np.array([-1]),
}  # fmt: skip
BOUNDS = [("a", "n"), ("-a", "n - 3"), ("n - 3", "far"), ("b", "-1")]
NODES = {
    "Slice": [
        *(["x", *bounds, "zero", step] for bounds in BOUNDS for step in ("one", "two")),
        ["x", "n", "-far", "zero", "-1"],
        ["x", "a", "b", "zero", "-1"],
        ["table", "a", "n", "zero"],
    ],
    "Expand": [["row", "pair"], ["x", "three sizes"], ["row", "three sizes"]],
    "Range": [
        *(["0", "size", "1"], ["size", "0", "-2"], ["9", "size", "-2"], ["0", "9", "size"]),
        *(["1.0", "size.0", "2.0"], ["size.0", "7.5", "1.0"], ["0", "0", "1"]),
    ],
    "ConstantOfShape": [["pair"], ["three sizes"]],
    "Tile": [["x", "repeats"]],
    "Reshape": [["x", "flat"]],
    "Gather": [["x", "a"], ["table", "b"]],
    "Add": [["x", "size.0"], ["x", "size.1"]],
    "PRelu": [["sideways", "slopes"]],
    "OneHot": [["pair", "n", "off and on"]],
    "LayerNormalization": [["sideways", "slopes"]],
}
PADS = [
    ("pads", "constant"), ("pads", "edge"), ("few", "reflect"), ("few", "wrap"),
    ("cut", "constant"), ("cut end", "constant"),
]  # fmt: skip
RESIZES = [
    ("", sizes, mode, coordinates, rounding)
    for sizes in ("half", "larger", "pair")
    for mode, coordinates, rounding in (
        ("nearest", "half_pixel", "round_prefer_floor"),
        ("nearest", "asymmetric", "floor"),
        ("nearest", "align_corners", "round_prefer_ceil"),
        ("nearest", "half_pixel", "ceil"),
        ("linear", "half_pixel", "floor"),
        ("linear", "pytorch_half_pixel", "floor"),
        ("linear", "align_corners", "floor"),
        ("linear", "asymmetric", "floor"),
    )
] + [("scales", "", "linear", "half_pixel", "floor")]


def _model():
    nodes = [node(op, inputs, []) for op, several in NODES.items() for inputs in several]
    nodes.append(node("Split", ["x", "parts"], [], axis=0))
    nodes += [node("Pad", ["x", pads, "7.5"], [], mode=mode) for pads, mode in PADS]
    for scales, sizes, mode, coordinates, rounding in RESIZES:
        options = {"coordinate_transformation_mode": coordinates, "nearest_mode": rounding}
        inputs = ["x", "", scales, *([sizes] if sizes else [])]
        nodes.append(node("Resize", inputs, [], mode=mode, **options))
    for k, n in enumerate(nodes):
        n.output.extend([f"y{k}", f"z{k}"] if n.op_type == "Split" else [f"y{k}"])
    outputs = [
        helper.make_tensor_value_info(name, TensorProto.UNDEFINED, None)
        for n in nodes
        for name in n.output
    ]
    graph = helper.make_graph(
        [*GIVEN, *nodes],
        "varying",
        [helper.make_tensor_value_info("x", FLOAT, ("n", 2))],
        outputs,
        [numpy_helper.from_array(np.asarray(v), k) for k, v in CONSTANTS.items()],
    )
    for output in graph.output:
        output.ClearField("type")
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 19)], ir_version=9)


def test_operators_at_every_length():
    model = _model()
    session = onnxruntime.InferenceSession(model.SerializeToString())
    compiled = quake_tvm.compile(model, method="exact")
    made = {name: n for n in model.graph.node for name in n.output}
    for length in (3, 4, 5, 8, 11):
        x = np.arange(2 * length, dtype=np.float32).reshape(length, 2)
        wanted = session.run(None, {"x": x})
        for output, got, want in zip(session.get_outputs(), compiled.run(x), wanted, strict=True):
            what = f"{made[output.name]} at {length}"
            assert got.dtype == want.dtype, what
            np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-5, err_msg=what)


@pytest.mark.parametrize("length", [1, 4])
def test_an_extent_expands_to_a_constant(length):
    compiled, x = _expanded(), np.arange(length, dtype=np.float32)
    np.testing.assert_array_equal(compiled.run(x)[0], np.broadcast_to(x, 4))


def test_an_extent_that_does_not_expand_is_refused():
    with pytest.raises(quake_tvm.QuakeError, match="Expand: the shapes do not fit"):
        _expanded().run(np.zeros(3, np.float32))


def _expanded():
    graph = helper.make_graph(
        [node("Expand", ["x", "shape"], ["y"])],
        "expand",
        [helper.make_tensor_value_info("x", FLOAT, ("n",))],
        [helper.make_tensor_value_info("y", FLOAT, None)],
        [numpy_helper.from_array(np.array([4]), "shape")],
    )
    opsets = [helper.make_opsetid("", 18)]
    return quake_tvm.compile(helper.make_model(graph, opset_imports=opsets, ir_version=9))


def test_batches_of_two_names_are_equal():
    graph = helper.make_graph(
        [node("MatMul", ["x", "w"], ["y"]), node("Split", ["y", "4 and 0"], ["a", "b"], axis=0)],
        "batches",
        [
            helper.make_tensor_value_info("x", FLOAT, ("m", 3, 2)),
            helper.make_tensor_value_info("w", FLOAT, ("n", 2, 3)),
        ],
        [helper.make_tensor_value_info(name, FLOAT, None) for name in "ab"],
        [numpy_helper.from_array(np.array([4, 0]), "4 and 0")],
    )
    opsets = [helper.make_opsetid("", 18)]
    proto = helper.make_model(graph, opset_imports=opsets, ir_version=9)
    compiled = quake_tvm.compile(proto, method="exact")
    x, w = np.arange(24.0, dtype="f4").reshape(4, 3, 2), np.arange(24.0, dtype="f4")
    all_of_it, nothing = compiled.run(x, w.reshape(4, 2, 3))
    np.testing.assert_allclose(all_of_it, x @ w.reshape(4, 2, 3), rtol=1e-6)
    assert nothing.shape == (0, 3, 3)
    with pytest.raises(quake_tvm.QuakeError, match="MatMul: the sizes of the operands differ"):
        compiled.run(x, w[:6].reshape(1, 2, 3))
    with pytest.raises(quake_tvm.QuakeError, match="Split: the axis does not have the 4 elements"):
        compiled.run(x[:2], w[:12].reshape(2, 2, 3))


def test_a_size_that_data_decide_is_no_extent_of_the_same_name():
    nodes = [
        node("Range", ["0", "k", "1"], ["counted"]),
        node("Shape", ["counted"], ["length of data"]),
        node("Slice", ["table", "zero", "length of data", "zero"], ["y"]),
        node("Shape", ["x"], ["length of x"], start=0, end=1),
        node("Slice", ["table", "zero", "length of x", "zero"], ["part"]),
        node("Add", ["part", "x"], ["z"]),
    ]
    used = ("0", "1", "zero", "table")
    graph = helper.make_graph(
        nodes,
        "names",
        [
            helper.make_tensor_value_info("x", FLOAT, ("length", 2)),
            helper.make_tensor_value_info("k", TensorProto.INT64, ()),
        ],
        [helper.make_tensor_value_info(name, FLOAT, None) for name in ("y", "z")],
        [numpy_helper.from_array(np.asarray(CONSTANTS[name]), name) for name in used],
    )
    opsets = [helper.make_opsetid("", 18)]
    compiled = quake_tvm.compile(helper.make_model(graph, opset_imports=opsets, ir_version=9))
    table = CONSTANTS["table"]
    for length, count in ((3, 5), (12, 20)):
        x = np.ones((length, 2), np.float32)
        y, z = compiled.run({"x": x, "k": np.int64(count)})
        np.testing.assert_array_equal(y, table[:count])
        np.testing.assert_array_equal(z, table[:length] + x)
    with pytest.raises(quake_tvm.QuakeError, match="length <= 12, got length = 13"):
        compiled.run({"x": np.ones((13, 2), np.float32), "k": np.int64(1)})
