"""A small network, quantized in several ways, has the values of ONNX Runtime without optimisation.

Its sums are integers below 2^24, which float32 has exactly too.
"""

import logging
import warnings
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper
from onnxruntime import quantization
from onnxruntime.quantization.shape_inference import quant_pre_process

import quake_tvm
from quake_tvm.report import TABLE

RNG = np.random.default_rng(0)
SHAPE = (1, 3, 16, 16)
INT8, UINT8 = quantization.QuantType.QInt8, quantization.QuantType.QUInt8
QDQ, OPERATORS = quantization.QuantFormat.QDQ, quantization.QuantFormat.QOperator


def network() -> onnx.ModelProto:
    """Convolutions, one of them depthwise, SiLU, a residual, a concatenation, pools, a product."""
    nodes, constants = [], []

    def weights(name: str, *shape: int) -> str:
        values = RNG.normal(size=shape) * (2 / np.prod(shape[1:] or (200,))) ** 0.5
        constants.append(numpy_helper.from_array(values.astype(np.float32), name))
        return name

    def node(operator: str, inputs: list[str], name: str, **attributes: object) -> str:
        nodes.append(helper.make_node(operator, inputs, [name], **attributes))
        return name

    def conv(
        x: str, filters: int, channels: int, name: str, group: int = 1, stride: int = 1
    ) -> str:
        inputs = [x, weights(f"{name}_w", filters, channels // group, 3, 3)]
        inputs.append(weights(f"{name}_b", filters))
        return node("Conv", inputs, name, pads=[1] * 4, strides=[stride] * 2, group=group)

    def silu(x: str) -> str:
        return node("Mul", [x, node("Sigmoid", [x], f"{x}_s")], f"{x}_silu")

    a = node("Relu", [conv("x", 8, 3, "a", stride=2)], "a_relu")
    b = silu(conv(a, 8, 8, "b", group=8))
    c = silu(conv(b, 8, 8, "c"))
    d = node("Concat", [node("Add", [a, c], "sum"), b], "d", axis=1)
    e = conv(node("MaxPool", [d], "pool", kernel_shape=[2, 2], strides=[2, 2]), 16, 16, "e", 2)
    f = node("Flatten", [node("GlobalAveragePool", [e], "mean")], "f")
    node("Gemm", [f, weights("w", 10, 16), weights("bias", 10)], "y", transB=1)
    graph = helper.make_graph(
        nodes,
        "network",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, SHAPE)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, (1, 10))],
        constants,
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


class Calibration(quantization.CalibrationDataReader):
    def __init__(self) -> None:
        samples = np.random.default_rng(1).normal(size=(8, *SHAPE)).astype(np.float32)
        self.left = iter({"x": x} for x in samples)

    def get_next(self) -> dict | None:
        return next(self.left, None)


@pytest.fixture(scope="module")
def prepared(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("network")
    onnx.save(network(), folder / "network.onnx")
    quant_pre_process(folder / "network.onnx", folder / "prepared.onnx")
    return folder / "prepared.onnx"


def static(source: Path, to: Path, form, kind, per_channel: bool) -> None:
    quantization.quantize_static(
        source, to, Calibration(), quant_format=form, per_channel=per_channel,
        weight_type=kind, activation_type=kind,
    )  # fmt: skip


MODELS = {
    "QDQ": lambda *files: static(*files, QDQ, INT8, True),
    "QDQ of uint8": lambda *files: static(*files, QDQ, UINT8, False),
    "operators": lambda *files: static(*files, OPERATORS, INT8, True),
    "operators of uint8": lambda *files: static(*files, OPERATORS, UINT8, False),
    "dynamic": quantization.quantize_dynamic,
}


def session(model: Path | bytes) -> onnxruntime.InferenceSession:
    """ONNX Runtime without graph optimisations."""
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 4
    return onnxruntime.InferenceSession(model, options)


@pytest.mark.slow
@pytest.mark.parametrize("name", MODELS)
def test_values(name, prepared, tmp_path):
    logging.disable(logging.WARNING)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        MODELS[name](prepared, tmp_path / "quantized.onnx")
    logging.disable(logging.NOTSET)
    runtime = session(tmp_path / "quantized.onnx")
    model = quake_tvm.compile(tmp_path / "quantized.onnx", method="exact")
    for x in RNG.normal(size=(5, *SHAPE)).astype(np.float32):
        (wanted,) = runtime.run(None, {"x": x})
        if name == "dynamic":  # its sums are scaled before each layer, and rounded
            np.testing.assert_allclose(model.run(x)[0], wanted, rtol=1e-5, atol=1e-5)
        else:
            np.testing.assert_array_equal(model.run(x)[0], wanted)
    tables = [site.source for site in model.report.sites if site.operator == TABLE]
    assert sum("sigmoid" in source for source in tables) == (0 if name == "dynamic" else 2)


@pytest.mark.parametrize("depth", [8, 200, 3000])
def test_products_differ_by_one_step_at_most(depth):
    """ONNX Runtime sums these in float32, which rounds if the depth is large."""
    rng = np.random.default_rng(depth)
    constants = {
        "w": rng.integers(-128, 128, (depth, 40)).astype(np.int8),
        "w_scale": rng.uniform(0.01, 0.03, 40).astype(np.float32),
        "w_zero": np.zeros(40, np.int8),
        "x_scale": np.float32(0.017),
        "x_zero": np.uint8(117),
        "scale": np.float32(0.05 * depth**0.5),
        "zero": np.uint8(131),
        "bias": rng.normal(size=40).astype(np.float32),
    }
    nodes = [
        helper.make_node("DequantizeLinear", ["x", "x_scale", "x_zero"], ["a"]),
        helper.make_node("DequantizeLinear", ["w", "w_scale", "w_zero"], ["b"], axis=1),
        helper.make_node("MatMul", ["a", "b"], ["sums"]),
        helper.make_node("Add", ["sums", "bias"], ["biased"]),
        helper.make_node("QuantizeLinear", ["biased", "scale", "zero"], ["y"]),
    ]
    shape = (200, depth)
    graph = helper.make_graph(
        nodes,
        "product",
        [helper.make_tensor_value_info("x", TensorProto.UINT8, shape)],
        [helper.make_tensor_value_info("y", TensorProto.UINT8, (200, 40))],
        [numpy_helper.from_array(np.asarray(v), name) for name, v in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    x = rng.integers(0, 256, shape).astype(np.uint8)
    wanted = session(model.SerializeToString()).run(None, {"x": x})[0].astype(int)
    found = quake_tvm.compile(model).run(x)[0].astype(int)
    assert np.abs(found - wanted).max() <= 1
    assert np.mean(found != wanted) < 1e-3
    real = (
        constants["x_scale"]
        * (x.astype(np.float64) - 117)
        @ (constants["w"] * constants["w_scale"].astype(np.float64))
    )
    steps = (real + constants["bias"]) / np.float64(constants["scale"]) + 131
    assert np.abs(steps.clip(0, 255) - found).max() < 0.5001
