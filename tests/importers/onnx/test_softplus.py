"""Small results of Softplus and Mish, alone and in a table between quantizations."""

import numpy as np
from onnx import TensorProto, helper, numpy_helper

import quake_tvm

SCALE, STEP = np.float32(0.15), np.float32(1e-10)
BYTES = np.arange(-128, 128).astype(np.int8)


def test_small_results():
    nodes = [
        helper.make_node("DequantizeLinear", ["bytes", "scale", "top"], ["real"]),
        helper.make_node("Softplus", ["real"], ["inner"]),
        helper.make_node("QuantizeLinear", ["inner", "step", "bottom"], ["table"]),
        helper.make_node("Softplus", ["x"], ["softplus"]),
        helper.make_node("Mish", ["x"], ["mish"]),
    ]
    constants = {"scale": SCALE, "step": STEP, "top": np.int8(127), "bottom": np.int8(-128)}
    graph = helper.make_graph(
        nodes,
        "small",
        [
            helper.make_tensor_value_info("bytes", TensorProto.INT8, (256,)),
            helper.make_tensor_value_info("x", TensorProto.FLOAT, (64,)),
        ],
        [
            helper.make_tensor_value_info("table", TensorProto.INT8, (256,)),
            helper.make_tensor_value_info("softplus", TensorProto.FLOAT, (64,)),
            helper.make_tensor_value_info("mish", TensorProto.FLOAT, (64,)),
        ],
        [numpy_helper.from_array(np.asarray(v), name) for name, v in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 22)], ir_version=10)
    x = np.linspace(-80, 20, 64).astype(np.float32)
    table, softplus, mish = quake_tvm.compile(model, method="exact")({"bytes": BYTES, "x": x})
    exact = np.logaddexp(0, (BYTES.astype(np.float64) - 127) * SCALE) / np.float64(STEP)
    np.testing.assert_array_equal(table, np.clip(np.rint(exact) - 128, -128, 127))
    exact = np.logaddexp(0, x.astype(np.float64))
    np.testing.assert_allclose(softplus, exact, rtol=1e-6)
    np.testing.assert_allclose(mish, x * np.tanh(exact), rtol=1e-6)
