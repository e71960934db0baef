"""The moments are those of samples."""

import numpy as np
import pytest

from quake_tvm.norms.typical import Typical

RNG = np.random.default_rng(0)
N, SAMPLES = 6, 200_000
GAMMA, BETA = RNG.normal(size=(2, N))
W = RNG.normal(size=(N, 9))
TABLE = RNG.normal(size=(5, N))


def silu(x):
    return x / (1 + np.exp(-x))


def sample():
    return RNG.normal(size=(SAMPLES, N)) * GAMMA + BETA


A, X, Y = Typical.normal(GAMMA, BETA), sample(), sample()


@pytest.mark.parametrize(
    ("known", "vectors"),
    [
        (A, X),
        (A.linear(W), X @ W),
        (A.linear(W).linear(W.T), X @ W @ W.T),
        (A.shifted(TABLE[0]), X + TABLE[0]),
        (A.scaled(TABLE[0]), X * TABLE[0]),
        (A.taken(np.array([1, 1])).linear(np.ones((2, 1))), X[:, [1, 1]] @ np.ones((2, 1))),
        (A.plus(A), X + Y),
        (A.times(A), X * Y),
        (A.joined(A.scaled(np.full(N, 3.0))), np.concatenate([X, 3 * Y])),
        (A.linear(W).mapped(silu), silu(X @ W)),
        (Typical.rows(TABLE), TABLE[RNG.integers(5, size=SAMPLES)]),
    ],
    ids=[
        "normal",
        "linear",
        "two_linear",
        "shifted",
        "scaled",
        "taken_twice",
        "plus",
        "times",
        "joined",
        "silu",
        "rows",
    ],
)
def test_moments(known, vectors):
    np.testing.assert_allclose(known.mean, vectors.mean(0), atol=0.1)
    np.testing.assert_allclose(known.squares, (vectors**2).mean(0), rtol=0.05, atol=0.05)
    assert known.length == pytest.approx(np.sqrt((vectors**2).sum(1).mean()), rel=0.02)
    assert len(known) == vectors.shape[1]
