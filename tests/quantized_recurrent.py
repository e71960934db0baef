"""Layers of int8 weights for tests: as com.microsoft.DynamicQuantizeLSTM, and in float64."""

from dataclasses import dataclass, fields

import numpy as np
import onnx
from onnx import helper, numpy_helper

from quake_tvm.kernels.byte_groups import LEAST_SCALE

from . import recurrent
from .recurrent import Layer


def quantized(rows: np.ndarray) -> np.ndarray:
    """Rows as bytes with a scale and a zero point each, in float64: what the bytes stand for."""
    x = rows.astype(np.float32).astype(np.float64)
    low, high = (f(x, axis=-1, keepdims=True, initial=0) for f in (np.min, np.max))
    below = (low * np.float32(-1 / 255)).astype(np.float32)
    scale = np.maximum(high * np.float32(1 / 255) + below, LEAST_SCALE).astype(np.float32)
    inverse = (1 / scale).astype(np.float64)
    zero = np.rint(-low * inverse)
    return (np.clip(np.rint(x * inverse + zero), 0, 255) - zero) * scale


class QuantizedRows(Layer):
    """A layer whose products multiply bytes."""

    def rows(self, values: np.ndarray) -> np.ndarray:
        """Quantized rows."""
        return quantized(values)


@dataclass
class ByteLayer:
    """An LSTM of int8 or uint8 weights.

    Attributes
    ----------
    plain : Layer
        The layer with dequantized weights.
    numbers, scales, zeros : list of np.ndarray
        Those of the input's weights and of the recurrent ones: (direction, gate * unit, depth),
        (direction,) or (direction, gate * unit), and the same.
    """

    plain: Layer
    numbers: list[np.ndarray]
    scales: list[np.ndarray]
    zeros: list[np.ndarray]

    @property
    def in_bytes(self) -> Layer:
        """The layer as it must be computed."""
        return QuantizedRows(**{f.name: getattr(self.plain, f.name) for f in fields(Layer)})


def byte_layer(
    plain: Layer,
    rng: np.random.Generator,
    *,
    per_column: bool = False,
    dtype: str = "int8",
    zero: int = 0,
    largest: int = 120,
) -> ByteLayer:
    """A layer of random weights of this type: up to ``largest`` from this zero point."""
    made = ByteLayer(plain, [], [], [])
    for array in (plain.weights, plain.recurrent):
        numbers = rng.integers(zero - largest, zero + largest + 1, array.shape).clip(
            0 if dtype == "uint8" else -128
        )
        shape = array.shape[:2] if per_column else array.shape[:1]
        scale = (rng.uniform(0.5, 1, shape) / 60 / np.sqrt(array.shape[-1])).astype(np.float32)
        spread = scale.reshape(len(array), -1, 1)
        array[:] = (numbers.astype(np.float32) - zero) * spread
        made.numbers.append(numbers.astype(dtype))
        made.scales.append(scale)
        made.zeros.append(np.full(shape, zero, dtype))
    return made


def model(layers: list[ByteLayer], **options: object) -> tuple[onnx.ModelProto, dict]:
    """One model of all layers as DynamicQuantizeLSTM, and its inputs."""
    made, feeds = recurrent.model([layer.plain for layer in layers], **options)
    constants = {c.name: c for c in made.graph.initializer}
    for k, (layer, node) in enumerate(zip(layers, made.graph.node, strict=True)):
        node.op_type, node.domain = "DynamicQuantizeLSTM", "com.microsoft"
        node.input.extend([""] * (8 - len(node.input)))
        for j, numbers in enumerate(layer.numbers, 1):
            stored = numpy_helper.from_array(numbers.transpose(0, 2, 1).copy(), f"x{k}_{j}")
            constants[f"x{k}_{j}"].CopyFrom(stored)
        for j in range(2):
            for stem, array in (("scale", layer.scales[j]), ("zero", layer.zeros[j])):
                made.graph.initializer.append(numpy_helper.from_array(array, f"{stem}{k}_{j}"))
                node.input.append(f"{stem}{k}_{j}")
    made.opset_import.append(helper.make_opsetid("com.microsoft", 1))
    return made, feeds
