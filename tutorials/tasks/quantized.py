"""MiniLM-L6, quantized to int8, with tables of 8, 16 and 256 entries between its quantizations.

``python -m tasks.quantized``, in ``tutorials``, writes a section of ``docs/lut.md``. ONNX Runtime's
quantizer makes the model, from the first training texts of Reuters-R8.
"""

import sys
import tempfile
from pathlib import Path

import numpy as np
import onnx
from onnxruntime.quantization import (
    CalibrationDataReader,
    QuantFormat,
    QuantType,
    quantize_static,
)
from onnxruntime.quantization.shape_inference import quant_pre_process

import model_data
from quake_tvm.options import DEFAULT_METHOD
from quake_tvm.support.generated_page import write_section

from . import lee, minilm, reuters
from .builds import compiled
from .features import features
from .heads import logistic_regression
from .texts import BATCH, tokens

PAGE = Path(__file__).parents[2] / "docs" / "lut.md"
LENGTH = 48
CALIBRATION, TRAINING, TEST = 64, 500, 400
# The rows of the table: whether the model is quantized, the method, and what the row is called.
ROWS = (
    (False, "exact", "float32, exact"),
    (False, "quake2", "float32, quake2"),
    (True, DEFAULT_METHOD, "int8, 256 entries"),
    (True, "lut16", "int8, lut16"),
    (True, "lut8", "int8, lut8"),
)


class _Texts(CalibrationDataReader):
    def __init__(self, inputs: dict[str, np.ndarray]) -> None:
        count = len(next(iter(inputs.values()))) // BATCH
        parts = range(0, count * BATCH, BATCH)
        self.left = iter([{n: a[k : k + BATCH] for n, a in inputs.items()} for k in parts])

    def get_next(self) -> dict[str, np.ndarray] | None:
        return next(self.left, None)


def quantized(model: onnx.ModelProto, inputs: dict[str, np.ndarray]) -> onnx.ModelProto:
    """The model with quantized products and sums. GELUs are between quantizations.

    Sums with a mask, whose numbers have no common scale, stay float32.

    Parameters
    ----------
    model : onnx.ModelProto
    inputs : mapping of name to array
        What the scales are calibrated on.
    """
    with tempfile.TemporaryDirectory() as folder:
        start, made = Path(folder, "float.onnx"), Path(folder, "int8.onnx")
        onnx.save(model, start)
        quant_pre_process(start, start, skip_optimization=True)
        quantize_static(
            start,
            made,
            _Texts(inputs),
            quant_format=QuantFormat.QDQ,
            op_types_to_quantize=["MatMul", "Add"],
            nodes_to_exclude=_masked(model),
            per_channel=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
        )
        return onnx.load(made)


def _masked(model: onnx.ModelProto) -> list[str]:
    """The nodes whose results softmax reads."""
    read = {node.input[0] for node in model.graph.node if node.op_type == "Softmax"}
    return [node.name for node in model.graph.node if node.output[0] in read]


def _unit(rows: np.ndarray) -> np.ndarray:
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def section() -> str:
    """The table, as Markdown."""
    (texts, labels), (tested, truth) = reuters.read("train"), reuters.read("test")
    documents, judgements = lee.read()
    model = minilm.model(BATCH, LENGTH)
    small = quantized(model, tokens(texts[:CALIBRATION], LENGTH))

    def embed(texts: list[str], whether: bool, method: str) -> np.ndarray:
        inputs = tokens(texts, LENGTH)
        run = small if whether else model
        return _unit(features("quantized", run, compiled(method=method), inputs, BATCH))

    picked = np.random.default_rng(0)
    trained = picked.permutation(len(texts))[:TRAINING]
    shown = picked.permutation(len(tested))[:TEST]
    head = logistic_regression(embed([texts[k] for k in trained], False, "exact"), labels[trained])
    pairs = np.triu_indices(len(documents), 1)
    lines = ["| | Reuters-R8 | Lee | cosine, mean | least |", "|---|---|---|---|---|"]
    exact = None
    for whether, method, name in ROWS:
        found = embed([tested[k] for k in shown], whether, method)
        exact = found if exact is None else exact
        right = np.mean(head(found) == truth[shown])
        rated = embed(documents, whether, method)
        similar = np.corrcoef((rated @ rated.T)[pairs], judgements[pairs])[0, 1]
        cosines = np.sum(found * exact, axis=1)
        cells = f"{right:.2%} | {similar:.4f} | {cosines.mean():.5f} | {cosines.min():.4f}"
        lines.append(f"| {name} | {cells} |")
    told = (
        f"MiniLM-L6 of {LENGTH} tokens, quantized by ONNX Runtime from {CALIBRATION} texts. "
        f"Accuracy on {TEST} test texts of Reuters-R8 by a logistic regression on {TRAINING} exact "
        "embeddings; correlation with Lee's similarities; cosine of the embeddings to the exact "
        "float32 ones."
    )
    return "\n".join([told, "", *lines])


if __name__ == "__main__":
    try:
        write_section(PAGE, "model", section())
    except model_data.DataError as error:
        sys.exit(f"error: {error}")
