"""Search for the rows with the largest errors of an operator, by hill-climbing on populations.

Rows start as mixtures of the row's maximum and of exponents where ``softmax_exp`` has its largest
errors: the bounds are reached when the sum has an error of one sign and one element an error of the
other sign. Each round changes some elements of every row, runs all rows in one call of the compiled
kernel, and keeps the rows whose error grew. Knows no bound's derivation: it attacks whatever it is
given.
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
# Rows per population; the number of exponents examined; how many of them count as extreme.
POPULATION, GRID, EXTREME = 32, 1 << 14, 128


@cache
def kernel(
    operator: str, method: str, target: tvm.target.Target, **options: float
) -> Callable[[Rows], np.ndarray]:
    """A compiled operator over rows of any length.

    Parameters
    ----------
    operator, method : str
    target : tvm.target.Target
        Must run on this machine.
    **options
        Options of the operator's function in :mod:`quake_tvm.kernels.compute`.

    Returns
    -------
    callable
        (rows, length) float32 to the operator's results.
    """
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
    """The t in [-3, 0] with the lowest, and the highest, ratio of summed term to exp(t).

    Parameters
    ----------
    operator, method : str
    target : tvm.target.Target
        Must run on this machine.

    Returns
    -------
    (np.ndarray, np.ndarray)
        EXTREME values of t each, float32.
    """
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
    """The row with the largest usage of those that the search tried.

    Parameters
    ----------
    usage : callable
        (rows, length) float32 to one number per row: the error in units of its bound.
    pools : two arrays
        As :func:`extremes` returns them.
    length : int
    rounds, seed : int

    Returns
    -------
    float, (length,) float32
        The largest usage and its row.
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
    """A first row, varied by n: a maximum, one element of one pool, and others of the other."""
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
    """The rows with some elements replaced, from the pools or by values close to the old ones."""
    new = np.stack([rng.choice(pools[k], rows.shape) for k in (0, 1)])
    near = rows * (1 + rng.normal(0, 1e-3, rows.shape))
    choices = np.stack([*new, near, np.zeros_like(rows), rng.uniform(-18, 0, rows.shape)])
    kind = rng.choice(len(choices), rows.shape, p=(0.3, 0.3, 0.25, 0.05, 0.1))
    drawn = np.take_along_axis(choices, kind[None], 0)[0]
    share = rng.choice([1 / rows.shape[1], 0.05, 0.3], (len(rows), 1))
    chosen = rng.random(rows.shape) < share
    return np.minimum(np.where(chosen, drawn, rows), 0).astype(np.float32)
