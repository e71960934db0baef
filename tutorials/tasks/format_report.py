"""The page's section on number formats: what they cost on each task."""

from collections.abc import Sequence
from pathlib import Path

from . import report
from .builds import FORMATS
from .evaluation import Result

SECTION, FILE, WAYS = "formats", "tasks_formats.json", FORMATS
# Arguments of tasks' evaluate, by the task. All networks and stamps would take three times as long.
SIZES = {"digits": {"seeds": 1}, "stamps": {"every": 4}}

INTRODUCTION = """\
The same tasks, heads and intervals as above, measured in a run of its own, with one network of
digits of each kind, and every fourth stamp. One digit is 0.19 points, one stamp 0.52. *exact* is
this library's float32 with nothing lowered. *bfloat16*, *float16* and *int8* are `precision=` on
the default rung. *ONNX Runtime int8* is its `quantize_dynamic` of the matrix products with constant
weights: int8 weights of all eight bits with a scale for each column. It takes one scale for the
activations of a whole batch, which is 8 texts, 4 stamps, 8 files, or all digits. The convolutional
networks of digits have static scales: `quake_tvm.quantize` makes one file from pictures of the
training set, which *int8* and *ONNX Runtime int8* both run."""


def section(folder: Path) -> str:
    """The section's Markdown, from the file in the folder."""
    table = report.read(folder / FILE)
    results = report.results_of(table)
    ways = list(results[0].losses)
    parts = [
        verdict(results, ways),
        *report.measured(table),
        INTRODUCTION,
        *(report.verdict(results, way) for way in ways),
        *report.tables(results),
    ]
    return "\n\n".join(parts)


def verdict(results: Sequence[Result], ways: Sequence[str]) -> str:
    """On how many metrics each format loses more than the accepted loss, or may lose more."""

    def told(way: str) -> str:
        losses = [result.losses[way] for result in results]
        lost = sum(loss.difference < -report.ALLOWED for loss in losses)
        may = sum(loss.low < -report.ALLOWED for loss in losses)
        return f"{way} on {lost or 'none'} ({may or 'none'})"

    return (
        "**Which format loses more than 0.1 points of accuracy or 0.001 of correlation?** Of "
        f"{len(results)} metrics: {', '.join(map(told, ways))}. In brackets: on how many the "
        "interval reaches such a loss."
    )
