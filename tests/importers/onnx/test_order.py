"""TopK orders NaN above all numbers, and equal values by index, as ONNX Runtime does."""

import numpy as np
import onnxruntime as ort
import pytest
from onnx import TensorProto, helper

import quake_tvm
from quake_tvm import QuakeError

NAN, INF = np.nan, np.inf
ROWS = np.array(
    [
        [1, NAN, 3, 2, -1, NAN, 5],
        [NAN, 1, 2, -INF, INF, 0, -0.0],
        [0.0, -0.0, 1e-45, -1e-45, 0, NAN, -NAN],
        [7, 7, -7, 7, -7, -7, 0],
    ]
)
TYPES = {"float32": TensorProto.FLOAT, "float64": TensorProto.DOUBLE, "int64": TensorProto.INT64}
UNSIGNED = {"uint32": TensorProto.UINT32, "uint64": TensorProto.UINT64}


def model_of(shape, cases):
    """A model with one TopK for each case of (dtype, k, axis, largest)."""
    nodes, inputs, outputs, constants = [], {}, [], []
    for number, (dtype, k, axis, largest) in enumerate(cases):
        kind = (TYPES | UNSIGNED)[dtype]
        inputs[f"x_{dtype}"] = helper.make_tensor_value_info(f"x_{dtype}", kind, shape)
        constants.append(helper.make_tensor(f"k{number}", TensorProto.INT64, [1], [k]))
        names = [f"v{number}", f"i{number}"]
        node = helper.make_node(
            "TopK", [f"x_{dtype}", f"k{number}"], names, axis=axis, largest=largest
        )
        nodes.append(node)
        for name, t in zip(names, (kind, TensorProto.INT64), strict=True):
            outputs.append(helper.make_tensor_value_info(name, t, [None] * len(shape)))
    graph = helper.make_graph(nodes, "order", list(inputs.values()), outputs, constants)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


@pytest.mark.parametrize("shape", [ROWS.shape, ("n", "m")])
def test_beside_onnx_runtime(shape):
    cases = [
        (dtype, k, axis, largest)
        for dtype in TYPES
        for k, axis in ((0, 1), (3, -1), (7, 1), (2, 0))
        for largest in (0, 1)
    ]
    model = model_of(shape, cases)
    finite = np.where(np.isfinite(ROWS), ROWS, 9)
    feeds = {f"x_{d}": (finite if d == "int64" else ROWS).astype(d) for d in TYPES}
    session = ort.InferenceSession(model.SerializeToString())
    found = quake_tvm.compile(model, method="exact").run(feeds)
    for case, wanted, got in zip(
        np.repeat(np.array(cases, object), 2, 0), session.run(None, feeds), found, strict=True
    ):
        np.testing.assert_array_equal(got, wanted, err_msg=str(case))


def test_a_number_that_follows_from_the_length():
    """The half of an axis, rounded up, and at most three: forms of detectors' exporters."""
    nodes = [
        helper.make_node("Shape", ["x"], ["length"], start=1, end=2),
        helper.make_node("Add", ["length", "one"], ["more"]),
        helper.make_node("Div", ["more", "two"], ["half"]),
        helper.make_node("Min", ["length", "three"], ["few"]),
        helper.make_node("TopK", ["x", "half"], ["v0", "i0"], axis=1),
        helper.make_node("TopK", ["x", "few"], ["v1", "i1"], axis=1, largest=0),
    ]
    constants = [
        helper.make_tensor(name, TensorProto.INT64, [1], [k])
        for k, name in ((1, "one"), (2, "two"), (3, "three"))
    ]
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", "m", 2])
    outputs = [
        helper.make_tensor_value_info(name, kind, None)
        for name, kind in zip(
            ("v0", "i0", "v1", "i1"), (TensorProto.FLOAT, TensorProto.INT64) * 2, strict=True
        )
    ]
    graph = helper.make_graph(nodes, "half", [x], outputs, constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    session, any_length = ort.InferenceSession(model.SerializeToString()), quake_tvm.compile(model)
    for shape in ((1, 1, 2), (2, 2, 2), (3, 40, 2)):
        # few different values: equal ones keep their order
        feeds = {"x": np.random.default_rng(0).integers(0, 9, shape).astype(np.float32)}
        for wanted, got in zip(session.run(None, feeds), any_length.run(feeds), strict=True):
            np.testing.assert_array_equal(got, wanted)


def test_a_number_beyond_the_length_ends_the_run():
    nodes = [
        helper.make_node("Shape", ["y"], ["number"], end=1),
        helper.make_node("TopK", ["x", "number"], ["v", "i"]),
    ]
    x, y = (helper.make_tensor_value_info(n, TensorProto.FLOAT, [f"of_{n}"]) for n in "xy")
    v = helper.make_tensor_value_info("v", TensorProto.FLOAT, None)
    graph = helper.make_graph(nodes, "beyond", [x, y], [v])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    compiled = quake_tvm.compile(model)
    three, four = np.float32([1, 3, 2]), np.zeros(4, np.float32)
    assert compiled.run([three, four[:2]])[0].tolist() == [3, 2]
    with pytest.raises(QuakeError, match="TopK: the axis has fewer elements"):
        compiled.run([three, four])


def test_a_number_that_cannot_be():
    with pytest.raises(
        QuakeError, match=r"^cannot import TopK: the first -1 elements \(node 'v0'\)$"
    ):
        quake_tvm.compile(model_of((2, 3), [("float32", -1, 0, 1)]))


def test_without_a_sign():
    model = quake_tvm.compile(model_of((1, 3), [("uint32", 2, 1, 1)]))
    values, places = model.run([np.uint32([[1, 2**32 - 1, 2]])])
    assert (values.tolist(), places.tolist()) == ([[2**32 - 1, 2]], [[1, 2]])
    with pytest.raises(QuakeError, match="uint64 cannot be ordered"):
        quake_tvm.compile(model_of((1, 3), [("uint64", 2, 1, 1)]))
