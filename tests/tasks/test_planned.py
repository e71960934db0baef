"""The page's section on plans of real models, and whole batches."""

import numpy as np
import pytest

pytest.importorskip("onnxruntime")
pytest.importorskip("scipy")
pytest.importorskip("sklearn")
pytest.importorskip("tokenizers")
pytest.importorskip("safetensors")

from quake_tvm.site_plan import PRECISIONS
from tasks import plan_report, planned
from tests.onnx_models import gelu_layers

KEPT = planned.Kept(
    model="a model",
    metric="answers",
    budget=1e-3,
    predicted=4e-4,
    calibrated=3e-4,
    unseen=2e-4,
    inputs=240,
    others=2184,
    runtime=1e-4,
    rungs={"softmax on quake2": 6},
    predicted_milliseconds=12.0,
    milliseconds=11.0,
    rival="quake3",
    rival_milliseconds=12.5,
    target="znver4",
    threads=1,
    verdict="it is faster",
)


def test_whole_batches_only():
    found = planned.batches({"x": np.arange(2 * planned.BATCH + 3)})
    np.testing.assert_array_equal(np.stack([b["x"] for b in found]).ravel(), np.arange(16))


@pytest.mark.slow
def test_products_are_counted_by_their_precision():
    """A model of two products, planned with precisions: each budget has one result."""
    model = gelu_layers()
    (taken,) = model.graph.input
    shape = [d.dim_value for d in taken.type.tensor_type.shape.dim]
    draw = np.random.default_rng(0).normal
    inputs = [{taken.name: draw(size=shape).astype(np.float32)} for _ in range(4)]
    case = planned.Case("small", model, inputs[:2], inputs[2:], lambda rows: rows.argmax(axis=-1))
    (kept,) = planned.evaluate(case, {"relative": 1e-2}, PRECISIONS)
    products = sum(count for name, count in kept.rungs.items() if name.startswith("product in "))
    assert products == sum(node.op_type == "MatMul" for node in model.graph.node)
    assert kept.calibrated <= kept.budget


def test_section():
    text = plan_report.section({"minilm_l6": plan_report.entry([KEPT])})
    assert "| a model | answers 0.1 % | 0.04 % | 0.03 % (240) | 0.02 % (2,184) | 0.01 % |" in text
    assert "6 softmax on quake2 | 12.00 | 11.00 | quake3: 12.50 |" in text
    assert "- a model, answers 0.001: it is faster." in text
