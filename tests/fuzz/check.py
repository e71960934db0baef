"""Compile and run a graph, and compare its outputs with the judge: the verdict.

Several graphs may be compiled as one model, for speed.
"""

import itertools
import json
import re
import traceback
from collections.abc import Mapping, Sequence
from dataclasses import astuple, dataclass, replace

import numpy as np
import onnx
from onnx import helper

import quake_tvm
from quake_tvm.build import import_model

from .check_sizes import check_sizes
from .compare import difference
from .generate import Case
from .graph import as_model
from .judge import Judge

RIGHT, REFUSED, WRONG, TRACEBACK, CRASH, UNJUDGED = (
    "right", "refused", "wrong", "traceback", "crash", "unjudged",
)  # fmt: skip
# The kinds of verdict that are failures.
FAILURES = (WRONG, TRACEBACK, CRASH)
FEW, MANY = 6, 60


@dataclass
class Verdict:
    """The result of a graph on one rung."""

    seed: int
    method: str
    kind: str
    detail: str = ""
    # Of a graph with symbolic dimensions: sizes that were compared, and that were never valid.
    sizes: int = 0
    never_valid: int = 0

    @property
    def reason(self) -> str:
        """The detail without the parts that are specific to this graph."""
        text = re.sub(r"'[^']*'|\b[a-z]?\d+_\w+|\bg\d+\w*", "…", self.detail)
        return re.sub(r"[-\d.]+(e[+-]?\d+)?", "#", text)


def check(cases: Sequence[Case], methods: Sequence[str]) -> list[Verdict]:
    """The verdicts on all cases, for each method."""
    judged, verdicts = [], []
    for case in cases:
        pair = _prepared(case)
        if isinstance(pair, Verdict):
            verdicts += [replace(pair, method=method) for method in methods]
        else:
            judged.append(pair)
    for pack in _packs(judged):
        for method in methods:
            found = _check(pack, method)
            verdicts += found
            # With rare exceptions, a graph that is refused on one rung is refused on all.
            gone = {v.seed: v for v in found if v.kind in (REFUSED, TRACEBACK)}
            if gone and method == methods[0]:
                verdicts += [replace(v, method=m) for v in gone.values() for m in methods[1:]]
                pack = [pair for pair in pack if pair[0].seed not in gone]
    return verdicts


def _prepared(case: Case) -> tuple[Case, Judge] | Verdict:
    """The case with its judge, if it can be judged and imported. Both are cheap to find out."""
    try:
        judge = Judge(case.model)
        judge.outputs(case.feeds[0], "exact", 1)
    except Exception as error:  # not a fault of this library
        return Verdict(case.seed, "", UNJUDGED, _line(error))
    try:
        import_model(case.model)
    except Exception as error:
        return _refusal(case, "", error)
    return case, judge


def _packs(judged: list[tuple[Case, Judge]]) -> list[list[tuple[Case, Judge]]]:
    """Packs of static graphs. Dynamic graphs are refused more often, so each is alone."""
    static = [pair for pair in judged if not pair[0].dynamic]
    dynamic = [[pair] for pair in judged if pair[0].dynamic]
    return [static, *dynamic] if static else dynamic


def _check(judged: list[tuple[Case, Judge]], method: str) -> list[Verdict]:
    if not judged:
        return []
    if judged[0][0].dynamic:
        return [_at_sizes(*judged[0], method)]
    try:
        model = quake_tvm.compile(united([case.model for case, _ in judged]), method=method)
    except Exception as error:
        if len(judged) > 1:
            return [v for pair in judged for v in _check([pair], method)]
        return [_refusal(judged[0][0], method, error)]
    feeds = {name: value for case, _ in judged for name, value in case.feeds[0].items()}
    try:
        outputs = model.run(feeds)
    except Exception as error:
        if len(judged) > 1:
            return [v for pair in judged for v in _check([pair], method)]
        return [_refusal(judged[0][0], method, error)]
    kept = iter([o.copy() for o in outputs])
    verdicts = []
    for case, judge in judged:
        got = list(itertools.islice(kept, len(case.model.graph.output)))
        wrong = _compared(case, judge, method, case.feeds[0], got)
        verdicts.append(Verdict(case.seed, method, WRONG if wrong else RIGHT, wrong))
    return verdicts


def _at_sizes(case: Case, judge: Judge, method: str) -> Verdict:
    """The verdict on a graph with symbolic dimensions."""

    def compared(feeds: Mapping[str, np.ndarray], got: list[np.ndarray]) -> str:
        return _compared(case, judge, method, feeds, got)

    try:
        found = check_sizes(case, judge, method, compared)
    except Exception as error:
        return _refusal(case, method, error)
    counts = {"sizes": found.right, "never_valid": found.never_valid}
    if found.fault:
        return _refusal(case, method, found.fault)
    if found.wrong:
        return Verdict(case.seed, method, WRONG, found.wrong, **counts)
    if found.refusal:
        return Verdict(case.seed, method, REFUSED, f"at a run: {found.refusal}", **counts)
    return Verdict(case.seed, method, RIGHT, **counts)


def _compared(
    case: Case, judge: Judge, method: str, feeds: Mapping[str, np.ndarray], got: list[np.ndarray]
) -> str:
    """What is wrong with the outputs; empty if nothing."""
    wrong = ""
    for runs in (FEW, MANY):  # most outputs pass after a few runs
        seen = judge.outputs(feeds, method, runs)
        differences = [
            (name.name, difference(g, [s[k] for s in seen]))
            for k, (name, g) in enumerate(zip(case.model.graph.output, got, strict=True))
        ]
        wrong = "; ".join(f"{name}: {text}" for name, text in differences if text)
        if not wrong:
            break
    return wrong


def _refusal(case: Case, method: str, error: Exception) -> Verdict:
    if isinstance(error, quake_tvm.QuakeError):
        lines = str(error).strip().splitlines()
        kind = REFUSED if len(lines) == 1 else TRACEBACK
        return Verdict(case.seed, method, kind, str(error).strip())
    frames = traceback.extract_tb(error.__traceback__)
    place = next((f for f in reversed(frames) if "site-packages" not in f.filename), frames[-1])
    where = f"{place.filename.rsplit('/', 2)[-1]}:{place.name}"
    return Verdict(
        case.seed, method, TRACEBACK, f"{type(error).__name__} in {where}: {_line(error)}"
    )


def _line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[-1][:200]


def united(models: Sequence[onnx.ModelProto]) -> onnx.ModelProto:
    """One model of several graphs. Their names differ, and their opset is the same."""
    if len(models) == 1:
        return models[0]
    graph = helper.make_graph(
        [node for m in models for node in m.graph.node],
        "united",
        [i for m in models for i in m.graph.input],
        [o for m in models for o in m.graph.output],
        [c for m in models for c in m.graph.initializer],
    )
    opset = next(o.version for o in models[0].opset_import if not o.domain)
    return as_model(graph, opset)


def to_line(verdict: Verdict) -> str:
    """The verdict as a line for a pipe."""
    return json.dumps(astuple(verdict))


def from_line(line: str) -> Verdict:
    """Inverse of :func:`to_line`."""
    return Verdict(*json.loads(line))
