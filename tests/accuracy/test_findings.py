"""Findings of parts add up to the findings of the whole range, and prove a bound."""

import json

import pytest

from quake_tvm.accuracy.findings import Findings, Measure, round_up


def findings(largest=0.0, at=None, falls=0, operator="exp"):
    measures = {name: Measure(largest, at, 2.0) for name in ("relative", "absolute", "ulp", "fall")}
    return Findings(operator, "quake2", 0.0, measures, {"finite": 8, "falls": falls}, (5, 3, 0))


def test_the_sum_has_the_worst_of_both():
    whole = findings(0.1, 1.0, falls=1) + findings(0.3, 2.0) + findings(0.2, 3.0)
    assert whole.measures["relative"] == Measure(0.3, 2.0, 6.0)
    assert whole.counts == {"finite": 24, "falls": 1}
    assert whole.ulps == (15, 9, 0)
    assert whole.mean("ulp") == 0.25


def test_of_two_as_bad_the_first_is_shown():
    assert (findings(0.1, 1.0) + findings(0.1, 2.0)).measures["ulp"].at == 1.0


def test_nothing_adds_nothing():
    assert Findings("exp", "quake2", 0.0) + findings(0.1, 1.0) == findings(0.1, 1.0)


@pytest.mark.parametrize(
    ("operator", "falls", "monotone"), [("exp", 0, True), ("exp", 3, False), ("gelu", 3, None)]
)
def test_bound(operator, falls, monotone):
    bound = findings(0.12345, 1.5, falls, operator).as_bound()
    assert (bound.operator, bound.method, bound.absolute) == (operator, "quake2", 0.0)
    assert (bound.relative, bound.witness, bound.monotone) == (0.124, 1.5, monotone)


def test_json():
    found = json.loads(json.dumps(findings(0.1, 1.0).to_dict()))
    assert found["relative"] == {"max": 0.1, "at": 1.0, "mean": 0.25}
    assert found["fall"] == {"max": 0.1, "at": 1.0}
    assert found["ulps"] == [5, 3]


@pytest.mark.parametrize(
    ("value", "rounded"),
    [(0.0, 0.0), (0.1231, 0.124), (0.123, 0.123), (9.999e-7, 1e-6), (float("inf"), float("inf"))],
)
def test_round_up(value, rounded):
    assert round_up(value) == rounded
