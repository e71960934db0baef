"""ONNX's operators on images are honoured or refused: node by node against ONNX Runtime.

The nodes are those that ``test_random_images.py`` does not draw.
"""

import numpy as np
import onnx
import pytest
import tvm
from tvm.relax.frontend.onnx import from_onnx

import quake_tvm
from quake_tvm import QuakeError
from quake_tvm.importers.onnx import module as onnx_import
from quake_tvm.passes.relax.graph import op_name
from quake_tvm.runtime.description import OUTPUTS
from tests.onnx_nodes import Case, compare, ints, model, reference, values

ROIS = np.float32([[0, 0, 3, 3], [1, 1, 7, 8], [-1, -2, 4, 5], [2, 2, 2, 2], [5, 5, 3, 3]])
BATCHES = ints(0, 1, 0, 1, 0)
BOXES = np.random.default_rng(0).random((2, 6, 4), np.float32)
SCORES = np.random.default_rng(1).normal(size=(2, 3, 6)).astype(np.float32)
GRID = np.random.default_rng(2).random((1, 3, 4, 2), np.float32) * 2.8 - 1.4


def pads(mode, *numbers, axes=None, opset=19, x=None):
    rest = [None, ints(*axes)] if axes else []
    x = values(1, 2, 4, 5) if x is None else x
    return Case("Pad", opset, [x], [ints(*numbers), *rest], {"mode": mode})


FIXED = [
    *(pads(mode, 0, 0, 1, 2, 0, 0, 2, 1) for mode in ("constant", "reflect", "edge", "wrap")),
    *(pads(mode, 0, 0, -1, 2, 0, 0, 1, -2) for mode in ("constant", "reflect", "edge", "wrap")),
    *(pads(mode, 1, 1, 0, 2, axes=(-1, 2)) for mode in ("constant", "reflect", "edge", "wrap")),
    Case("Pad", 19, [values(2, 3)], [ints(1, 0, 0, 2), np.float32(-np.inf)]),
    Case("Pad", 19, [values(2, 3, dtype="int64")], [ints(1, 0, 0, 2), np.int64(7)]),
    Case("Pad", 7, [values(2, 3)], [], {"mode": "constant", "pads": [1, 0, 0, 2], "value": 1.5}),
    Case("Pad", 7, [values(2, 3)], [], {"mode": "reflect", "pads": [1, 0, 0, 2]}),
    *(
        Case("RoiAlign", 16, [values(2, 3, 8, 9), ROIS], [BATCHES],
             {"sampling_ratio": ratio, "spatial_scale": 0.5, "output_height": 2, "output_width": 3,
              "coordinate_transformation_mode": mode})
        for ratio in (0, 2) for mode in ("half_pixel", "output_half_pixel")
    ),
    Case("RoiAlign", 10, [values(2, 3, 8, 9), ROIS], [BATCHES], {"sampling_ratio": 1}),
    *(
        Case("AffineGrid", 20, [values(2, len(size), len(size) + 1)], [ints(2, 3, *size)],
             {"align_corners": corners})
        for corners in (0, 1) for size in ((4, 5), (3, 2, 4))
    ),
    Case("MaxUnpool", 11, [values(1, 2, 3, 3)], [np.arange(18).reshape(1, 2, 3, 3)],
         {"kernel_shape": [3, 3], "strides": [2, 2], "pads": [1, 0, 1, 0]}),
    *(
        Case("NonMaxSuppression", 11, [BOXES, SCORES], constants, {"center_point_box": center})
        for center, constants in (
            (0, []), (1, [np.int64(3), np.float32(0.3), np.float32(0.1)]),
            (0, [ints(2**62), np.float32([0.9])]), (0, [np.int64(4), None, np.float32(-0.2)]),
        )
    ),
    *(Case(f"Global{kind}Pool", 7, [values(2, 3, *rest)])
      for kind in ("Average", "Max", "Lp") for rest in ((4, 5), (4,))),
    Case("GlobalLpPool", 7, [values(2, 3, 4, 5)], [], {"p": 3}),
    Case("MaxRoiPool", 7, [values(2, 3, 8, 9)], [np.float32([[0, 0, 0, 3, 3], [1, 1, 1, 7, 8]])],
         {"pooled_shape": [2, 3], "spatial_scale": 0.5}),
    Case("DepthToSpace", 11, [values(2, 8, 3, 4)], [], {"blocksize": 2, "mode": "CRD"}),
    Case("DepthToSpace", 7, [values(2, 8, 3, 4)], [], {"blocksize": 2}),
    Case("SpaceToDepth", 7, [values(2, 3, 4, 6)], [], {"blocksize": 2}),
    *(
        Case("GridSample", 16, [values(1, 1, 5, 6), GRID], [],
             {"mode": mode, "padding_mode": padding, "align_corners": corners})
        for mode, padding, corners in [
            ("bilinear", "zeros", 0), ("nearest", "border", 1),
        ]
    ),
    *(
        Case(kind, 12, [values(1, 2, 6, 7, dtype=dtype)], [],
             {"kernel_shape": [2, 2], "pads": [1, 1, 1, 1], "strides": [2, 1]})
        for kind, dtype in [("MaxPool", "int8"), ("MaxPool", "uint8"), ("AveragePool", "float32")]
    ),
]  # fmt: skip


def test_fixed_nodes():
    compare(FIXED)


# Between other nodes


def test_a_network_of_odd_attributes():
    node, constant = onnx.helper.make_node, onnx.numpy_helper.from_array
    nodes = [
        node("Conv", ["x", "w"], ["a"], auto_pad="SAME_LOWER", strides=[2, 2]),
        node("Sigmoid", ["a"], ["b"]),
        node("Mul", ["a", "b"], ["c"]),
        node("Resize", ["c", "", "s"], ["d"], mode="linear", antialias=1, axes=[2, 3]),
        node("Relu", ["d"], ["e"]),
        node("MaxPool", ["e"], ["f"], kernel_shape=[3, 2], strides=[2, 3], ceil_mode=1),
        node("Sigmoid", ["f"], ["g"]),
        node("ConvTranspose", ["g", "v"], ["h"], strides=[2, 2], output_shape=[8, 10]),
        node("Tanh", ["h"], ["i"]),
        node("Resize", ["i", "", "", "z"], ["j"], mode="nearest",
             coordinate_transformation_mode="half_pixel_symmetric"),
        node("AveragePool", ["j"], ["k"], kernel_shape=[3, 3], strides=[2, 2], ceil_mode=1,
             pads=[1, 1, 1, 1], count_include_pad=1),
        node("Sigmoid", ["k"], ["l"]),
        node("LpPool", ["l"], ["y"], kernel_shape=[2, 2], p=3),
    ]  # fmt: skip
    constants = [
        constant(values(8, 3, 3, 4), "w"),
        constant(values(8, 16, 3, 3), "v"),
        constant(np.float32([0.7, 1.6]), "s"),
        constant(ints(1, 20, 13, 7), "z"),
    ]
    graph = onnx.helper.make_graph(
        nodes,
        "network",
        [onnx.helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, [1, 3, 23, 18])],
        [onnx.helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, None)],
        constants,
    )
    opsets = [onnx.helper.make_opsetid("", 19)]
    made = onnx.helper.make_model(graph, opset_imports=opsets, ir_version=9)
    feeds = {"x": values(1, 3, 23, 18)}
    (wanted,) = reference(made, feeds)
    (exact,) = quake_tvm.compile(made, method="exact").run(feeds)
    np.testing.assert_allclose(exact, wanted, rtol=2e-5, atol=2e-5)
    (rung,) = quake_tvm.compile(made, method="quake4").run(feeds)
    np.testing.assert_allclose(rung, wanted, rtol=1e-3, atol=1e-3)


# Dynamic dimensions


@pytest.mark.parametrize(
    "case",
    [
        Case("Resize", 13, [], [None, np.float32([1, 1, 3, 1.5])], {"mode": "nearest"}),
        Case("Resize", 13, [], [None, np.float32([1, 1, 0.5, 3])], {"mode": "linear"}),
        Case("Resize", 13, [], [None, np.float32([1, 1, 2, 2])], {
            "mode": "linear", "coordinate_transformation_mode": "align_corners"}),
        Case("Resize", 13, [], [None, None, ints(1, 2, 6, 5)], {"mode": "cubic"}),
        Case("MaxPool", 12, [], [], {"kernel_shape": [3, 2], "auto_pad": "SAME_LOWER"}),
        Case("AveragePool", 12, [], [], {
            "kernel_shape": [3, 2], "strides": [2, 2], "ceil_mode": 1, "pads": [1, 0, 1, 0]}),
        *(
            Case(operator, 18, [], constants, {**given, "auto_pad": pad, "strides": [2, 3]})
            for pad in ("SAME_UPPER", "SAME_LOWER")
            for operator, constants, given in [
                ("MaxPool", [], {"kernel_shape": [3, 3]}),
                ("AveragePool", [], {"kernel_shape": [3, 4]}),
                ("AveragePool", [], {"kernel_shape": [2, 5], "count_include_pad": 1}),
                ("LpPool", [], {"kernel_shape": [2, 3]}),
                ("Conv", [values(5, 2, 3, 4), values(5)], {}),
                ("Conv", [values(6, 1, 1, 3)], {"group": 2}),
            ]
        ),
    ],
    ids=str,
)  # fmt: skip
def test_dynamic_nodes(case):
    shapes = [(1, 2, 4, 6), (1, 2, 7, 3), (1, 2, 3, 2), (1, 2, 9, 11)]
    made, _ = model([Case(case.operator, case.opset, [values(*shapes[0])], case.constants,
                          case.attributes)])  # fmt: skip
    for value in (*made.graph.input, *made.graph.output):
        for k, name in ((2, "h"), (3, "w")):
            value.type.tensor_type.shape.dim[k].dim_param = name if value.name[0] == "x" else ""
    compiled = quake_tvm.compile(made, method="exact")
    for shape in shapes:
        x = values(*shape)
        (wanted,) = reference(made, {"x0_0": x})
        (given,) = compiled.run({"x0_0": x})
        np.testing.assert_allclose(given, wanted, rtol=2e-5, atol=2e-5)


def test_dynamic_means_that_cannot_be_counted_are_refused():
    attributes = {"kernel_shape": [2, 2], "ceil_mode": 1, "pads": [0, 0, 2, 2]}
    made, _ = model([Case("AveragePool", 19, [values(1, 2, 4, 6)], [], attributes)])
    made.graph.input[0].type.tensor_type.shape.dim[2].dim_param = "h"
    made.graph.output[0].type.tensor_type.shape.dim[2].dim_param = ""
    with pytest.raises(QuakeError, match=r"^cannot import AveragePool: ceil_mode of dynamic"):
        quake_tvm.compile(made)


# Options that TVM ignores


@pytest.mark.parametrize(
    ("attributes", "scale"),
    [
        ({"mode": "nearest"}, 2),
        ({"mode": "nearest", "coordinate_transformation_mode": "asymmetric",
          "nearest_mode": "floor"}, 2),
        ({"mode": "nearest", "coordinate_transformation_mode": "asymmetric",
          "nearest_mode": "floor"}, 3),
        ({"mode": "linear", "coordinate_transformation_mode": "pytorch_half_pixel"}, 2),
        ({"mode": "linear", "coordinate_transformation_mode": "align_corners"}, 4),
        ({"mode": "cubic"}, 2),
    ],
    ids=str,
)  # fmt: skip
@pytest.mark.parametrize("dynamic", [False, True])
def test_upsampling_of_images_stays_a_resize2d(attributes, scale, dynamic):
    if dynamic and scale == 3:
        pytest.skip("TVM's float32 is not exact")
    case = Case("Resize", 13, [values(1, 3, 80, 40)],
                [None, np.float32([1, 1, scale, scale])], attributes)  # fmt: skip
    made, _ = model([case])
    if dynamic:
        made.graph.input[0].type.tensor_type.shape.dim[2].dim_param = "h"
        made.graph.input[0].type.tensor_type.shape.dim[3].dim_param = "w"
    main = onnx_import.to_relax(made)["main"]
    names = [op_name(b.value) for block in main.body.blocks for b in block.bindings]
    assert names == ["relax.image.resize2d"]


@pytest.mark.parametrize(
    "case",
    [
        Case("MaxPool", 12, [values(1, 3, 9, 9)], [], {
            "kernel_shape": [3, 3], "strides": [2, 2], "pads": [1, 1, 1, 1]}),
        Case("AveragePool", 12, [values(1, 3, 9, 9)], [], {
            "kernel_shape": [3, 3], "pads": [1, 1, 1, 1], "count_include_pad": 1}),
        Case("AveragePool", 12, [values(1, 3, 8, 8)], [], {
            "kernel_shape": [2, 2], "strides": [2, 2]}),
        Case("GlobalAveragePool", 12, [values(1, 3, 9, 9)]),
        Case("Conv", 12, [values(1, 3, 9, 9)], [values(4, 3, 3, 3), values(4)], {
            "pads": [1, 1, 1, 1]}),
        Case("ConvTranspose", 12, [values(1, 3, 9, 9)], [values(3, 4, 2, 2)], {
            "strides": [2, 2]}),
        Case("Pad", 12, [values(1, 3, 9, 9)], [ints(0, 0, 1, 1, 0, 0, 1, 1)]),
        Case("Resize", 12, [values(1, 3, 9, 9)], [np.zeros(0, np.float32),
             np.float32([1, 1, 2, 2])], {"mode": "nearest", "nearest_mode": "floor",
             "coordinate_transformation_mode": "asymmetric"}),
        Case("Resize", 12, [values(1, 3, 9, 9)], [np.zeros(0, np.float32),
             np.float32([1, 1, 2, 2])], {"mode": "linear"}),
    ],
    ids=lambda case: case.operator,
)  # fmt: skip
def test_common_nodes_are_what_tvm_makes_of_them(case):
    made, _ = model([case])
    theirs = from_onnx(made, keep_params_in_input=False, sanitize_input_names=False)
    ours = onnx_import.to_relax(made)
    ours["main"] = ours["main"].without_attr(OUTPUTS)
    tvm.ir.assert_structural_equal(ours, theirs)


# What is refused


@pytest.mark.parametrize(
    ("case", "message"),
    [
        (Case("MaxPool", 12, [values(1, 1, 4)], [], {
            "kernel_shape": [2], "auto_pad": "SAME_UPPER", "dilations": [2]}), "auto_pad with"),
        (Case("LpPool", 12, [values(1, 1, 8)], [], {
            "kernel_shape": [1], "auto_pad": "SAME_UPPER", "strides": [4]}), "auto_pad of strides"),
        (Case("MaxPool", 12, [values(1, 1, 4)], [], {"kernel_shape": [6]}), "a window of 6 in 4"),
        (Case("MaxPool", 12, [values(1, 1, 4)], [], {
            "kernel_shape": [2], "pads": [-1, 0]}), "negative pads"),
        (Case("Conv", 11, [values(1, 1, 4)], [values(1, 1, 2)], {"kernel_shape": [3]}),
         r"a kernel_shape of \[3\]"),
        (Case("Conv", 11, [values(1, 1, 4)], [values(1, 1, 2)], {"pads": [-1, 0]}), "negative"),
        (Case("MaxUnpool", 11, [values(1, 1, 2)], [ints(0, 3).reshape(1, 1, 2), ints(1, 1, 9)], {
            "kernel_shape": [2], "strides": [2]}), "an output_shape other than"),
        (pads("wrap", 0, 0, -2, 2, 0, 0, 3, -2), "pads of -2 and 3 in mode wrap"),
        (pads("reflect", 0, 0, 4, 0, 0, 0, 0, 0), "pads of 4 and 0 in mode reflect"),
        (pads("constant", 0, 0, -3, 0, 0, 0, -2, 0), "pads of -3 and -2 in mode constant"),
        (Case("Pad", 19, [values(4), ints(1, 1)]), "input 1 must be a constant"),
        (Case("RoiAlign", 16, [values(2, 3, 8, 9), ROIS], [BATCHES], {"mode": "max"}), "mode max"),
        (Case("AffineGrid", 20, [values(1, 2, 3)], [ints(1, 1, 1, 4)], {"align_corners": 1}),
         "align_corners of one element"),
        (Case("NonMaxSuppression", 11, [BOXES, SCORES, ints(3)]), "input 2 must be a constant"),
        (Case("Resize", 13, [values(4, dtype="int8")], [None, np.float32([2])], {
            "mode": "linear"}), "linear interpolation of int8"),
        (Case("Resize", 13, [values(4)], [None, np.float32([2])], {"exclude_outside": 1}),
         "exclude_outside"),
        (Case("Resize", 13, [values(4), np.zeros(0, np.float32), np.float32([2])]),
         "input 2 must be a constant"),
        (Case("Resize", 13, [values(4)], [np.float32([0.5, 1]), np.float32([1])], {
            "coordinate_transformation_mode": "tf_crop_and_resize"}), "at a scale of 1"),
    ],
    ids=lambda v: str(v) if isinstance(v, Case) else "",
)  # fmt: skip
def test_refused(case, message):
    made, _ = model([case])
    with pytest.raises(QuakeError, match=f"^(cannot import )?{case.operator}: .*{message}"):
        quake_tvm.compile(made)


def test_a_second_output_is_refused():
    made, _ = model([Case("MaxPool", 12, [values(1, 1, 4)], [], {"kernel_shape": [2]})])
    made.graph.node[0].output.append("indices")
    made.graph.output.append(onnx.ValueInfoProto(name="indices"))
    made.graph.output[1].type.tensor_type.elem_type = onnx.TensorProto.INT64
    with pytest.raises(QuakeError, match="output Indices of the ONNX operator MaxPool"):
        quake_tvm.compile(made)
