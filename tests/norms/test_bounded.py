"""Every set of vectors contains the results of what was done to the vectors of others."""

import math

import numpy as np
import pytest

from quake_tvm.norms.bounded import Bounded, spectral

RNG = np.random.default_rng(0)
N = 6


def sphere(count):
    u = RNG.normal(size=(count, N))
    return u / np.linalg.norm(u, axis=1, keepdims=True) * math.sqrt(N)


def normal():
    """A norm's results, and vectors of them."""
    gamma, beta = RNG.normal(size=(2, N))
    return Bounded.normal(gamma, beta), sphere(2000) * gamma + beta


def silu(x):
    return x / (1 + np.exp(-x))


A, X = normal()
B, Y = normal()
W = RNG.normal(size=(N, 9))
TABLE = RNG.normal(size=(5, N)) * 3
HEADS = np.repeat([0, 1, 2], 2)
OUT = RNG.normal(size=(N, 4))


def mixed(x):
    """Attention: each head has a mixture of rows of its own."""
    weights = RNG.dirichlet([0.2] * len(x), size=(3, 2000))
    return np.concatenate([weights[h] @ x[:, h == HEADS] for h in range(3)], axis=1)


@pytest.mark.parametrize(
    ("known", "vectors"),
    [
        (A, X),
        (A.linear(W), X @ W),
        (A.linear(W).shifted(np.arange(9.0)), X @ W + np.arange(9)),
        (A.scaled(TABLE[0]), X * TABLE[0]),
        (A.taken(np.array([1, 1, 4])), X[:, [1, 1, 4]]),
        (A.taken(np.array([1, 1, 4])).linear(OUT[:3]), X[:, [1, 1, 4]] @ OUT[:3]),
        (A.plus(B), X + Y),
        (A.plus(A), X + X),
        (A.times(B), X * Y),
        (A.plus(Bounded.rows(TABLE)), X + TABLE[RNG.integers(5, size=len(X))]),
        (A.joined(B), np.concatenate([X, Y])),
        (A.linear(W).contracted(), silu(X @ W)),
        (A.linear(W).contracted(1.0), np.tanh(X @ W)),
        (A.linear(W).within(1.0), 1 / (1 + np.exp(-X @ W))),
        (A.independent(HEADS), mixed(X)),
        (A.independent(HEADS).linear(OUT), mixed(X) @ OUT),
        (A.independent(HEADS).linear(OUT).plus(B.linear(OUT)), mixed(X) @ OUT + Y @ OUT),
        (
            A.linear(W).contracted().times(A.linear(W)).linear(RNG.normal(size=(9, 3)) * 0),
            np.zeros((1, 3)),
        ),
    ],
    ids=[
        "normal",
        "linear",
        "shifted",
        "scaled",
        "taken_twice",
        "taken_twice_linear",
        "plus",
        "plus_itself",
        "times",
        "plus_rows",
        "joined",
        "silu",
        "tanh",
        "sigmoid",
        "attention",
        "attention_linear",
        "residual",
        "zeros",
    ],
)
def test_contains(known, vectors):
    assert (np.abs(vectors) <= known.magnitudes * (1 + 1e-12)).all()
    assert np.linalg.norm(vectors, axis=1).max() <= known.length
    assert len(known) == vectors.shape[1]


def test_bounds_are_near_what_is_reached():
    """A norm after a linear layer, whose worst input is known: the bound is not loose."""
    gamma = RNG.normal(size=N)
    known = Bounded.normal(gamma, np.zeros(N)).linear(W)
    _, values, rows = np.linalg.svd((gamma[:, None] * W).T)
    worst = rows[0] * math.sqrt(N) * gamma @ W
    assert known.length == pytest.approx(np.linalg.norm(worst), rel=1e-5)
    assert spectral((gamma[:, None] * W).T) == pytest.approx(values[0], rel=1e-5)


def test_heads_that_all_pull_in_one_direction_reach_the_bound():
    weight = np.ones((N, 1))
    known = Bounded.normal(np.ones(N), np.zeros(N)).independent(HEADS).linear(weight)
    # each head's u lies in its own two features
    worst = 3 * np.sqrt(2) * math.sqrt(N)
    assert known.length == pytest.approx(worst, rel=1e-5)
