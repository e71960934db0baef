"""The page's section on rungs: what they cost on each task, and the time that they save."""

from collections.abc import Iterable
from pathlib import Path

from . import report
from .builds import RUNGS

SECTION, WAYS = "tasks", RUNGS
# Arguments of tasks' evaluate, by the task.
SIZES: dict[str, dict[str, int]] = {}
# Files in the folder of results.
FILE, LATENCY, PICTURE = "tasks.json", "tasks_latency.json", "tasks_latency.svg"

INTRODUCTION = """\
Heads (logistic regression, neighbours) are trained once on exact features and kept, as those of a
deployed model would be; each rung's features then go through them. *exact* is this library's build
with nothing lowered. Differences are the rung's metric less the exact one's on the same items, with
a 95 % interval by paired bootstrap (10,000 resamples of the items): points for accuracies,
thousandths for the correlation. Digits are {networks} networks of each kind, trained from different
seeds, whose answers for a picture are drawn together. File types are those of the files of one
machine, so only their differences are comparable with other machines'."""


def section(folder: Path) -> str:
    """The section's Markdown, from the files in the folder."""
    table, latency = report.read(folder / FILE), report.read(folder / LATENCY)
    results = report.results_of(table)
    parts = [
        *report.measured(table),
        INTRODUCTION.format(networks=max(result.networks for result in results)),
        *(report.verdict(results, rung) for rung in ("quake3", "quake2", "quake1")),
        *report.tables(results),
        *(times(latency) if latency else ()),
    ]
    return "\n\n".join(parts)


def times(latency: dict) -> Iterable[str]:
    """Milliseconds, and their picture."""
    taken = latency["milliseconds"]
    yield "Median milliseconds a call, {date} on {target}, threads: {threads}.".format(
        **latency["facts"]
    )
    head = ["model", *WAYS]
    lines = [head, ["---"] * len(head)]
    lines += [[name, *(f"{taken[name][way]:.2f}" for way in WAYS)] for name in taken]
    yield report.table_of(lines)
    yield f"![What the rungs cost and gain]({PICTURE})"
