"""Transposed convolutions whose stride and dilation differ, of tensors and of weights."""

import numpy as np
import onnxruntime
from onnx import TensorProto, helper

import quake_tvm

# Pixels, window, stride, dilation, padding, padding of the output, groups.
CASES = [
    (4, 4, 3, 4, 1, 2, 2),
    (5, 2, 3, 5, 0, 0, 1),
    (5, 3, 3, 3, 1, 0, 1),
    (5, 3, 2, 3, 0, 0, 2),
    (4, 4, 3, 2, 1, 0, 1),
    (9, 5, 2, 3, 4, 1, 1),
]


def model():
    """A node for each case in one and in two dimensions."""
    nodes, inputs, outputs = [], {}, []
    for number, (pixels, window, stride, dilation, pad, more, groups) in enumerate(CASES):
        for rank in (1, 2):
            x, w, y = (f"{name}{number}_{rank}" for name in "xwy")
            inputs[x] = (2, 4, *[pixels] * rank)
            inputs[w] = (4, 6 // groups, *[window] * rank)
            outputs.append(y)
            options = {
                "strides": [stride] * rank,
                "dilations": [dilation] * rank,
                "pads": [pad] * 2 * rank,
                "output_padding": [more] * rank,
            }
            nodes.append(helper.make_node("ConvTranspose", [x, w], [y], group=groups, **options))
    graph = helper.make_graph(
        nodes,
        "transposed",
        [helper.make_tensor_value_info(n, TensorProto.FLOAT, s) for n, s in inputs.items()],
        [helper.make_tensor_value_info(n, TensorProto.FLOAT, None) for n in outputs],
    )
    opsets = [helper.make_opsetid("", 17)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=8), inputs


def test_each_product_is_summed_once():
    onnx, shapes = model()
    rng = np.random.default_rng(0)
    inputs = {name: rng.normal(size=s).astype(np.float32) for name, s in shapes.items()}
    wanted = onnxruntime.InferenceSession(onnx.SerializeToString()).run(None, inputs)
    for case, got, want in zip(
        [case for case in CASES for _ in (1, 2)],
        quake_tvm.compile(onnx).run(inputs),
        wanted,
        strict=True,
    ):
        np.testing.assert_allclose(got, want, atol=1e-5, err_msg=str(case))
