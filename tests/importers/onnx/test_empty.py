"""Models with tensors without elements."""

import numpy as np
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

import quake_tvm
from tests.importers.onnx.models import constant, make
from tests.onnx_models import node

CONSTANTS = {
    "four": [4], "one": [1], "far": [-(2**62)], "parts": [0, 3, 0, 2], "none": [5, 0],
    "axis": [0],
}  # fmt: skip
NODES = [
    node("Slice", "x four one axis", "backwards"),
    node("Slice", "x four far axis", "before"),
    node("Relu", "backwards", "still"),
    node("ReduceSum", "before axis", "sums", keepdims=0),
    node("Concat", "still x", "joined", axis=0),
    helper.make_node("Split", ["x", "parts"], ["a", "b", "c", "d"], axis=0),
    helper.make_node("Split", ["x", "none"], ["e", "f"], axis=0),
    node("Add", "b b", "twice"),
    node("Tanh", "d", "bent"),
    node("MatMul", "x narrow", "wide"),
    node("Gemm", "none_of_4 wide4 bias", "biased", transA=1),
]
OUTPUTS = [
    "wide",
    "biased",
    "backwards",
    "still",
    "sums",
    "joined",
    "a",
    "c",
    "twice",
    "bent",
    "e",
    "f",
]


def test_what_has_no_elements_is_a_constant():
    constants = {name: np.array(value, np.int64) for name, value in CONSTANTS.items()}
    constants["narrow"] = np.zeros((3, 0), np.float32)
    constants["none_of_4"] = constants["wide4"] = np.zeros((0, 4), np.float32)
    constants["bias"] = np.ones(4, np.float32)
    graph = helper.make_graph(
        NODES,
        "empty",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, (5, 3))],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in OUTPUTS],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    opsets = [helper.make_opsetid("", 17)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=9)
    feeds = {"x": np.arange(15, dtype=np.float32).reshape(5, 3)}
    wanted = onnxruntime.InferenceSession(model.SerializeToString()).run(None, feeds)
    for got, want in zip(quake_tvm.compile(model).run(feeds), wanted, strict=True):
        assert (got.shape, got.dtype) == (want.shape, want.dtype)
        np.testing.assert_allclose(got, want, rtol=1e-6)


def test_a_model_of_nothing_else():
    places = {"four": 4, "five": 5, "one": 1}
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 3])
    z = helper.make_tensor_value_info("z", TensorProto.FLOAT, [0, "m"])
    graph = helper.make_graph(
        [node("Slice", "x four five one", "y"), node("MatMul", "y z", "w")],
        "empty",
        [x, z],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in "yw"],
        [numpy_helper.from_array(np.array([n]), k) for k, n in places.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    feeds = {"x": np.ones((2, 3), np.float32), "z": np.ones((0, 4), np.float32)}
    assert [y.shape for y in quake_tvm.compile(model).run(feeds)] == [(2, 0), (2, 4)]


REDUCTIONS = [f"Reduce{name}" for name in ("L1", "L2", "LogSum", "Max", "Min", "Prod", "Sum")]


@pytest.mark.parametrize("shape", [(3, 0), ("rows", "columns")], ids=str)
def test_reductions_over_nothing(shape):
    dynamic = "rows" in shape  # there the mean is 0/0
    outputs = [*REDUCTIONS, "product", *([] if dynamic else ["ReduceMean"])]
    nodes = [node(name, "x axes", name, keepdims=0) for name in REDUCTIONS]
    nodes += [node("ReduceMean", "x axes", "ReduceMean"), node("MatMul", "x y", "product")]
    graph = helper.make_graph(
        nodes,
        "nothing",
        [
            helper.make_tensor_value_info("x", TensorProto.FLOAT, shape),
            helper.make_tensor_value_info("y", TensorProto.FLOAT, [shape[1], 20]),
        ],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in outputs],
        [numpy_helper.from_array(np.array([1]), "axes")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    compiled = quake_tvm.compile(model)
    for columns in (0, 5) if dynamic else (0,):
        feeds = {
            "x": np.full((3, columns), 2, np.float32),
            "y": np.ones((columns, 20), np.float32),
        }
        wanted = onnxruntime.InferenceSession(model.SerializeToString()).run(None, feeds)
        for got, want in zip(compiled.run(feeds), wanted, strict=True):
            np.testing.assert_allclose(got, want, rtol=1e-6)


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int64"])
def test_extremes_of_no_integers(dtype):
    kind = helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
    graph = helper.make_graph(
        [node(name, "x axes", name) for name in ("ReduceMax", "ReduceMin")],
        "nothing",
        [helper.make_tensor_value_info("x", kind, [0, 3])],
        [helper.make_tensor_value_info(n, kind, None) for n in ("ReduceMax", "ReduceMin")],
        [numpy_helper.from_array(np.array([0]), "axes")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    x = np.zeros((0, 3), dtype)
    wanted = onnxruntime.InferenceSession(model.SerializeToString()).run(None, {"x": x})
    for got, want in zip(quake_tvm.compile(model).run(x), wanted, strict=True):
        np.testing.assert_array_equal(got, want)


def test_means_over_outer_axes_of_nothing():
    """No schedule rule takes these kernels: the initial value of a sum precedes its loop."""
    graph = helper.make_graph(
        [node("ReduceMean", "x axes", "y", keepdims=0)],
        "nothing",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, "abc")],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(np.array([-1, 0]), "axes")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    compiled = quake_tvm.compile(model)
    for _ in range(3):  # in memory that a former run has freed
        np.testing.assert_allclose(compiled.run(np.full((2, 40, 4), 3, np.float32))[0], 3)
        assert np.isnan(compiled.run(np.ones((2, 40, 0), np.float32))[0]).all()


def test_no_elements_beside_symbolic_extents():
    repeats = [constant(np.array([2, 2, 1]), "repeats"), constant(np.array([1, 0, 1]), "never")]
    nodes = [
        node("Flatten", "x", "flat", axis=3),
        node("Flatten", "x", "rows", axis=1),
        node("Tile", "x repeats", "more"),
        node("Tile", "x never", "none"),
    ]
    shapes = {"flat": (0, 1), "rows": (2, 0), "more": (4, 0, 3), "none": (2, 0, 3)}
    model = make(nodes, {"x": ["n", 0, "m"]}, dict.fromkeys(shapes), repeats)
    results = quake_tvm.compile(model, method="exact").run(np.zeros((2, 0, 3), np.float32))
    assert [result.shape for result in results] == list(shapes.values())


def test_an_expansion_to_no_elements_in_a_branch():
    branches = {
        name: helper.make_graph(
            [node("Expand", "x none", f"{name}_y"), node("ReduceSum", f"{name}_y", f"{name}_z")],
            name, [], [helper.make_tensor_value_info(f"{name}_z", TensorProto.FLOAT, None)],
        )
        for name in ("then_branch", "else_branch")
    }  # fmt: skip
    nodes = [node("ReduceSum", "x", "s", keepdims=0), node("Cast", "s", "c", to=TensorProto.BOOL)]
    nodes.append(node("If", "c", "y", **branches))
    model = make(nodes, {"x": [2, 1]}, {"y": None}, [constant(np.array([0, 2, 3]), "none")])
    (y,) = quake_tvm.compile(model, method="exact").run(np.ones((2, 1), np.float32))
    np.testing.assert_array_equal(y, np.zeros((1, 1, 1), np.float32))
