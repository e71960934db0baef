"""A net of all kinds of convolutions, of static and dynamic batch and image, and ONNX Runtime."""

import numpy as np
import onnxruntime
import pytest
from onnx import ModelProto, TensorProto, helper, numpy_helper

import quake_tvm


def net(shape: list[int | str]) -> ModelProto:
    """Strided, normalized, depthwise, pointwise and transposed convolutions, pooling, concat."""
    rng = np.random.default_rng(0)
    shapes = {"w1": (16, 3, 3, 3), "b1": (16,), "w2": (16, 1, 5, 5), "w3": (10, 16, 1, 1)}
    shapes |= {"gamma": (16,), "beta": (16,), "mean": (16,), "w4": (10, 6, 2, 2)}
    weights = {k: rng.normal(0, 0.3, s).astype(np.float32) for k, s in shapes.items()}
    weights["variance"] = rng.uniform(0.5, 2, 16).astype(np.float32)
    statistics = ["gamma", "beta", "mean", "variance"]
    nodes = [
        helper.make_node("Conv", ["x", "w1", "b1"], ["c1"], pads=[1, 1, 1, 1], strides=[2, 2]),
        helper.make_node("BatchNormalization", ["c1", *statistics], ["n1"]),
        helper.make_node("Sigmoid", ["n1"], ["s1"]),
        helper.make_node("Mul", ["n1", "s1"], ["a1"]),
        helper.make_node("Conv", ["a1", "w2"], ["c2"], group=16, pads=[2, 2, 2, 2]),
        helper.make_node("MaxPool", ["c2"], ["p"], kernel_shape=[2, 2], strides=[2, 2]),
        helper.make_node("Conv", ["p", "w3"], ["c3"]),
        helper.make_node("ConvTranspose", ["c3", "w4"], ["t"], strides=[2, 2]),
        helper.make_node("GlobalAveragePool", ["t"], ["y"]),
        helper.make_node("Concat", ["t", "t"], ["z"], axis=1),
    ]
    graph = helper.make_graph(
        nodes,
        "net",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info(n, TensorProto.FLOAT, None) for n in "yz"],
        [numpy_helper.from_array(v, k) for k, v in weights.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)


@pytest.mark.parametrize(
    ("shape", "sizes"),
    [
        ([1, 3, 32, 32], [(1, 3, 32, 32)]),
        (["n", 3, 32, 32], [(1, 3, 32, 32), (3, 3, 32, 32)]),
        ([1, 3, "h", "w"], [(1, 3, 32, 40), (1, 3, 37, 33)]),
        (["n", 3, "h", "w"], [(2, 3, 32, 40)]),
    ],
)
def test_like_onnx_runtime(shape, sizes):
    model = net(shape)
    compiled = quake_tvm.compile(model, method="quake5")
    session = onnxruntime.InferenceSession(model.SerializeToString())
    for size in sizes:
        x = np.random.default_rng(1).normal(size=size).astype(np.float32)
        for ours, theirs in zip(compiled.run(x), session.run(None, {"x": x}), strict=True):
            np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=2e-5)
    kernels = compiled.report.kernels
    assert {name for name, rule in kernels.items() if rule == "none"} <= {"check_index"}
    assert kernels["max_pool2d"] == "pooling"  # it has channels last


def test_batch_norm_and_gate_are_fused_into_the_convolution():
    kernels = quake_tvm.compile(net([1, 3, 32, 32]), method="quake2").report.kernels
    (fused,) = [name for name in kernels if name.endswith("quake_silu")]
    assert "conv" in fused
    assert kernels[fused] == "matmul"
    assert "depthwise" in kernels.values()


@pytest.mark.parametrize(
    "windows",
    [[(3, 1, 2), (3, 1, 2), (3, 1, 1)], [(3, 2, 1), (3, 1, 1)], [(3, 2, 1), (3, 0, 2), (3, 1, 2)]],
    ids=str,
)
def test_padded_results_of_unknown_size(windows):
    """Convolutions of convolutions, each with its size, pad and stride, run in tiles."""
    rng = np.random.default_rng(0)
    weights = [rng.normal(0, 0.3, (8, 8, size, size)).astype(np.float32) for size, _, _ in windows]
    nodes = [
        helper.make_node("Conv", [f"x{k}", f"w{k}"], [f"x{k + 1}"], pads=[p] * 4, strides=[s, s])
        for k, (_, p, s) in enumerate(windows)
    ]
    last = f"x{len(windows)}"
    graph = helper.make_graph(
        nodes,
        "net",
        [helper.make_tensor_value_info("x0", TensorProto.FLOAT, ["n", 8, "h", "w"])],
        [helper.make_tensor_value_info(last, TensorProto.FLOAT, None)],
        [numpy_helper.from_array(w, f"w{k}") for k, w in enumerate(weights)],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    compiled = quake_tvm.compile(model, method="exact")
    assert list(compiled.report.kernels.values()).count("matmul") == len(windows)
    session = onnxruntime.InferenceSession(model.SerializeToString())
    for size in [(1, 8, 16, 16), (2, 8, 9, 21), (1, 8, 3, 40)]:
        x = rng.normal(size=size).astype(np.float32)
        (want,) = session.run(None, {"x0": x})
        np.testing.assert_allclose(compiled.run(x)[0], want, rtol=1e-4, atol=2e-5)
