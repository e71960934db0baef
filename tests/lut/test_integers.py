"""Tables between integers: their error, their sums, and tables that are exact."""

import numpy as np
import pytest

from quake_tvm.lut.functions import FUNCTIONS
from quake_tvm.lut.integers import IntegerTable, approximate, signed

TYPES = ("int8", "uint8", "int16", "uint16")
PAIRS = [(a, b) for a in TYPES[:2] for b in TYPES] + [("int16", "uint16"), ("uint16", "int8")]


def outputs(name: str, dtype: str, to: str) -> np.ndarray:
    """A function from [-8, 8) to the whole range of a type."""
    limits, out = np.iinfo(dtype), np.iinfo(to)
    x = (np.arange(limits.min, limits.max + 1) - signed(dtype)) * 16 / 2**limits.bits
    y = FUNCTIONS[name].of(x)
    step = np.ptp(y) / (2**out.bits - 1)
    return np.rint((y - y.min()) / step + out.min).clip(out.min, out.max).astype(to)


@pytest.mark.parametrize(("dtype", "to"), PAIRS)
def test_error(dtype: str, to: str) -> None:
    limits = np.iinfo(dtype)
    for name in ("silu", "sigmoid"):
        exact = outputs(name, dtype, to)
        errors = []
        for entries in (8, 16):
            made = approximate(exact, dtype, entries)
            apart = np.abs(made.outputs().astype(int) - exact)
            assert (made.dtype, made.to, made.outputs().dtype) == (dtype, to, to)
            assert made.error.max == apart.max()
            assert apart[made.error.witness - limits.min] == apart.max()
            assert made.error.mse == pytest.approx(np.mean(apart.astype(float) ** 2))
            errors.append(made.error.mse)
        assert errors[1] < errors[0]
        assert errors[1] < (np.ptp(exact.astype(float)) / 100) ** 2


@pytest.mark.parametrize(("dtype", "to"), [*zip(TYPES, TYPES, strict=True), *PAIRS])
def test_sums_fit(dtype: str, to: str) -> None:
    """Neither products nor sums leave the wide type, even for jumps from end to end."""
    limits, out = np.iinfo(dtype), np.iinfo(to)
    x = np.arange(limits.min, limits.max + 1)
    jumps = [np.where(x > at, out.max, out.min) for at in (limits.max - 9, signed(dtype))]
    for exact in (*jumps, x[::-1], x, 0 * x):
        made = approximate(exact.astype(to), dtype, 8)
        inside = np.iinfo(made.wide)
        at = x - signed(dtype)
        slopes = np.asarray(made.table.slopes)
        half = 1 << made.table.shift >> 1
        for sums in (slopes.min() * at, slopes.max() * at, made.table.sums(at) + half):
            assert inside.min <= sums.min()
            assert sums.max() <= inside.max


def test_straight_functions_are_exact() -> None:
    x = np.arange(-128, 128)
    exact = np.clip(x, 0, 90).astype(np.int8)
    made = approximate(exact, "int8", 8)
    np.testing.assert_array_equal(made.outputs(), exact)
    assert made.error.max == 0


def test_text() -> None:
    made = approximate(outputs("silu", "uint8", "int8"), "uint8", 8)
    assert IntegerTable.from_json(made.to_json()) == made
