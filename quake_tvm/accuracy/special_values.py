"""Write the page of special values: ``python -m quake_tvm.accuracy.special_values``.

It runs the cases of :mod:`special_cases` with ``exact`` and with a rung, in ONNX Runtime and in
PyTorch, and writes the results next to each other.
"""

from importlib import metadata
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from ..compiler import compile
from ..support.generated_page import write_section
from .special_cases import CASES, CONSTANTS, INPUTS, Case

PAGE = Path(__file__).parents[2] / "docs" / "special_values.md"
RUNG = "quake3"
Results = dict[str, np.ndarray]


def model(cases: list[Case] = CASES) -> onnx.ModelProto:
    """All cases as one model, with one output per case."""
    nodes, outputs = [], []
    for number, case in enumerate(cases):
        for step, (operator, inputs, attributes) in enumerate(case.nodes):
            at = [
                f"{number}.{step - 1 - int(n[1:] or 0)}" if n[0] == "_" else n
                for n in inputs.split()
            ]
            nodes.append(helper.make_node(operator, at, [f"{number}.{step}"], **attributes))
        outputs.append(helper.make_tensor_value_info(nodes[-1].output[0], 0, None))
    given = [
        helper.make_tensor_value_info(n, TensorProto.FLOAT, v.shape) for n, v in INPUTS.items()
    ]
    constants = [numpy_helper.from_array(np.asarray(v), n) for n, v in CONSTANTS.items()]
    graph = helper.make_graph(nodes, "special values", given, outputs, constants)
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=9)
    return onnx.shape_inference.infer_shapes(made)


def _flat(results: list[np.ndarray], cases: list[Case]) -> Results:
    return {
        c.name: np.asarray(y, dtype="float32").ravel() for c, y in zip(cases, results, strict=True)
    }


def ours(method: str, cases: list[Case] = CASES) -> Results:
    """The results of this library."""
    return _flat(compile(model(cases), method=method).run(INPUTS), cases)


def onnxruntime(cases: list[Case] = CASES) -> Results:
    """The results of ONNX Runtime."""
    import onnxruntime as ort

    session = ort.InferenceSession(model(cases).SerializeToString())
    return _flat(session.run(None, INPUTS), cases)


def torch(cases: list[Case] = CASES) -> Results:
    """The results of PyTorch, for cases that it supports."""
    import torch as t

    values = {k: t.tensor(v) for k, v in (INPUTS | CONSTANTS).items()}
    having = [(case, case.torch) for case in cases if case.torch is not None]
    results = [compute(t, t.nn.functional, values).numpy() for _, compute in having]
    return _flat(results, [case for case, _ in having])


def differs(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Where two results differ. Signs of zeros count; NaN equals NaN.

    Differences of up to 1 % of a normal number do not count: they are a rung's error.
    """
    close = np.isclose(a, b, rtol=1e-2, atol=0, equal_nan=True)
    return ~close | ((a == 0) & (np.signbit(a) != np.signbit(b)))


def table() -> list[dict]:
    """One row per case: the results of each contender; None where a case is not supported."""
    exact, rung = ours("exact"), ours(RUNG)
    others = {"ONNX Runtime": onnxruntime(), "PyTorch": torch()}
    return [
        {"case": case, "exact": exact[case.name], RUNG: rung[case.name]}
        | {other: found.get(case.name) for other, found in others.items()}
        for case in CASES
    ]


def unexplained(row: dict) -> list[str]:
    """Differences in a row without a reason, and reasons without a difference."""
    case, y = row["case"], row["exact"]
    found = []
    if differs(y, row[RUNG]).any() != bool(case.rung):
        found.append(f"{case.name} on {RUNG}: {y} and {row[RUNG]}")
    others = [row[o] for o in ("ONNX Runtime", "PyTorch") if row[o] is not None]
    if any(differs(y, other).any() for other in others) != bool(case.why):
        found.append(f"{case.name} elsewhere: {y} and {others}")
    return found


def _number(value: float) -> str:
    if value == 0:
        return "-0" if np.signbit(value) else "0"
    if abs(value) == np.float32(np.finfo("float32").max):
        return f"{value:.1e}"
    return f"{value:.3g}"


def cell(row: dict, column: str) -> str:
    """The text of a cell: *same* if the values equal those of ``exact``."""
    if row[column] is None:
        return "-"
    if column != "exact" and not differs(row["exact"], row[column]).any():
        return "same"
    return ", ".join(map(_number, row[column]))


def markdown(rows: list[dict], points: str) -> str:
    """One table: the cases of this group."""
    columns = ["exact", RUNG, "ONNX Runtime", "PyTorch"]
    lines = [f"| | {' | '.join(columns)} | why |", "|---" * (len(columns) + 2) + "|"]
    for row in rows:
        case = row["case"]
        if case.points == points:
            cells = [cell(row, column) for column in columns]
            why = "; ".join(filter(None, (case.why, case.rung)))
            lines.append(f"| {case.name} | {' | '.join(cells)} | {why} |")
    return "\n".join(lines)


def main() -> None:
    """Write the page's tables."""
    rows = table()
    versions = ", ".join(f"{n} {metadata.version(n)}" for n in ("onnxruntime", "torch"))
    write_section(PAGE, "versions", f"Compared with {versions}.")
    for points in ("values", "pairs", "rows", "graphs"):
        write_section(PAGE, points, markdown(rows, points))


if __name__ == "__main__":
    main()
