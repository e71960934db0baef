"""Limits of extents as attributes, and the check of a run's sizes against them."""

import numpy as np
import pytest
from tvm import relax, tirx

import quake_tvm
from quake_tvm import QuakeError
from quake_tvm.runtime.extent_limits import LOWER, UPPER, ExtentLimits
from tests.helpers import module


@pytest.fixture(scope="module")
def model():
    n, m = (tirx.Var(name, "int64") for name in "nm")
    mod = module(lambda x, y: (relax.op.exp(x), relax.op.exp(y)), (n, m), (2, n))
    return quake_tvm.compile(mod, ranges={"n": (2, 5)})


def test_attributes():
    function = module(relax.op.exp, (2,))["main"]
    assert ExtentLimits.of(function) == ExtentLimits()
    limits = ExtentLimits(("a <= b",), {"a": (2, 9), "b": (3, None), "c": (0, 4)})
    written = limits.write(function)
    assert dict(written.attrs[LOWER]) == {"a": 2, "b": 3}
    assert dict(written.attrs[UPPER]) == {"a": 9, "c": 4}
    assert ExtentLimits.of(written) == limits
    assert ExtentLimits.of(ExtentLimits().write(written)) == ExtentLimits()


def test_ranges_of_names_that_become_one():
    limits = ExtentLimits(ranges={"a": (2, 9), "b": (3, None), "c": (12, 13)})
    assert limits.substituted({"b": "a"}).ranges == {"a": (3, 9), "c": (12, 13)}
    with pytest.raises(QuakeError, match="12 to 13 of dimension 'a' has no size in common"):
        limits.substituted({"c": "a"})


# Sizes of both inputs, and what is wrong.
WRONG = [
    ((1, 4), (2, 1), "input 'x0' has 1 in dimension 'n' (axis 0), which takes 2 to 5"),
    ((6, 4), (2, 6), "input 'x0' has 6 in dimension 'n' (axis 0), which takes 2 to 5"),
    (
        (3, 4),
        (2, 5),
        "input 'x1' has 5 in dimension 'n' (axis 1), which 'x0' has as 3; it takes 2 to 5",
    ),
    ((3, 4), (3, 3), "input 'x1' must have shape (2, n), got (3, 3)"),
    ((3,), (2, 3), "input 'x0' must have shape (n, m), got (3,)"),
]


@pytest.mark.parametrize(("x", "y", "message"), WRONG, ids=[w[2] for w in WRONG])
def test_sizes_that_are_refused(model, x, y, message):
    given = {"x0": np.zeros(x, np.float32), "x1": np.zeros(y, np.float32)}
    for call in (model.run, model.benchmark):
        with pytest.raises(QuakeError) as error:
            call(given)
        assert str(error.value) == message


def test_the_ends_of_a_range(model):
    for n in (2, 5):
        x, y = np.zeros((n, 7), np.float32), np.ones((2, n), np.float32)
        assert [r.shape for r in model.run(x, y)] == [(n, 7), (2, n)]


def test_a_library_keeps_its_ranges(model, tmp_path):
    loaded = quake_tvm.load(model.export(tmp_path / "model.so"))
    assert loaded.ranges == model.ranges == {"n": (2, 5)}
    with pytest.raises(QuakeError, match="takes 2 to 5"):
        loaded.run(np.zeros((6, 1), np.float32), np.zeros((2, 6), np.float32))


def test_libraries_without_ranges_take_every_size():
    mod = module(relax.op.exp, (tirx.Var("n", "int64"),))
    assert quake_tvm.compile(mod).ranges == {}
