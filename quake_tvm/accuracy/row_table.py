"""Write the page's section about rows: ``python -m quake_tvm.accuracy.row_table``, a few minutes.

It sweeps softmax_exp over every t <= 0 and stores the errors that the bounds are derived from. Then
it searches for rows that come close to these bounds, and writes both. Knows no derivation.
"""

import json
from dataclasses import asdict
from datetime import datetime, timezone
from importlib import metadata
from pathlib import Path

import numpy as np
import tvm
from rich.console import Console
from rich.progress import Progress

from ..machines.targets import target
from ..numerics import row_bounds
from ..numerics.ladder import METHODS
from ..numerics.operators import OPERATORS, bound
from ..support.generated_page import write_section
from ..support.whole_file import whole_file
from . import row_search, row_sweep
from .findings import round_up

ROOT = Path(__file__).parents[2]
_FOLDER = ROOT / "docs" / "accuracy"
PAGE, DATA = _FOLDER / "rows.md", _FOLDER / "rows.json"
LENGTHS = (2, 3, 7, 16, 100, 128, 197, 1000, 1024)
ROUNDS = 100
NAMES = [name for name, row in OPERATORS.items() if not row.elementwise]


def kept(found: row_sweep.Weights) -> dict:
    """A sweep's findings, rounded away from zero to three digits."""
    values = asdict(found)
    for name in ("weight", "exp"):
        low, high = values[name]
        values[name] = [-round_up(-low), round_up(high)]
    return values | {"tie": round_up(found.tie)}


def keep(found: dict[str, row_sweep.Weights]) -> None:
    """Store a sweep's findings, so that the bounds are derived from them."""
    row_bounds.update({method: kept(row) for method, row in found.items()})


def attack(operator: str, method: str, on: tvm.target.Target, rounds: int, length: int) -> dict:
    """The largest share of the bound at a length that the worst row found uses.

    For softmax also the largest error of a probability.
    """
    run = row_search.kernel(operator, method, on)
    row_bound = OPERATORS[operator].row_bound
    assert row_bound is not None, f"{operator} is no operator over rows"
    promised = row_bound(method, length)
    found = {"probability": 0.0}

    def usage(x: np.ndarray) -> np.ndarray:
        y = row_search.exact(operator, x)
        error = np.abs(run(x) - y)
        if operator == "softmax":
            found["probability"] = max(found["probability"], float(error.max()))
        used = error / (promised["relative"] * np.abs(y) + promised["absolute"])
        return used.reshape(len(x), -1).max(axis=1)

    pools = row_search.extremes(operator, method, on)
    found["used"], _ = row_search.worst_row(usage, pools, length, rounds)
    return found


def rows(on: tvm.target.Target, progress: Progress) -> list[dict]:
    """The table, one row per operator and rung."""
    table = []
    task = progress.add_task("rows, searched", total=len(NAMES) * len(METHODS) * len(LENGTHS))
    for operator in NAMES:
        for method in METHODS:
            found = []
            for length in LENGTHS:
                found.append(attack(operator, method, on, ROUNDS, length))
                progress.advance(task)
            row = asdict(bound(operator, method)) | {"used": max(f["used"] for f in found)}
            if operator == "softmax":
                row |= {
                    "probability_found": max(f["probability"] for f in found),
                    "total_variation": row_bounds.total_variation(method),
                    "divergence": row_bounds.divergence(method),
                    "attention": row_bounds.attention(method),
                    "tie": row_bounds.tie(method),
                }
            table.append(row)
    return table


def markdown(data: dict) -> str:
    """The section as Markdown."""
    softmax = [row for row in data["rows"] if row["operator"] == "softmax"]
    logs = [row for row in data["rows"] if row["operator"] != "softmax"]
    made = ", ".join(f"{name} {version}" for name, version in data["versions"].items())
    lines = [
        f"{data['date']}, {made}, on {data['target']}. Derived in "
        "[row_operators.md](../row_operators.md) for rows of up to "
        f"{row_bounds.ROW:,} elements from the errors of every float32 t <= 0; *used* is the "
        "largest share of the bound at its own length that hill-climbing over rows of "
        f"{LENGTHS[0]} to {LENGTHS[-1]:,} elements reached.",
        "",
        "| softmax | relative | used | probability | found | total variation | divergence, nats "
        "| attention, of max abs(v) | order kept | equal results: exact ones apart by |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {row['method']} | {row['relative']:.3g} | {row['used']:.0%} "
        f"| {row['probability']:.2g} | {row['probability_found']:.2g} "
        f"| {row['total_variation']:.2g} | {row['divergence']:.2g} | {row['attention']:.2g} "
        f"| {'always' if row['monotone'] else 'no'} | {row['tie']:.3g} ulp |"
        for row in softmax
    ]
    lines += ["", "| | rung | absolute | relative | used |", "|---|---|---|---|---|"]
    lines += [
        f"| {row['operator']} | {row['method']} | {row['absolute']:.3g} "
        f"| {row['relative']:.2g} | {row['used']:.0%} |"
        for row in logs
    ]
    return "\n".join(lines)


def main() -> None:
    """Sweep, search and write."""
    on = target()
    with Progress(console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("every t <= 0", total=row_sweep.EVERY)
        keep(row_sweep.sweep(on, progress=lambda done: progress.advance(task, done)))
        table = rows(on, progress)
    data = {
        "date": datetime.now(timezone.utc).date().isoformat(),
        "versions": {n: metadata.version(n) for n in ("quake-tvm", "apache-tvm", "numpy")},
        "target": str(on.attrs.get("mcpu", on.kind.name)),
        "rows": table,
    }
    DATA.parent.mkdir(parents=True, exist_ok=True)
    with whole_file(DATA) as file:
        file.write_text(json.dumps(data, indent=1) + "\n")
    write_section(PAGE, "rows", markdown(data))


if __name__ == "__main__":
    main()
