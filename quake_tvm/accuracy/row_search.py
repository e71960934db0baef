"""Search for the rows on which an operator errs most: hill-climbing over whole populations.

Rows begin as mixtures of the exponents where the weights err most, and of the row's maximum, for an
error of one sign in the sum and of the other in one element is what bounds are made of. Each round
changes some elements of every row, runs all rows in one call of the compiled kernel, and keeps
what errs more. Knows no bound's derivation: it attacks whatever it is given.
"""

from collections.abc import Callable
from functools import cache

import numpy as np
import tvm
from tvm import te

from .. import accuracy
from ..kernels import compute
from ..schedules import schedule
from . import row_sweep

Rows = np.ndarray
# Rows at a time; by how many elements apart exponents are looked at; how many count as extreme.
POPULATION, GRID, EXTREME = 32, 1 << 14, 128


@cache
def kernel(
    operator: str, method: str, target: tvm.target.Target, **options: float
) -> Callable[[Rows], np.ndarray]:
    """A compiled operator for rows of any length."""
    x = te.placeholder([te.var(name, dtype="int64") for name in "mn"], name="x")
    y = getattr(compute, operator)(x, method=method, **options)
    built = tvm.compile(schedule(te.create_prim_func([x, y]), target), target=target)["main"]

    def run(rows: Rows) -> np.ndarray:
        result = tvm.runtime.empty(rows.shape[: len(y.shape)], "float32")
        built(tvm.runtime.tensor(np.ascontiguousarray(rows)), result)
        return result.numpy()

    return run


def exact(operator: str, x: Rows) -> np.ndarray:
    """The operator in float64 over the last axis."""
    x = np.asarray(x, np.float64)
    top = x.max(axis=-1, keepdims=True)
    e = np.exp(x - top)
    total = e.sum(axis=-1, keepdims=True)
    if operator == "softmax":
        return e / total
    if operator == "log_softmax":
        return x - top - np.log(total)
    return (top + np.log(total))[..., 0]


@cache
def extremes(
    operator: str, method: str, target: tvm.target.Target
) -> tuple[np.ndarray, np.ndarray]:
    """The t in [-3, 0] where what the operator sums is lowest against exp(t), and where highest."""
    t = np.linspace(-3, 0, GRID, dtype=np.float32)
    summed = (
        row_sweep.kernel(method, target)
        if operator == "softmax"
        else accuracy.kernel("exp", method, target)
    )
    ratio = summed(t) / np.exp(t.astype(np.float64))
    order = t[np.argsort(ratio)]
    return order[:EXTREME], order[-EXTREME:]


def worst_row(
    usage: Callable[[Rows], np.ndarray],
    pools: tuple[np.ndarray, np.ndarray],
    length: int,
    rounds: int = 60,
    seed: int = 0,
) -> tuple[float, np.ndarray]:
    """The row that uses most, of those that the search met.

    Parameters
    ----------
    usage : callable
        (rows, length) float32 to a number each: an error in units of its bound.
    pools : two arrays
        Of :func:`extremes`.
    length : int
    rounds, seed : int

    Returns
    -------
    float, (length,) float32
    """
    rng = np.random.default_rng(seed)
    rows = np.stack([_start(rng, pools, length, n) for n in range(POPULATION)])
    best = usage(rows)
    for _ in range(rounds):
        tried = _changed(rng, pools, rows)
        used = usage(tried)
        better = used > best
        rows[better], best[better] = tried[better], used[better]
    worst = int(np.argmax(best))
    return float(best[worst]), rows[worst]


def _start(rng: np.random.Generator, pools: tuple, length: int, n: int) -> np.ndarray:
    """A maximum, one element of one pool, and the others of the other: alike or not, few or all."""
    one, many = pools if n % 2 else pools[::-1]
    row = rng.choice(many, length) if n % 4 > 1 else np.full(length, many[n], np.float32)
    if n % 3 == 0:
        # After the first chunk, each addition to a lane rounds up by half a unit.
        row[16:] = np.log(0.51 * np.spacing(np.exp(row[0]))) if n % 2 else -16.635
    elif n % 3 == 1:
        row[rng.random(length) < rng.choice([0.5, 0.95])] = -30
    row[:1], row[1:2] = 0, rng.choice(one) if n % 5 else 0
    return row


def _changed(rng: np.random.Generator, pools: tuple, rows: Rows) -> Rows:
    """The rows with some elements drawn anew, from the pools or close to what they were."""
    new = np.stack([rng.choice(pools[k], rows.shape) for k in (0, 1)])
    near = rows * (1 + rng.normal(0, 1e-3, rows.shape))
    choices = np.stack([*new, near, np.zeros_like(rows), rng.uniform(-18, 0, rows.shape)])
    kind = rng.choice(len(choices), rows.shape, p=(0.3, 0.3, 0.25, 0.05, 0.1))
    drawn = np.take_along_axis(choices, kind[None], 0)[0]
    share = rng.choice([1 / rows.shape[1], 0.05, 0.3], (len(rows), 1))
    chosen = rng.random(rows.shape) < share
    return np.minimum(np.where(chosen, drawn, rows), 0).astype(np.float32)
