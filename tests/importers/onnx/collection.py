"""ONNX's own tests of its operators: which are computed rightly, which are refused and why.

``python -m tests.importers.onnx.collection`` runs all of them and writes docs/onnx_node_tests.md.
With words, it runs the tests whose names contain one of them, and prints what became of each. A
test is compiled as it is. If it is refused, it is compiled again with scalars and vectors as
constants, except for the first input: in models these are parameters such as axes, shapes and
scales, which the tests give as inputs.
"""

import json
import sys
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from onnx import numpy_helper
from onnx.backend.test.case.node import collect_testcases
from onnx.backend.test.case.test_case import TestCase

import quake_tvm
from quake_tvm import QuakeError
from quake_tvm.support.whole_file import whole_file
from tests.fuzz.forked import in_children

PAGE = Path(__file__).parents[3] / "docs" / "onnx_node_tests.md"
RIGHT, FIXED, WRONG, REFUSED = "right", "right with constants", "wrong", "refused"
# ONNX Runtime has the same results, and others than the test.
SAME = "as ONNX Runtime"
_EXPANDED = "_expanded"
# Operators whose tests have results with an error of one rounding of the largest result, where the
# exact one is 0.
_COARSE = {"DFT"}
# The tolerance for results in half precision.
_HALF = 5e-3
_JOBS = 2
# Tests in a process, which have this many seconds together, also on a busy machine.
_GROUP = 16
_DEADLINE = 1200.0
_HEAD = """# ONNX's node tests

`python -m tests.importers.onnx.collection` runs the {count} tests of operators that onnx {version}
comes with, on `exact`, and writes this page. *right*: the results are within the test's tolerances,
half precision within some roundings, and those of DFT within one rounding of the largest, as the
tests' own are. *with constants*: refused as it is, right if scalars and vectors after the first
input, such as axes and shapes, are constants. *as ONNX Runtime*: the results of ONNX Runtime, which
are not the test's. *wrong*: other results, a crash, or no end within {deadline:.0f} seconds.
*refused*: an error of one line. A test of an operator that the standard defines as a function also
exists with the function expanded; both count for this operator.

"""


@dataclass(frozen=True)
class Outcome:
    """What became of a test."""

    kind: str
    reason: str = ""


def cases(words: Sequence[str] = ()) -> list[TestCase]:
    """The tests, or those whose names contain one of the words."""
    found = collect_testcases(None)
    return [c for c in found if not words or any(word in c.name for word in words)]


def outcome(case: TestCase) -> Outcome:
    """Compile and run a test."""
    ((inputs, outputs),) = case.data_sets
    given = [_array(x) for x in inputs]
    try:
        return _compared(case, case.model, given, outputs)
    except QuakeError as error:
        reason = str(error)
    model, varying = _with_constants(case.model, given)
    if len(varying) < len(given):
        try:
            found = _compared(case, model, varying, outputs)
        except QuakeError:
            return Outcome(REFUSED, reason)
        if found.kind == WRONG and _as_onnxruntime(model, varying):
            return Outcome(SAME, found.reason)
        return Outcome(FIXED, reason) if found.kind == RIGHT else found
    return Outcome(REFUSED, reason)


def run(chosen: Sequence[TestCase]) -> Iterator[tuple[TestCase, Outcome]]:
    """Each test with its outcome. Tests share processes; one that ends its process is wrong."""

    def work(group: Sequence[TestCase]) -> Iterator[str]:
        for case in group:
            found = outcome(case)
            yield json.dumps([found.kind, found.reason])

    left = [chosen[k : k + _GROUP] for k in range(0, len(chosen), _GROUP)]
    while left:
        groups, left = left, []
        for ended in in_children(work, groups, _JOBS, _DEADLINE):
            lines = [line for line in ended.lines if line.startswith("[")]
            yield from zip(ended.item, (Outcome(*json.loads(line)) for line in lines), strict=False)
            unfinished = ended.item[len(lines) :]
            if unfinished:
                yield unfinished[0], Outcome(WRONG, ended.death.strip().splitlines()[-1])
                left.append(unfinished[1:])


def _array(given: object) -> object:
    return numpy_helper.to_array(given) if isinstance(given, onnx.TensorProto) else given


def _compared(
    case: TestCase, model: onnx.ModelProto, given: Sequence[object], outputs: Sequence[object]
) -> Outcome:
    compiled = quake_tvm.compile(model, method="exact")
    for q, wanted in zip(compiled.run(list(given)), outputs, strict=True):
        y = np.asarray(_array(wanted))
        if (q.dtype, q.shape) != (y.dtype, y.shape):
            return Outcome(WRONG, f"{q.dtype}{q.shape}, not {y.dtype}{y.shape}")
        rtol, atol = case.rtol, case.atol
        if y.dtype.itemsize == 2 and y.dtype.kind not in "iu":
            rtol = atol = _HALF * (4 if y.dtype.kind == "V" else 1)  # bfloat16 is coarser
        if y.dtype.kind == "V":
            q, y = (x.astype(np.float64) for x in (q, y))
        if any(node.op_type in _COARSE for node in model.graph.node):
            atol = max(atol, np.finfo(y.dtype).eps * np.abs(y).max(initial=0))
        if not np.allclose(q, y, rtol, atol, equal_nan=True):
            with np.errstate(invalid="ignore", over="ignore"):
                off = np.abs(np.subtract(q, y, dtype=np.float64)).max()
            return Outcome(WRONG, f"off by {off:.3g}")
    return Outcome(RIGHT)


def _as_onnxruntime(model: onnx.ModelProto, given: Sequence[object]) -> bool:
    """Whether ONNX Runtime has the results of this library."""
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    names = [i.name for i in session.get_inputs()]
    wanted = session.run(None, dict(zip(names, given, strict=True)))
    results = quake_tvm.compile(model, method="exact").run(list(given))
    return all(
        q.shape == y.shape and np.allclose(q, y, 1e-4, 1e-5)
        for q, y in zip(results, wanted, strict=True)
    )


def _with_constants(
    model: onnx.ModelProto, given: Sequence[object]
) -> tuple[onnx.ModelProto, list[object]]:
    """The model with its scalars and vectors but the first input as constants; other inputs."""
    fixed = onnx.ModelProto()
    fixed.CopyFrom(model)
    del fixed.graph.input[:]
    varying = []
    for k, (value, x) in enumerate(zip(model.graph.input, given, strict=True)):
        small = isinstance(x, np.ndarray | np.generic) and np.ndim(x) < 2
        if k and small:
            fixed.graph.initializer.append(numpy_helper.from_array(np.asarray(x), value.name))
        else:
            fixed.graph.input.append(value)
            varying.append(x)
    return fixed, varying


def operator(case: TestCase, nodes: dict[str, onnx.NodeProto]) -> str:
    """The operator that a test is for."""
    node = nodes.get(case.name.split(_EXPANDED)[0], case.model.graph.node[-1])
    return f"{node.domain}.{node.op_type}" if node.domain else node.op_type


def page(found: Sequence[tuple[TestCase, Outcome]]) -> str:
    """The page of all outcomes."""
    nodes = {c.name: c.model.graph.node[-1] for c, _ in found}
    of_operator: dict[str, list[tuple[TestCase, Outcome]]] = defaultdict(list)
    for case, result in found:
        of_operator[operator(case, nodes)].append((case, result))
    kinds = (RIGHT, FIXED, SAME, WRONG, REFUSED)
    rows = [
        "| operator | right | with constants | as ONNX Runtime | wrong | refused | reasons |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, results in sorted(of_operator.items()):
        count = Counter(r.kind for _, r in results)
        reasons = sorted({_short(r.reason) for _, r in results if r.kind not in (RIGHT, FIXED)})
        cells = [str(count[kind] or "-") for kind in kinds]
        rows.append(f"| {name} | {' | '.join(cells)} | {'; '.join(reasons)} |")
    total = Counter(r.kind for _, r in found)
    summary = ", ".join(f"{total[kind]} {kind}" for kind in kinds)
    head = _HEAD.format(count=len(found), version=onnx.__version__, deadline=_DEADLINE)
    return f"{head}All together: {summary}.\n\n" + "\n".join(rows) + "\n"


def _short(reason: str) -> str:
    return reason.split("; ")[0].replace("|", "\\|").replace("<", "\\<")


def main(words: Sequence[str]) -> int:
    """Run the tests; returns how many are wrong."""
    found = []
    for case, result in run(cases(words)):
        found.append((case, result))
        if words or result.kind == WRONG:
            print(f"{case.name}: {result.kind} {result.reason}", flush=True)
    print(dict(Counter(r.kind for _, r in found)))
    if not words:
        with whole_file(PAGE) as file:
            file.write_text(page(sorted(found, key=lambda item: item[0].name)))
    return sum(r.kind == WRONG for _, r in found)


if __name__ == "__main__":
    sys.exit(bool(main(sys.argv[1:])))
