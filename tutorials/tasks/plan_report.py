"""Plans as JSON and as the page ``docs/accuracy/plans.md``. Knows no model."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict

from . import report
from .planned import Kept
from .texts import BATCH

EXPLANATION = f"""\
*relative* is the largest difference of an output's element over the output's largest; *answers* the
share of a task's answers that change. Plans are made on some inputs and measured on others. Beside
them stands how far ONNX Runtime's outputs are from the exact ones by the same metric: it sums in
another order, and on a file that is nearly all padding Magika's norms make much of that. No plan
can promise less than rounding does. Milliseconds are those of a batch of {BATCH}, the plan and
every single rung in turns."""


def section(table: Mapping[str, dict]) -> str:
    """The section's Markdown, from the :func:`entry` of each case."""
    kept = [Kept(**row) for case in table.values() for row in case["plans"]]
    head = (
        "model", "budget", "predicted", "calibrated on", "unseen", "ONNX Runtime", "plan",
        "ms predicted", "ms", "fastest single rung in the budget",
    )  # fmt: skip
    lines = [head, ["---"] * len(head), *map(_cells, kept)]
    return "\n\n".join(
        [
            *report.measured(table),
            EXPLANATION,
            "\n".join(f"| {' | '.join(line)} |" for line in lines),
            "\n".join(f"- {k.model}, {k.metric} {k.budget:g}: {k.verdict}." for k in kept),
        ]
    )


def _cells(kept: Kept) -> list[str]:
    scale, unit = (100, " %") if kept.metric == "answers" else (1, "")
    rungs = ", ".join(f"{count} {name}" for name, count in sorted(kept.rungs.items()))
    return [
        kept.model,
        f"{kept.metric} {scale * kept.budget:.3g}{unit}",
        f"{scale * kept.predicted:.2g}{unit}",
        f"{scale * kept.calibrated:.2g}{unit} ({kept.inputs:,})",
        f"{scale * kept.unseen:.2g}{unit} ({kept.others:,})",
        f"{scale * kept.runtime:.2g}{unit}",
        rungs,
        f"{kept.predicted_milliseconds:.2f}",
        f"{kept.milliseconds:.2f}",
        f"{kept.rival}: {kept.rival_milliseconds:.2f}" if kept.rival else "none",
    ]


def entry(kept: Sequence[Kept]) -> dict:
    """A case as JSON."""
    return {
        "facts": {**report.facts(), "threads": str(kept[0].threads)},
        "plans": [asdict(k) for k in kept],
    }
