"""Operators that read or write by indices."""

import numpy as np

from .case import RNG, Case, K, a, c, f, i, k, s


def gathers() -> list[Case]:
    x = f(3, 4, 5)
    cases = [
        c("Gather", x, k(0, 2)),
        c("Gather", x, a(0, 2)),
        c("Gather", x, a(-1, 1), axis=1, since=11),
        c("Gather", x, i(2, 2, low=0, high=5), axis=2),
        c("Gather", x, np.int64(1), axis=-1, since=11),
        c("Gather", i(4), k(-1), since=11),
        c("Gather", x, K(np.int32([1])), axis=1),
        c("GatherElements", x, i(3, 4, 5, low=-3, high=3)),
        c("GatherElements", x, i(3, 2, 5, low=-4, high=4), axis=1),
        c("GatherElements", x, i(3, 4, 2, low=-5, high=5, dtype="int32"), axis=-1),
        c("GatherElements", x, i(2, 3, 4, low=-5, high=5), axis=2),
        c("ReverseSequence", x, a(1, 3, 2, 0)),
        c("ReverseSequence", x, k(4, 1, 2), time_axis=1, batch_axis=0),
        c("ReverseSequence", i(2, 3), a(2, 1, 2), batch_axis=1),
        c("GatherND", x, i(2, 2, low=-3, high=3)),
        c("GatherND", x, i(2, 3, low=0, high=3)),
        c("GatherND", x, i(3, 2, 1, low=-4, high=4), batch_dims=1),
        c("GatherND", x, i(3, 1, low=0, high=3)),
        c("GatherND", x, i(3, 4, 1, low=-5, high=5), batch_dims=2),
        c("Compress", x, np.array([True, False, True]), axis=0),
        c("Compress", f(2, 3), f(5) > 0),
        c("Compress", x, np.array([True, False, True]), axis=-2, since=11),
        c("Compress", x, np.array([False, True]), axis=1),
        c("OneHot", i(3, low=-4, high=4), s(4, "int64"), k(2, 5)),
        c("OneHot", i(2, 3, low=0, high=4), s(4, "int64"), k(0, 1), axis=0),
        c("OneHot", i(2, 3, low=-6, high=6), s(4, "int64"), k(0.5, 1.5, dtype="float32"), axis=1),
        c("OneHot", i(2, 3, low=0, high=4), s(4, "int64"), k(0, 1, dtype="float32"), axis=-2),
        c("OneHot", i(3, low=0, high=4, dtype="int32"), s(4, "int32"), k(0, 1, dtype="int32")),
    ]
    at = np.stack([RNG.permutation(3) for _ in range(4)], 1)
    cases += [
        c("ScatterElements", f(3, 4), at, f(3, 4)),
        c("ScatterElements", f(3, 4), at[:2], f(2, 4)),
        c("ScatterElements", f(4, 3), at.T, f(4, 3), axis=1),
        c("ScatterElements", f(3, 4), at[:2, :2] - 3, f(2, 2)),
        c("ScatterElements", f(5, 3), K(at.T[:2]), f(2, 3), axis=-1),
        c("ScatterElements", f(5, 4, 6), i(3, 2, 1, low=-6, high=6), f(3, 2, 1), axis=2),
        c("ScatterElements", f(5, 4, 6), i(2, 1, 3, low=0, high=5), f(2, 1, 3)),
        c("Scatter", f(3, 4), at, f(3, 4)),
        c("Scatter", f(4, 3), at.T[:2], f(2, 3), axis=1),
        c("ScatterND", f(4, 3), a(2, 0)[:, None], f(2, 3)),
        c("ScatterND", f(4, 3), np.int64([[1, 2], [-1, 0]]), f(2)),
    ]
    for reduction in ("add", "mul", "max", "min"):
        since = 16 if reduction in ("add", "mul") else 18
        cases += [
            c(
                "ScatterElements",
                f(3, 4),
                i(3, 4, low=-3, high=3),
                f(3, 4),
                axis=0,
                reduction=reduction,
                since=since,
            ),
            c(
                "ScatterElements",
                f(3, 4),
                i(2, 3, low=0, high=4),
                f(2, 3),
                axis=1,
                reduction=reduction,
                since=since,
            ),
            c("ScatterND", f(4, 3), a(2, 2, 0)[:, None], f(3, 3), reduction=reduction, since=since),
            c(
                "ScatterND",
                f(4, 3),
                np.int64([[1, 2], [1, 2]]),
                f(2),
                reduction=reduction,
                since=since,
            ),
        ]
    cases += [c("ScatterElements", f(3, 4), at, f(3, 4), reduction="none")]
    return cases
