"""Reductions, and operators that sort or sum along an axis."""

import numpy as np

from .case import Case, K, a, c, f, i, k, s

_REDUCTIONS = (
    "ReduceL1 ReduceL2 ReduceLogSum ReduceLogSumExp ReduceMax ReduceMean ReduceMin ReduceProd"
    " ReduceSum ReduceSumSquare"
)


def reductions() -> list[Case]:
    x = np.abs(f(2, 3, 4)) + 0.1
    cases = []
    for operator in _REDUCTIONS.split():
        cases += [
            c(operator, x),
            c(operator, x, keepdims=0),
            c(operator, x, axes=[1]),
            c(operator, x, axes=[0, 2], keepdims=0),
            c(operator, x, axes=[-1], since=11),
            c(operator, x, k(1)),
            c(operator, x, k(-1, 0), keepdims=0),
            c(operator, x, K(a())),
            c(operator, x, K(a()), keepdims=0),
        ]
        if operator != "ReduceLogSum":
            cases += [
                c(operator, x, noop_with_empty_axes=0),
                c(operator, -x, noop_with_empty_axes=1),
                c(operator, -x, K(a()), noop_with_empty_axes=1, keepdims=0),
                c(operator, -x, k(1), noop_with_empty_axes=1),
            ]
    for dtype in ("int32", "int64"):
        y = i(3, 4, dtype=dtype)
        for operator in (
            "ReduceMax",
            "ReduceMin",
            "ReduceProd",
            "ReduceSum",
            "ReduceSumSquare",
            "ReduceL1",
            "ReduceL2",
            "ReduceMean",
        ):
            cases += [c(operator, y, axes=[1]), c(operator, y, k(1))]
        positive = i(3, 4, low=1, dtype=dtype)
        cases += [c("ReduceLogSum", positive, axes=[1]), c("ReduceLogSum", positive, k(1))]
    ties = np.float32([[1, 3, 3, 2], [5, 5, 1, 1], [2, 1, 1, 2]])
    for operator in ("ArgMax", "ArgMin"):
        cases += [
            c(operator, ties),
            c(operator, ties, axis=1),
            c(operator, ties, axis=1, keepdims=0),
            c(operator, ties, axis=-1, since=11),
            c(operator, i(3, 4, dtype="int32"), axis=1),
            c(operator, ties, axis=1, select_last_index=1),
            c(operator, ties, axis=-1, select_last_index=1, keepdims=0),
            c(operator, ties, axis=0, select_last_index=1),
        ]
    for exclusive in (0, 1):
        for reverse in (0, 1):
            cases += [
                c("CumSum", f(2, 3), s(axis, "int32"), exclusive=exclusive, reverse=reverse)
                for axis in (0, 1, -1)
            ]
            flags = {"exclusive": exclusive, "reverse": reverse, "since": 26}
            cases += [c("CumProd", f(2, 3), s(axis, "int32"), **flags) for axis in (0, -1)]
    cases += [c("CumProd", i(5), s(0, "int64"), since=26)]
    cases += [c(o, f(3, 4) > 0, k(1)) for o in ("ReduceMax", "ReduceMin")]
    cases += [c("CumSum", i(5), s(0, "int64")), c("CumSum", f(4, dtype="float64"), k(0))]
    y = f(3, 5)
    cases += [
        c("TopK", y, k=2, outputs=2),
        c("TopK", y, k=2, axis=0, outputs=2),
        c("TopK", y, k(2), outputs=2),
        c("TopK", y, k(2), axis=0, outputs=2),
        c("TopK", y, k(2), axis=-2, outputs=2, since=11),
        c("TopK", y, k(2), largest=0, outputs=2),
        c("TopK", ties, k(3), outputs=2),
        c("TopK", ties, k(3), largest=0, outputs=2),
        c("TopK", i(3, 5), k(2), axis=0, outputs=2),
        c("TopK", y, k(5), outputs=2),
    ]
    d = np.float32([[3, 1, 1], [2, 3, 1], [3, 1, 1]])
    cases += [
        c("Unique", d, outputs=4),
        c("Unique", d),
        c("Unique", d, outputs=4, axis=0),
        c("Unique", d, outputs=2, axis=1),
        c("Unique", d, outputs=4, sorted=0),
        c("Unique", i(9, low=0, high=4), outputs=3),
    ]
    return cases
