"""Slices of axes of unknown length, and of very short axes."""

import numpy as np
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

import quake_tvm
from quake_tvm.build import import_model
from tests.importers.onnx.models import constant, make, node

FAR = 2**62
# Starts, ends and steps.
SLICES = [
    (1, -1, 1), (2, -3, 1), (1, -1, 2), (0, -1, 1), (1, 3, 1), (-3, FAR, 1), (5, 10, 1),
    (-5, -2, 1), (4, 1, -1), (-FAR, 3, 1), (-10, 4, -2), (4, -10, -2), (-7, 7, -2), (3, 1, 1),
    (9, -9, 3), (-4, 4, 1), (-2, 1, 1), (7, -3, -2), (-1, -FAR, -1), (-2, 3, -1), (FAR, 0, -1),
    (-2, -5, -1), (2, 2, 1), (-5, -2, -1), (-1, -2, -3), (2, 2, -1),
]  # fmt: skip
STEP_OF_0 = r"^cannot import Slice: a step of 0 \(node 'y0?'\)$"


def _model(slices):
    nodes, constants = [], []
    for k, slice_ in enumerate(slices):
        for name, value in zip(("start", "end", "step"), slice_, strict=True):
            constants.append(numpy_helper.from_array(np.array([value]), f"{name}{k}"))
        operands = ["x", f"start{k}", f"end{k}", "axis", f"step{k}"]
        nodes.append(helper.make_node("Slice", operands, [f"y{k}"]))
    constants.append(numpy_helper.from_array(np.array([0]), "axis"))
    outputs = [node.output[0] for node in nodes]
    graph = helper.make_graph(
        nodes,
        "slices",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ("n", 2))],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in outputs],
        constants,
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)


def test_slices_of_one_length():
    model = _model(SLICES)
    session = onnxruntime.InferenceSession(model.SerializeToString())
    for n in (1, 3, 9):
        x = np.arange(2 * n, dtype=np.float32).reshape(n, 2)
        got = quake_tvm.compile(model, shapes={"x": (n, 2)}).run({"x": x})
        for y, want in zip(got, session.run(None, {"x": x}), strict=True):
            np.testing.assert_array_equal(y, want)


def test_lengths_of_slices_are_known_when_compiling():
    """One that is computed at run time would hide the shape from everything that follows."""
    model = _model(SLICES)
    x = np.zeros((9, 2), np.float32)
    wanted = onnxruntime.InferenceSession(model.SerializeToString()).run(None, {"x": x})
    main = import_model(model, {"x": x.shape})["main"]
    found = [tuple(map(int, field.shape)) for field in main.ret_ty.fields]
    assert found == [y.shape for y in wanted]


def test_slices_of_any_length():
    model = _model(SLICES)
    compiled = quake_tvm.compile(model)
    session = onnxruntime.InferenceSession(model.SerializeToString())
    for n in range(14):
        x = np.arange(2 * n, dtype=np.float32).reshape(n, 2)
        wanted = session.run(None, {"x": x})
        for got, want in zip(compiled.run({"x": x}), wanted, strict=True):
            np.testing.assert_array_equal(got, want)


def test_a_reversed_axis_keeps_its_extent():
    """A tensor plus its mirror image has no check of sizes and no condition."""
    main = import_model(_model([(-1, -FAR, -1)]))["main"]
    assert main.ret_ty.shape[0].same_as(main.params[0].ty.shape[0])
    assert "quake_conditions" not in (main.attrs or {})


@pytest.mark.parametrize("n", [None, 0, 9])
@pytest.mark.parametrize("slice_", [(1, 5, 0), (3, 3, 0), (-1, -FAR, 0)], ids=str)
def test_steps_of_0(slice_, n):
    shapes = None if n is None else {"x": (n, 2)}
    with pytest.raises(
        quake_tvm.QuakeError, match=r"^cannot import Slice: a step of 0 \(node 'y0?'\)$"
    ):
        quake_tvm.compile(_model([slice_]), shapes=shapes)


def test_steps_of_0_with_bounds_that_data_decide():
    bounds = [helper.make_tensor_value_info(name, TensorProto.INT64, (1,)) for name in ("a", "b")]
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, ("n", 2))
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, None)
    none = numpy_helper.from_array(np.array([0]), "none")
    node = helper.make_node("Slice", ["x", "a", "b", "none", "none"], ["y"])
    graph = helper.make_graph([node], "slice", [x, *bounds], [y], [none])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    with pytest.raises(
        quake_tvm.QuakeError, match=r"^cannot import Slice: a step of 0 \(node 'y0?'\)$"
    ):
        quake_tvm.compile(model)


def test_slices_that_data_decide():
    names = ["start", "end", "axis", "step"]
    given = [helper.make_tensor_value_info(name, TensorProto.INT64, (2,)) for name in names]
    given.insert(0, helper.make_tensor_value_info("x", TensorProto.FLOAT, ("n", 3, 2)))
    node = helper.make_node("Slice", ["x", *names], ["y"])
    output = helper.make_tensor_value_info("y", TensorProto.FLOAT, None)
    graph = helper.make_graph([node], "slice", given, [output])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    compiled = quake_tvm.compile(model)
    session = onnxruntime.InferenceSession(model.SerializeToString())
    x = np.arange(30, dtype=np.float32).reshape(5, 3, 2)
    most = 2**63 - 1

    def feeds(start, end, axis, step):
        numbers = zip(names, (start, end, axis, step), strict=True)
        return {"x": x} | {name: np.int64([n, m]) for name, (n, m) in numbers}

    for start in ((0, 1), (-100, 2), (-most, 0), (most, 1)):
        for end in ((4, 9), (-most, -9), (-100, 0)):
            for step in ((1, 1), (most, 2), (-most, -1), (-2, -most)):
                for axis in ((0, 1), (-2, -3), (2, 0)):
                    slice_ = feeds(start, end, axis, step)
                    (wanted,) = session.run(None, slice_)
                    np.testing.assert_array_equal(compiled.run(slice_)[0], wanted)
    for axis, problem in (((0, 3), "outside"), ((0, -4), "outside"), ((1, -2), "given twice")):
        with pytest.raises(quake_tvm.QuakeError, match=f"^Slice: .*{problem}"):
            compiled.run(feeds((0, 0), (2, 2), axis, (1, 1)))


def test_a_slice_of_all_elements_is_its_input():
    """As a kernel it would hide the input from the passes."""
    constants = {"starts": [0, 0], "ends": [FAR, 2], "axes": [0, 1], "steps": [1, 1]}
    graph = helper.make_graph(
        [helper.make_node("Slice", ["x", *constants], ["y"])],
        "slice",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ("n", 2))],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(np.array(value), name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    assert "slice" not in import_model(model).script()


@pytest.mark.parametrize("height", [1, 5])
def test_a_slice_behind_a_window_that_does_not_fit(height):
    """onnx's inference ends the process on a slice of a tensor of negative extent."""
    tensors = {
        "w": np.ones((3, 2, 5, 5), np.float32),
        "start": np.array([0]),
        "end": np.array([3]),
        "axis": np.array([2]),
    }
    graph = helper.make_graph(
        [
            helper.make_node("Slice", ["x", "start", "end", "axis"], ["part"]),
            helper.make_node("Conv", ["part", "w"], ["wide"], pads=[1, 1, 1, 1]),
            helper.make_node("Slice", ["wide", "start", "end", "axis"], ["few"]),
            helper.make_node("Conv", ["few", "w2"], ["none"]),
            helper.make_node("Slice", ["none", "start", "end", "axis"], ["y"]),
        ],
        "windows",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, (1, 2, height, 20))],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [
            *(numpy_helper.from_array(value, name) for name, value in tensors.items()),
            numpy_helper.from_array(np.ones((4, 3, 5, 5), np.float32), "w2"),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    refused = r"^cannot import Conv: a window of 5 in \d elements and their pads"
    with pytest.raises(quake_tvm.QuakeError, match=refused):
        quake_tvm.compile(model)


def test_a_folded_slice_backwards_from_before_the_first_element():
    bounds = {"s": [-4], "e": [-(2**63)], "a": [0], "t": [-1]}
    constants = [constant(np.array(values), name) for name, values in bounds.items()]
    nodes = [node("Shape", ["x"], ["sizes"]), node("Slice", ["sizes", "s", "e", "a", "t"], ["y"])]
    for shape in ((3, 2), ("n", 2)):
        model = make(nodes, {"x": shape}, {"y": None}, constants)
        (y,) = quake_tvm.compile(model, method="exact").run(np.zeros((3, 2), np.float32))
        np.testing.assert_array_equal(y, [3])
