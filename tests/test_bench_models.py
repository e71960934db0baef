"""The program that compares published models: its table, its picture and its list. No time."""

import numpy as np
import pytest

import bench_bfloat16
import bench_models
import bench_rungs
from bar_picture import BETTER, WORSE, picture
from bench_models import Measured
from bench_models_contender import CONTENDERS, IN_BFLOAT16, RUNGS
from bench_models_list import MODELS


def test_the_ratio_is_to_the_faster_peer() -> None:
    seconds = dict(zip(CONTENDERS, (3.0, 6.0, 4.0), strict=True))
    assert Measured(seconds, 0.0).ratio == pytest.approx(0.75)
    seconds.popitem()
    assert Measured(seconds, 0.0).ratio == pytest.approx(0.5)


def test_the_table_has_the_geometric_means() -> None:
    def row(own: float) -> dict[int, Measured]:
        seconds = dict(zip(CONTENDERS, (own, 2e-3, 1e-3), strict=True))
        return {1: Measured(seconds, 2e-6), 2: Measured(seconds, 2e-6)}

    found = {("a", "one"): row(1e-3), ("a", "two"): row(4e-3), ("b", "three"): row(2.5e-4)}
    lines = bench_models.table(found, list(CONTENDERS)).splitlines()
    assert lines[2] == "| one | 1 | 2 | 1 | 1.00 | 1 | 2 | 1 | 1.00 | 2e-06 |"
    assert lines[4].startswith("| *a, geometric mean* |")
    assert lines[4].count("**2.00**") == 2
    assert lines[-1].startswith("| *all, geometric mean* |")
    assert lines[-1].count("**1.00**") == 2
    assert len({line.count("|") for line in lines}) == 1


def test_the_difference_is_relative_above_one() -> None:
    found, expected = np.array([2.0, 199.0]), np.array([2.0, 200.0])
    assert bench_models.difference([found], [expected]) == pytest.approx(1 / 200)
    assert bench_models.difference([found / 1e3], [expected / 1e3]) == pytest.approx(1e-3)


def test_the_picture_has_a_bar_for_each_model() -> None:
    drawn = picture({"a & b": 0.5, "c": 1.25}, "ratio")
    assert drawn.count(BETTER) == drawn.count(WORSE) == 1
    assert "a &amp; b" in drawn
    assert ">1.25<" in drawn


def test_the_list_names_each_model_once_with_one_size() -> None:
    names = [name for models in MODELS.values() for name in models]
    assert len(names) == len(set(names)) >= 24
    published = [each for models in MODELS.values() for each in models.values()]
    assert all(len(each.shapes) == 1 and each.shapes[0] for each in published)


def test_bfloat16_is_compared_with_the_float32_of_this_library() -> None:
    exact = [np.array([3.0, 4.0], np.float32), np.array([7])]
    off = [np.array([3.0, 4.5], np.float32), np.array([8])]
    assert bench_bfloat16.error(off, exact) == pytest.approx(0.1)
    seconds = dict(zip(IN_BFLOAT16, (4e-3, 2e-3, 2.5e-3), strict=True))
    results = dict(zip(IN_BFLOAT16, (exact, off, exact), strict=True))
    line, ratios = bench_bfloat16.row("one", seconds, results)
    assert line == "| one | 4 | 2 | 2.5 | 0.50 | 0.80 | 1.0e-01 | 0.0e+00 |"
    assert ratios == pytest.approx([0.5, 0.8])
    assert line.count("|") == bench_bfloat16.HEADER.splitlines()[0].count("|")
    names = [name for models in MODELS.values() for name in models]
    assert set(bench_bfloat16.CHOSEN) <= set(names)


def test_savings_are_parts_of_the_exact_time() -> None:
    seconds = dict(zip(RUNGS, (4e-3, 2e-3, 3e-3, 3e-3, 4e-3, 5e-3), strict=True))
    line = bench_rungs.row("one", 7, seconds)
    assert line == "| one | 7 | 4 | 50% | 25% | 25% | 0% | -25% |"
    saved = [bench_rungs.savings(seconds), [0.1] * 5, [0.3] * 5]
    least, _, median, _, largest = bench_rungs.distribution(saved).splitlines()
    assert least == "| *least* |  |  | 10% | 10% | 10% | 0% | -25% |"
    assert median == "| *median* |  |  | 30% | 25% | 25% | 10% | 10% |"
    assert largest == "| *largest* |  |  | 50% | 30% | 30% | 30% | 30% |"
    assert {text.count("|") for text in (line, least)} == {bench_rungs.HEADER.count("|") // 2}
