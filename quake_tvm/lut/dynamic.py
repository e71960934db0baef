"""The best table by dynamic programming: no other table of the format has a smaller squared error.

For every segment of the grid the best integer slope and intercept are found. Then the programme
chooses the segments. Knows no function.
"""

from dataclasses import dataclass

import numpy as np

from .table import Table


@dataclass(frozen=True)
class Format:
    """What slopes and intercepts a table may have.

    Attributes
    ----------
    shift : int
        The table's sums are 2**shift times the values.
    slopes, intercepts : pair of int
        The least and the largest of each. Intercepts are given in units of ``unit``.
    unit : int
        Intercepts are multiples of it.
    """

    shift: int
    slopes: tuple[int, int]
    intercepts: tuple[int, int]
    unit: int = 1


def fit(values: np.ndarray, first: int, entries: int, form: Format, stride: int = 1) -> Table:
    """The table of at most so many entries with the least sum of squared errors.

    Parameters
    ----------
    values : np.ndarray
        The exact values at ``first``, ``first + 1``, ...
    first : int
    entries : int
    form : Format
    stride : int
        Breakpoints are only at every so manieth input. With 1 all are tried.
    """
    segments = _Segments(np.asarray(values, np.float64) * 2.0**form.shift, first, form, stride)
    edges = segments.edges
    cost = np.full((len(edges), len(edges)), np.inf)
    cost[segments.start, segments.end] = segments.cost
    best = np.full(len(edges), np.inf)
    best[0] = 0.0
    steps: list[np.ndarray] = []
    totals = [np.inf]
    for _ in range(entries):
        through = best[:, None] + cost
        steps.append(through.argmin(0))
        best = through.min(0)
        totals.append(best[-1])
    path, at = [], len(edges) - 1
    for step in reversed(steps[: int(np.argmin(totals))]):
        path.append((int(step[at]), at))
        at = int(step[at])
    path.reverse()
    pairs = zip(segments.start.tolist(), segments.end.tolist(), strict=True)
    place = {pair: k for k, pair in enumerate(pairs)}
    chosen = [place[pair] for pair in path]
    return Table(
        tuple(first + int(edges[start]) for start, _ in path[1:]),
        tuple(int(segments.slope[k]) for k in chosen),
        tuple(int(segments.intercept[k]) * form.unit for k in chosen),
        form.shift,
    )


class _Segments:
    """The best slope and intercept for every segment between two edges, and its squared error."""

    def __init__(self, sums: np.ndarray, first: int, form: Format, stride: int) -> None:
        self.form = form
        self.edges = np.unique([*range(0, len(sums), stride), len(sums)])
        x = np.arange(first, first + len(sums), dtype=np.float64)
        self.start, self.end = np.triu_indices(len(self.edges), 1)

        def total(each: np.ndarray) -> np.ndarray:
            until = np.concatenate([[0.0], np.cumsum(each)])[self.edges]
            return until[self.end] - until[self.start]

        n = total(np.ones_like(x))
        self.n, self.mean_x, self.mean_y = n, total(x) / n, total(sums) / n
        self.xx = total(x * x) - n * self.mean_x**2
        self.xy = total(x * sums) - n * self.mean_x * self.mean_y
        self.yy = np.maximum(total(sums * sums) - n * self.mean_y**2, 0.0)
        self._search()

    def _search(self) -> None:
        """Try the slopes next to the real optimum first, then others, while these may be better.

        A slope that is d away from the real optimum costs at least ``xx * d * d``.
        """
        least, most = self.form.slopes
        real = np.divide(self.xy, self.xx, out=np.zeros_like(self.xy), where=self.xx > 0)
        self.slope = np.clip(np.rint(real), least, most)
        self.intercept, self.cost = self._cost(self.slope, slice(None))
        nearest = self.slope.copy()
        left = np.arange(len(nearest))
        for away in range(1, most - least + 1):
            least_cost = (
                self.yy[left] - real[left] * self.xy[left] + self.xx[left] * (away - 0.5) ** 2
            )
            left = left[least_cost < self.cost[left] * (1 - 1e-9) - 1e-9]
            if not left.size:
                break
            for slope in (nearest[left] - away, nearest[left] + away):
                intercept, cost = self._cost(slope, left)
                better = (cost < self.cost[left]) & (slope >= least) & (slope <= most)
                at = left[better]
                self.slope[at], self.intercept[at] = slope[better], intercept[better]
                self.cost[at] = cost[better]

    def _cost(self, slope: np.ndarray, at: slice | np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The best intercept for a slope, in units, and the squared error."""
        n, unit = self.n[at], self.form.unit
        real = self.mean_y[at] - slope * self.mean_x[at]
        intercept = np.clip(np.rint(real / unit), *self.form.intercepts)
        spread = self.yy[at] - 2 * slope * self.xy[at] + slope**2 * self.xx[at]
        return intercept, np.maximum(spread, 0.0) + n * (intercept * unit - real) ** 2
