"""Resize of an unknown length has the bits of Resize of a known one."""

import itertools

import numpy as np
import onnx
import onnx.parser
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

import quake_tvm

HALF_PIXEL = ("half_pixel", "half_pixel_symmetric", "pytorch_half_pixel")
CASES = list(
    itertools.product(
        ("nearest", "linear", "cubic"),
        (*HALF_PIXEL, "asymmetric", "align_corners"),
        (0.75, 1.5, 2, 3, "size"),
    )
)
LENGTHS = (2, 7, 38, 211)


def _model(length: int | str) -> onnx.ModelProto:
    """All cases; x of (length, 3). A size is that of the second input, (any, 1)."""
    nodes = [
        helper.make_node("Shape", ["other"], ["rows"], end=1),
        helper.make_node("Concat", ["rows", "columns"], ["size"], axis=0),
    ]
    constants = [numpy_helper.from_array(np.array([3]), "columns")]
    for k, (mode, coordinates, scale) in enumerate(CASES):
        inputs = ["x", "", "", "size"]
        if scale != "size":
            inputs = ["x", "", f"scale{k}"]
            constants.append(numpy_helper.from_array(np.float32([scale, 1]), inputs[-1]))
        nodes.append(
            helper.make_node(
                "Resize", inputs, [f"y{k}"], mode=mode, coordinate_transformation_mode=coordinates
            )
        )
    known = isinstance(length, int)
    inputs = [
        helper.make_tensor_value_info("x", TensorProto.FLOAT, [length, 3]),
        helper.make_tensor_value_info(
            "other", TensorProto.FLOAT, [_size(length) if known else "m", 1]
        ),
    ]
    outputs = [
        helper.make_tensor_value_info(f"y{k}", TensorProto.FLOAT, None) for k in range(len(CASES))
    ]
    graph = helper.make_graph(nodes, "resizes", inputs, outputs, constants)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 19)], ir_version=9)


def _size(length: int) -> int:
    return length * 7 // 5 + 1


@pytest.fixture(scope="module")
def any_length():
    return quake_tvm.compile(_model("n"), method="exact")


@pytest.mark.parametrize("length", LENGTHS)
def test_bits_of_a_known_length(any_length, length):
    feeds = {
        "x": np.random.default_rng(length).normal(size=(length, 3)).astype(np.float32),
        "other": np.zeros((_size(length), 1), np.float32),
    }
    known = quake_tvm.compile(_model(length), method="exact").run(feeds)
    peer = onnxruntime.InferenceSession(_model(length).SerializeToString()).run(None, feeds)
    for case, found, wanted, theirs in zip(CASES, any_length.run(feeds), known, peer, strict=True):
        np.testing.assert_array_equal(found, wanted, err_msg=str(case))
        np.testing.assert_allclose(found, theirs, rtol=1e-4, atol=1e-4, err_msg=str(case))


IMAGES = list(
    itertools.product(("linear", "cubic"), ("half_pixel", "pytorch_half_pixel", "asymmetric"))
)


def _images(size: tuple[int, int] | None, other: tuple[int, int] | None) -> onnx.ModelProto:
    """An image of (1, 2, h, w), resized to that of the second input, (1, 1, H, W)."""
    nodes = [
        helper.make_node("Shape", ["x"], ["head"], end=2),
        helper.make_node("Shape", ["other"], ["tail"], start=2),
        helper.make_node("Concat", ["head", "tail"], ["size"], axis=0),
    ]
    for k, (mode, way) in enumerate(IMAGES):
        options = {"mode": mode, "coordinate_transformation_mode": way}
        nodes.append(helper.make_node("Resize", ["x", "", "", "size"], [f"y{k}"], **options))
    inputs = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, channels, *(known or unknown)])
        for name, channels, known, unknown in (("x", 2, size, "hw"), ("other", 1, other, "HW"))
    ]
    outputs = [
        helper.make_tensor_value_info(f"y{k}", TensorProto.FLOAT, None) for k in range(len(IMAGES))
    ]
    graph = helper.make_graph(nodes, "images", inputs, outputs)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 19)], ir_version=9)


def test_bits_of_images_of_a_computed_size():
    any_size = quake_tvm.compile(_images(None, None), method="exact")
    for size, other in (((7, 5), (10, 13)), ((2, 30), (5, 2)), ((4, 6), (1, 9))):
        feeds = {
            "x": np.random.default_rng(size[0]).normal(size=(1, 2, *size)).astype(np.float32),
            "other": np.zeros((1, 1, *other), np.float32),
        }
        found = any_size.run(feeds)
        peer = onnxruntime.InferenceSession(_images(size, other).SerializeToString())
        for case, ours, theirs in zip(IMAGES, found, peer.run(None, feeds), strict=True):
            np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-4, err_msg=str(case))
        if 1 in other:  # a build for one element leaves out terms whose weight is 0
            continue
        known = quake_tvm.compile(_images(size, other), method="exact").run(feeds)
        for case, ours, wanted in zip(IMAGES, found, known, strict=True):
            np.testing.assert_array_equal(ours, wanted, err_msg=f"{case} {size} {other}")


def test_cubic_resize_to_half_of_an_image():
    """Sizes that are rounded halves compile, with the bits of known sizes."""
    model = onnx.parser.parse_model(
        '<ir_version: 9, opset_import: ["": 19]> halved (float[n, c, h, w] x) => (y) {'
        " first = Shape<end = 2>(x) image = Shape<start = 2>(x)"
        " one = Constant<value_ints = [1]>() two = Constant<value_ints = [2]>()"
        " more = Add(image, one) half = Div(more, two) size = Concat<axis = 0>(first, half)"
        ' y = Resize<mode = "cubic", coordinate_transformation_mode = "asymmetric">'
        "(x, , , size) }"
    )
    x = np.random.default_rng(0).normal(size=(2, 1, 7, 10)).astype(np.float32)
    any_length = quake_tvm.compile(model, method="exact")
    known = quake_tvm.compile(model, method="exact", shapes={"x": x.shape})
    session = onnxruntime.InferenceSession(model.SerializeToString())
    (y,) = any_length.run(x)
    assert y.tobytes() == known.run(x)[0].tobytes()
    np.testing.assert_allclose(y, session.run(None, {"x": x})[0], rtol=1e-5, atol=1e-6)
