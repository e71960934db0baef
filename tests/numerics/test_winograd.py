"""Winograd's products against sums in float64: exact in integers, within the bound in floats."""

import numpy as np
import pytest

from quake_tvm.numerics import winograd
from quake_tvm.numerics.number_formats import FORMATS

RNG = np.random.default_rng


def direct(x, w):
    """Four results of (n, 4, 4, i) inputs by (o, 3, 3, i) weights, in float64: (n, 2, 2, o)."""
    views = np.lib.stride_tricks.sliding_window_view(x.astype(np.float64), (3, 3), axis=(1, 2))
    return np.einsum("nyxiuv,ouvi->nyxo", views, w.astype(np.float64))


def rounded(x):
    return x.astype("bfloat16").astype(np.float32)


def computed(x, w, paired=False):
    """The same by float32 products, summed over channels in order, each sum rounded once.

    ``paired``: factors are rounded to bfloat16, and of two channels the odd one comes first.
    """
    near = rounded if paired else np.asarray
    factors = near(winograd.weights(w))
    square = winograd.both(winograd.inputs, [[x[:, i, j] for j in range(4)] for i in range(4)])
    rows = []
    for k, values in enumerate(near(v) for row in square for v in row):
        total = np.zeros((len(x), len(w)), np.float32)
        for n in range(x.shape[-1]):
            c = n ^ 1 if paired else n
            # A product of two float32 is exact in float64.
            wide = values[:, c, None].astype(np.float64) * factors[k, c]
            total = (total + wide).astype(np.float32)
        rows.append(total)
    products = [rows[n : n + 4] for n in range(0, 16, 4)]
    return np.moveaxis(np.array(winograd.both(winograd.results, products)), 2, 0)


def test_exact_in_small_integers():
    x = RNG(0).integers(-9, 9, (3, 4, 4, 5)).astype(np.float32)
    w = 4 * RNG(1).integers(-9, 9, (2, 3, 3, 5)).astype(np.float32)
    np.testing.assert_array_equal(computed(x, w), direct(x, w))


def adversarial(kind, rng, c):
    """Inputs and weights for which many sums cancel or grow."""
    x, w = rng.normal(size=(40, 4, 4, c)), rng.normal(size=(7, 3, 3, c))
    if kind == "one sign":
        return abs(x), abs(w)
    if kind == "ones":
        return np.sign(x), np.sign(w)
    if kind == "alternating":
        signs = (-1.0) ** np.add.outer(np.arange(4), np.arange(4))[..., None]
        return abs(x) * signs, abs(w) * signs[:3, :3]
    if kind == "corners":  # the largest amplification: all weight in one corner
        far = np.zeros_like(w)
        far[:, 0, 0] = w[:, 0, 0]
        return np.sign(x) * (1 - abs(x) / 100), far
    if kind == "many sizes":
        return x * 2.0 ** rng.integers(-30, 30, x.shape), w * 2.0 ** rng.integers(-9, 9, w.shape)
    return x, w


@pytest.mark.parametrize("paired", [False, True])
@pytest.mark.parametrize("channels", [16, 100])
@pytest.mark.parametrize(
    "kind", ["normal", "one sign", "ones", "alternating", "corners", "many sizes"]
)
def test_within_the_bound(kind, channels, paired):
    rng = RNG(2)
    x, w = (each.astype(np.float32) for each in adversarial(kind, rng, channels))
    rounding = FORMATS["bfloat16"].rounding if paired else 0.0
    errors = abs(computed(x, w, paired) - direct(x, w)).reshape(len(x), 4, len(w))
    for n, (i, j) in enumerate(np.ndindex(2, 2)):
        most = abs(x[:, i : i + 3, j : j + 3]).max((1, 2, 3))  # of this result's window alone
        bounds = np.stack([winograd.bound(each, w, rounding) for each in most])
        assert (errors[:, n] <= bounds).all()


class Size(float):
    """A magnitude: a difference is as large as a sum."""

    def __add__(self, other):
        return Size(float(self) + other)

    __sub__ = __add__


def test_the_amplification_is_attained():
    """All inputs are 1 or -1, and all weight is in a corner: no smaller number would be right."""
    w = np.zeros((1, 3, 3, 1))
    w[0, 0, 0, 0] = 1
    factors = winograd.weights(w).reshape(4, 4)
    square = winograd.both(winograd.inputs, [[Size(1)] * 4] * 4)
    products = [[Size(square[i][j] * abs(factors[i, j])) for j in range(4)] for i in range(4)]
    found = winograd.both(winograd.results, products)
    assert max(map(max, found)) == winograd.AMPLIFICATION


@pytest.mark.parametrize("place", list(np.ndindex(4, 4)))
def test_a_result_depends_on_its_own_window_only(place):
    x, w = RNG(4).normal(size=(1, 4, 4, 3)).astype(np.float32), np.ones((1, 3, 3, 3), np.float32)
    other = x.copy()
    other[(0, *place, 1)] = np.nan
    found = computed(other, w)[0, ..., 0]
    reads = np.isnan(direct(other, w))[0, ..., 0]
    np.testing.assert_array_equal(np.isnan(found), reads)
    np.testing.assert_array_equal(found[~reads], computed(x, w)[0, ..., 0][~reads])


def test_an_infinity_becomes_an_infinity_of_its_sign_or_nan():
    rng = RNG(5)
    for _ in range(50):
        x = rng.normal(size=(1, 4, 4, 3)).astype(np.float32)
        w = rng.normal(size=(2, 3, 3, 3)).astype(np.float32)
        x[0, rng.integers(4), rng.integers(4), 1] = rng.choice([np.inf, -np.inf])
        with np.errstate(invalid="ignore"):
            found, right = computed(x, w), direct(x, w)
        finite = np.isfinite(right)
        np.testing.assert_array_equal(np.isfinite(found), finite)
        kept = np.isinf(found)
        np.testing.assert_array_equal(found[kept], right[kept])
