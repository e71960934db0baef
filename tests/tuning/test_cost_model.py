"""The cost model ranks candidates by what it has learnt, and names a missing package."""

import sys
from pathlib import Path

import numpy as np
import pytest
import tvm
from tvm import s_tir, te

from quake_tvm import QuakeError
from quake_tvm.machines.targets import target
from quake_tvm.tuning import cost_model
from quake_tvm.tuning.cost_model import ENOUGH, CostModel, check
from quake_tvm.tuning.sketches import context_of

WIDTHS = (1, 2, 4, 8, 16, 32)


def kernel():
    x = te.placeholder((64, 64), name="x")
    return te.create_prim_func([x, te.compute(x.shape, lambda i, j: x[i, j] + 1, name="y")])


def vectorized(width):
    schedule = s_tir.Schedule(tvm.IRModule({"main": kernel()}))
    _, j = schedule.get_loops(schedule.get_sblock("y"))
    schedule.vectorize(schedule.split(j, [None, width])[1])
    return schedule.mod["main"]


def test_wider_is_learnt_to_be_faster():
    pytest.importorskip("xgboost")
    model, context = CostModel(), context_of(kernel(), target(), seed=1)
    functions = [vectorized(width) for width in WIDTHS]
    model.learn(context, functions * (ENOUGH // len(WIDTHS) + 1), [1 / w for w in WIDTHS] * 3)
    scores = model.predict(context, functions)
    assert np.all(np.diff(scores[2:]) > 0)
    assert np.argmax(scores) == len(WIDTHS) - 1


def test_what_failed_teaches_nothing():
    pytest.importorskip("xgboost")
    model, context = CostModel(), context_of(kernel(), target(), seed=1)
    functions = [vectorized(width) for width in WIDTHS]
    costs = [1 / w for w in WIDTHS]
    model.learn(context, functions * 3 + [vectorized(32)] * 9, costs * 3 + [None] * 9)
    assert np.argmax(model.predict(context, functions)) == len(WIDTHS) - 1


def test_random_needs_no_package(monkeypatch):
    monkeypatch.setitem(sys.modules, "xgboost", None)
    model, context = CostModel("random"), context_of(kernel(), target(), seed=1)
    model.learn(context, [vectorized(2)], [1e-3])
    assert len(model.predict(context, [vectorized(2), vectorized(4)])) == 2


def test_without_xgboost(monkeypatch):
    monkeypatch.setitem(sys.modules, "xgboost", None)
    with pytest.raises(QuakeError, match=r"pip install 'xgboost>=2,<4', or choose .* random"):
        CostModel()


@pytest.mark.parametrize("version", ["1.7.6", "4.0.0"])
def test_unsupported_xgboost(monkeypatch, version):
    xgboost = pytest.importorskip("xgboost")
    monkeypatch.setattr(xgboost, "__version__", version)
    with pytest.raises(QuakeError, match=f"XGBoost {version} is not supported"):
        check("xgboost")


def test_unknown_model():
    with pytest.raises(QuakeError, match="choose from: xgboost, random"):
        CostModel("neural")


def test_the_range_is_that_of_the_package():
    """The accepted versions are those that the extra ``tune`` installs."""
    tomllib = pytest.importorskip("tomllib")
    text = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())
    (wanted,) = (
        r for r in text["project"]["optional-dependencies"]["tune"] if r.startswith("xgboost")
    )
    oldest, newest = cost_model.OLDEST, cost_model.NEWEST
    assert wanted == f"xgboost>={oldest}.0,<{newest + 1}"
