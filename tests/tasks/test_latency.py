"""Equal figures give equal pictures. The measurement runs the models of the tasks."""

import numpy as np
import pytest

pytest.importorskip("matplotlib")
pytest.importorskip("scipy")

from quake_tvm.numerics.ladder import METHODS as RUNGS
from tasks import latency
from tasks.evaluation import Loss, Result
from tests.onnx_models import gelu_layers


def test_picture_is_reproducible(tmp_path):
    rungs = {r: Loss(0, 0, 0, 1 - 10.0**-n, 1 - 10.0**-n) for n, r in enumerate(RUNGS, 3)}
    results = [Result("t", model, "h", "accuracy", 9, 1, 0.9, rungs) for model in latency.MODELS]
    taken = {m: {"exact": 9.0, **{r: 4.0 + n for n, r in enumerate(RUNGS)}} for m in latency.MODELS}
    one, other = tmp_path / "one" / "p.svg", tmp_path / "other" / "p.svg"
    latency.draw(taken, results, one)
    latency.draw(taken, results, other)
    assert one.read_bytes() == other.read_bytes()
    text = one.read_text()
    assert all(name in text for name in (*RUNGS, *latency.MODELS))
    assert len(text) < 100_000


def test_measure_times_every_method(monkeypatch):
    model = gelu_layers()
    (x,) = (i for i in model.graph.input)
    shape = [d.dim_value for d in x.type.tensor_type.shape.dim]
    feeds = {x.name: np.ones(shape, np.float32)}
    monkeypatch.setattr(latency, "MODELS", {"small": (lambda: model, feeds)})
    assert set(latency.measure(rounds=2)["small"]) == {"exact", *RUNGS}
