"""Results of tasks as JSON, and the tables about them. Knows no task and no way to build."""

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict
from datetime import datetime, timezone
from importlib import metadata
from pathlib import Path

import quake_tvm
from quake_tvm.support.whole_file import whole_file

from .evaluation import Loss, Result

# The accepted loss: 0.1 points of accuracy, 0.001 of correlation.
ALLOWED = 0.001
UNITS: dict[str, Callable[[float], str]] = {
    "accuracy": lambda x: f"{100 * x:+.2f} points",
    "correlation": lambda x: f"{x:+.5f} of correlation",
}
PACKAGES = ("quake-tvm", "apache-tvm", "onnxruntime", "torch", "scikit-learn", "numpy")

FLIPS = """\
Answers that went from right to wrong / from wrong to right, McNemar's exact p in brackets (of many
networks as if they were independent), and the points of accuracy that items which lose can make up
at most, with 95 % confidence: where no answer flips, the bootstrap's interval is empty, and this
limit says how little so many items can show."""

COSINES = "Largest and mean 1 - cosine between an item's features and its exact ones."


def facts() -> dict[str, str]:
    """The facts that results depend on: date, target, and versions of installed packages."""
    target = quake_tvm.target("native")
    return {
        "date": datetime.now(timezone.utc).date().isoformat(),
        "target": str(target.attrs["mcpu"]),
        **{name: d.version for name in PACKAGES for d in metadata.distributions(name=name)},
    }


def read(path: Path) -> dict:
    """The table that :func:`keep` wrote, or an empty one."""
    return json.loads(path.read_text()) if path.is_file() else {}


def keep(path: Path, name: str, results: Sequence[Result]) -> None:
    """Store a task's results, and keep those of other tasks."""
    entry = {"facts": facts(), "results": [asdict(result) for result in results]}
    store(path, {**read(path), name: entry})


def store(path: Path, table: dict) -> None:
    """Write JSON, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with whole_file(path) as file:
        file.write_text(json.dumps(dict(sorted(table.items())), indent=1) + "\n")


def results_of(table: dict) -> list[Result]:
    """The results in the table, task by task."""
    return [
        Result(**{**row, "losses": {way: Loss(**loss) for way, loss in row["losses"].items()}})
        for entry in table.values()
        for row in entry["results"]
    ]


def measured(table: dict) -> Iterable[str]:
    """When and with which versions each task was measured."""
    named: dict[str, list[str]] = {}
    for name, entry in table.items():
        versions = dict(entry["facts"])
        date, target = versions.pop("date"), versions.pop("target")
        text = ", ".join(f"{package} {version}" for package, version in versions.items())
        named.setdefault(f"{date} on {target} with {text}", []).append(name)
    for text, names in named.items():
        yield f"Measured {text}: {', '.join(names)}."


def verdict(results: Sequence[Result], way: str) -> str:
    """A sentence on the loss of a way to build compared with the accepted one."""

    def named(chosen: Callable[[Loss], bool]) -> str:
        names = [f"{r.task}, {r.model}, {r.head}" for r in results if chosen(r.losses[way])]
        return f"{len(names)} ({'; '.join(names)})" if names else "none"

    def lowest(metric: str) -> str:
        worst = min(
            (r for r in results if r.metric == metric), key=lambda r: r.losses[way].difference
        )
        return f"{UNITS[metric](worst.losses[way].difference)} ({worst.task}, {worst.model})"

    losses = [result.losses[way] for result in results]
    kept = sum(loss.difference >= -ALLOWED for loss in losses)
    sure = sum(loss.low >= -ALLOWED for loss in losses)
    worst = " and ".join(lowest(metric) for metric in sorted({r.metric for r in results}))
    return (
        f"**{way}** loses at most 0.1 points of accuracy or 0.001 of correlation on {kept} of "
        f"{len(losses)} metrics, on {sure} with the whole interval. "
        f"It loses more on {named(lambda loss: loss.difference < -ALLOWED)}. "
        f"The lowest differences are {worst}. "
        f"The interval is all below 0 on {named(lambda loss: loss.high < 0)}."
    )


def tables(results: Sequence[Result]) -> Iterable[str]:
    """Differences, flips and cosines, each with its explanation."""
    yield rows(results, ("n", lambda r: f"{r.items:,}"), ("exact", exact), cell=difference)
    if accuracies := [result for result in results if result.metric == "accuracy"]:
        yield FLIPS
        yield rows(accuracies, ("answers", lambda r: f"{r.items * r.networks:,}"), cell=flips)
    yield COSINES
    yield rows(list({(r.task, r.model): r for r in results}.values()), cell=cosines)


def rows(
    results: Sequence[Result],
    *columns: tuple[str, Callable[[Result], str]],
    cell: Callable[[Result, Loss], str],
) -> str:
    """A table with a line for each result and a cell for each way to build."""
    head = ["task", "model, head", *(name for name, _ in columns), *results[0].losses]
    lines = [head, ["---"] * len(head)]
    for r in results:
        told = [value(r) for _, value in columns]
        cells = [cell(r, loss) for loss in r.losses.values()]
        lines.append([r.task, f"{r.model}, {r.head}", *told, *cells])
    return table_of(lines)


def table_of(lines: Iterable[Iterable[str]]) -> str:
    """A table in Markdown. The second line has the dashes."""
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def exact(result: Result) -> str:
    """The exact metric."""
    return f"{result.exact:.2%}" if result.metric == "accuracy" else f"{result.exact:.4f}"


def difference(result: Result, loss: Loss) -> str:
    """The difference with its interval, in points or in thousandths."""
    scale, digits = (100, 2) if result.metric == "accuracy" else (1000, 3)
    value, low, high = (f"{scale * x:+.{digits}f}" for x in (loss.difference, loss.low, loss.high))
    return f"{value} [{low}, {high}]"


def flips(_: Result, loss: Loss) -> str:
    """Losses and gains, McNemar's p-value, and the upper limit."""
    return f"{loss.lost} / {loss.gained} ({loss.p:.2g}), {100 * loss.loss_at_most:.2f}"


def cosines(_: Result, loss: Loss) -> str:
    """The change of the features, as cosines."""
    return f"{max(0, 1 - loss.cosine_min):.0e} / {max(0, 1 - loss.cosine_mean):.0e}"
