"""What becomes of cases: right, wrong, refused, or a fault of the compiler.

The cases of an operator are compiled in one module. Cases that torch itself cannot run or export,
and cases of random numbers, are left out.
"""

import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import ml_dtypes
import numpy as np
import torch
from torch.utils import _pytree as pytree

import quake_tvm

from ..importers.torch.programs import Call, Several
from .cases import Case

RIGHT, WRONG, REFUSED, FAULT = "right", "wrong", "refused", "fault"
_TOLERANCE = 1e-4, 1e-5  # relative, absolute


@dataclass
class Verdict:
    """What became of a case; the reason is empty where it is right."""

    label: str
    outcome: str
    reason: str = ""


def judge(cases: list[Case]) -> Iterator[Verdict]:
    """The verdicts on the cases that torch runs and exports."""
    runs = [(case, expected) for case in cases if (expected := _expected(case)) is not None]
    yield from _compared([run for run in runs if _exported([run[0]]) is not None])


def _expected(case: Case) -> list[Any] | None:
    """What eager gives; None for what torch refuses and for random numbers."""
    try:
        with torch.no_grad(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            first, second = (
                _leaves(case.function(*[x.clone() for x in case.inputs])) for _ in range(2)
            )
    except Exception:
        return None
    pairs = zip(map(_array, first), map(_array, second), strict=True)
    same = all(np.array_equal(a, b, equal_nan=a.dtype.kind in "fc") for a, b in pairs)
    return first if same else None


def _leaves(results: Any) -> list[Any]:
    return [value for value in pytree.tree_leaves(results) if value is not None]


def _array(value: Any) -> np.ndarray:
    tensor = torch.as_tensor(value).detach().resolve_conj().resolve_neg()
    if tensor.layout != torch.strided:
        tensor = tensor.to_dense()
    if tensor.dtype == torch.bfloat16:
        return tensor.view(torch.int16).numpy().view(ml_dtypes.bfloat16)
    return (tensor.to(torch.complex64) if tensor.dtype == torch.complex32 else tensor).numpy()


def _exported(cases: list[Case]) -> torch.export.ExportedProgram | None:
    inputs = tuple(x for case in cases for x in case.inputs)
    module = (
        Call(cases[0].function)
        if len(cases) == 1
        else Several([(case.function, case.inputs) for case in cases])
    )
    try:
        with torch.no_grad(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return torch.export.export(module, inputs)
    except Exception:
        return None


def _compared(runs: list[tuple[Case, list[Any]]]) -> Iterator[Verdict]:
    """The verdicts on cases and what eager gives; one by one if they do not compile together."""
    if not runs:
        return
    try:
        model = quake_tvm.compile(_exported([case for case, _ in runs]), method="exact")
        results = model.run(*[x.numpy() for case, _ in runs for x in case.inputs])
    except Exception as error:
        if len(runs) > 1:
            for run in runs:
                yield from _compared([run])
            return
        polite = isinstance(error, quake_tvm.QuakeError) and "\n" not in str(error)
        reason = str(error) if polite else f"{type(error).__name__}: {error}"[:200]
        yield Verdict(runs[0][0].label, REFUSED if polite else FAULT, reason)
        return
    for case, expected in runs:
        got, results = results[: len(expected)], results[len(expected) :]
        differences = [_difference(a, _array(b)) for a, b in zip(got, expected, strict=True)]
        reason = "; ".join(filter(None, differences))
        pair = len(got) == 2 and bool(case.inputs)
        if reason and pair and not differences[0] and _chosen(case.inputs[0].numpy(), *got):
            reason = ""
        yield Verdict(case.label, WRONG if reason else RIGHT, reason)


def _chosen(x: np.ndarray, values: np.ndarray, places: np.ndarray) -> bool:
    """Whether the values stand at the places, along any axis: torch chooses any of equal ones."""
    if places.dtype != np.int64 or places.shape != values.shape or x.ndim - places.ndim > 1:
        return False
    for axis in range(x.ndim):
        kept = places.ndim == x.ndim
        index, wanted = (t if kept else np.expand_dims(t, axis) for t in (places, values))
        others = [n for k, n in enumerate(x.shape) if k != axis]
        if [n for k, n in enumerate(index.shape) if k != axis] == others:
            inside = np.clip(index, 0, max(x.shape[axis] - 1, 0))
            same = (inside == index).all() and x.shape[axis]
            if same and np.array_equal(np.take_along_axis(x, index, axis), wanted):
                return True
    return False


def _difference(got: np.ndarray, expected: np.ndarray) -> str:
    """How two arrays differ, or nothing."""
    if got.dtype != expected.dtype or got.shape != expected.shape:
        return f"{got.dtype}{got.shape}, torch gives {expected.dtype}{expected.shape}"
    if got.dtype.kind in "biu":
        near = got == expected
    else:
        near = np.isclose(got.astype("f8"), expected.astype("f8"), *_TOLERANCE, equal_nan=True)
    if np.all(near):
        return ""
    return f"{got[~near].ravel()[:4]}, torch gives {expected[~near].ravel()[:4]}"
