"""Padded copies of symbolic size have a loop in front of the tensor, one inside and one behind."""

import numpy as np
import pytest
import tvm
import tvm_ffi
from onnx import TensorProto, helper, numpy_helper
from tvm import te, tirx

import quake_tvm
from quake_tvm.schedules.borders import cut_borders

H, W = tirx.Var("h", "int64"), tirx.Var("w", "int64")


def padded(height, width):
    """An image with two pixels in front of each row and one behind, and one more row behind."""
    x = te.placeholder((height, width, 8), "float32", "x")

    def element(i, j, c):
        inside = tirx.all(i < height, j >= 2, j < width + 2)
        return tirx.if_then_else(inside, x[i, j - 2, c], tirx.const(0.0, "float32"))

    y = te.compute((height + 1, width + 3, 8), element, "y")
    return te.create_prim_func([x, y])


def branches(function):
    """The conditions of the branches."""
    found = []

    def see(call):
        if call.op.same_as(tvm.ir.Op.get("prim.if_then_else")):
            found.append(str(call.args[0]))

    tvm_ffi.structural_walk(function.body, (tvm.ir.Call, see))
    return found


def test_a_row_is_cut_where_the_tensor_begins_and_ends():
    function = padded(H, W)
    (before,) = branches(function)
    (after,) = branches(cut_borders(function))
    assert before.count("and") == 2
    assert after.count("and") == 0


def test_constant_sizes_are_left_to_the_compiler():
    function = padded(5, 7)
    assert cut_borders(function).same_as(function)


def test_a_row_that_no_tensor_ends_is_whole():
    x = te.placeholder((H, W), "float32", "x")
    y = te.compute((H, W), lambda i, j: tirx.if_then_else(i < j, x[i, j], x[i, W - 1 - j]), "y")
    function = te.create_prim_func([x, y])
    assert cut_borders(function).same_as(function)


@pytest.mark.parametrize(("height", "width"), [(0, 0), (0, 3), (3, 0), (1, 1), (2, 5), (7, 4)])
def test_values(height, width):
    built = tvm.compile(cut_borders(padded(H, W)), quake_tvm.target("native"))
    x = np.random.default_rng(0).standard_normal((height, width, 8)).astype(np.float32)
    y = tvm.runtime.tensor(np.full((height + 1, width + 3, 8), np.nan, np.float32))
    built(tvm.runtime.tensor(x), y)
    np.testing.assert_array_equal(y.numpy(), np.pad(x, [(0, 1), (2, 1), (0, 0)]))


@pytest.fixture(scope="module")
def convolutions():
    """Convolutions that pad in several ways, compiled for any size, and a function for one size."""
    rng = np.random.default_rng(0)
    forms = {
        "dense": ((8, 6, 3, 3), {"pads": [1, 2, 0, 1]}),
        "strided": ((8, 6, 3, 3), {"pads": [0, 1, 1, 1], "strides": [2, 2]}),
        "depthwise": ((6, 1, 5, 3), {"pads": [2, 1, 2, 1], "group": 6}),
        "depthwise_strided": ((6, 1, 3, 3), {"pads": [1] * 4, "group": 6, "strides": [2, 1]}),
        "dilated": ((4, 6, 3, 3), {"pads": [2] * 4, "dilations": [2, 2]}),
        "wide_pads": ((4, 6, 1, 1), {"pads": [0, 4, 0, 5]}),
    }
    nodes, weights = [], []
    for name, (shape, attributes) in forms.items():
        values = rng.standard_normal(shape).astype(np.float32)
        weights.append(numpy_helper.from_array(values, f"w_{name}"))
        nodes.append(helper.make_node("Conv", ["x", f"w_{name}"], [name], **attributes))

    def compiled(shape):
        graph = helper.make_graph(
            nodes,
            "convolutions",
            [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
            [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in forms],
            weights,
        )
        opset = [helper.make_opsetid("", 17)]
        return quake_tvm.compile(helper.make_model(graph, opset_imports=opset, ir_version=9))

    return compiled, compiled(["b", 6, "height", "width"])


@pytest.mark.parametrize("shape", [(1, 6, 6, 3), (2, 6, 5, 9), (1, 6, 3, 23), (3, 6, 18, 2)])
def test_convolutions_have_the_bits_of_constant_sizes(convolutions, shape):
    compiled, any_size = convolutions
    x = np.random.default_rng(1).standard_normal(shape).astype(np.float32)
    for got, want in zip(any_size.run({"x": x}), compiled(shape).run({"x": x}), strict=True):
        np.testing.assert_array_equal(got, want)
