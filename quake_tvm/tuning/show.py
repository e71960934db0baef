"""Show a tuning session: a live view, a table at the end, and its curve as a picture.

Knows the state, not how it comes about.
"""

import io
from collections.abc import Callable, Sequence
from pathlib import Path

from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from ..support.plots import require_matplotlib
from ..support.whole_file import whole_file
from .state import State, Work

WIDTH = 140
# The most tasks with a bar in the picture.
BARS = 12
_SCALES = (("s", 1.0), ("ms", 1e-3), ("us", 1e-6), ("ns", 1e-9))


def cost(value: float, unit: str) -> str:
    """A cost as text."""
    if unit != "s":
        return f"{value:,.0f}"
    name, scale = next(((n, s) for n, s in _SCALES if value >= s), _SCALES[-1])
    return f"{value / scale:.3g} {name}"


# Columns of the tables: whether right-aligned, and the text. Some are empty for a task without
# trials.
_COLUMNS: dict[str, tuple[bool, Callable[[State, Work], str]]] = {
    "share": (True, lambda state, work: f"{work.spent / state.untuned:.1%}"),
    "task": (False, lambda state, work: work.name),
    "calls": (True, lambda state, work: str(work.calls)),
    "untuned": (True, lambda state, work: cost(work.rule, state.unit)),
    "tuned": (True, lambda state, work: cost(work.best, state.unit) if work.trials else ""),
    "ratio": (True, lambda state, work: f"{work.ratio:.3f}" if work.trials else ""),
    "trials": (True, lambda state, work: str(work.trials) if work.trials else ""),
    "choice": (False, lambda state, work: choice(work)),
    "state": (False, lambda state, work: "now" if work is state.current else work.finished),
}
# The columns that fit into a terminal.
_NARROW = "share", "task", "untuned", "tuned", "ratio", "trials", "state"


def table(state: State, columns: Sequence[str] = tuple(_COLUMNS), most: int | None = None) -> Table:
    """The tasks as a table, the largest share first, at most ``most`` of them."""
    found = Table()
    for name in columns:
        right, _ = _COLUMNS[name]
        found.add_column(name, justify="right" if right else "left", overflow="fold")
    works = state.works[:most]
    for work in works:
        cells = (_COLUMNS[name][1](state, work) for name in columns)
        found.add_row(*map(Text, cells), style="bold" if work is state.current else None)
    rest = state.works[len(works) :]
    if rest:
        spent = sum(work.spent for work in rest)
        found.add_row(f"{spent / state.untuned:.1%}", f"{len(rest)} more")
    return found


def choice(work: Work) -> str:
    """The best tunable parameters of a task, as text."""
    if not work.trials:
        return ""
    if work.choice is None:
        return "the rule's own"
    if work.choice.trace is not None:
        return "MetaSchedule's own"
    return " ".join(f"{name}={number}" for name, number in work.choice.numbers.items())


def summary(state: State) -> str:
    """The session's result in one line."""
    if not state.works:
        return f"{state.stopped} before every kernel was measured once"
    failed = f", {state.failed} failed" if state.failed else ""
    return (
        f"{state.stopped}: kernels together {cost(state.untuned, state.unit)} to "
        f"{cost(state.untuned * state.ratio, state.unit)} ({state.ratio:.3f}) in "
        f"{state.trials} trials{failed}, {state.seconds:.0f} s; {_records(state)}"
    )


def _records(state: State) -> str:
    return f"{state.records} record{'' if state.records == 1 else 's'}"


def text(state: State) -> str:
    """The table and the summary."""
    console = Console(width=WIDTH, record=True, file=io.StringIO())
    if state.works:
        console.print(table(state))
    console.print(summary(state), markup=False, soft_wrap=True)
    return console.export_text().rstrip()


def live(state: State, seconds: float, left: Sequence[str], most: int) -> RenderableType:
    """The live view.

    Parameters
    ----------
    state : State
    seconds : float
        Since the session began.
    left : sequence of str
        The remaining budget: ``"12 trials"``.
    most : int
        The most tasks to show.
    """
    lines: list[RenderableType] = [Text(state.doing, "bold")]
    work = state.current
    if work is not None:
        costs = " to ".join(cost(each, state.unit) for each in (work.rule, work.best))
        lines.append(Text(f"{work.name}: {costs} ({work.ratio:.3f}); {work.left} candidates left"))
        lines.append(Text(f"best so far: {choice(work) or 'nothing tried yet'}"))
    if state.works:
        still = sum(not each.finished for each in state.works)
        told = ", ".join([*left, f"{still} of {len(state.works)} tasks"])
        failed = f" ({state.failed} failed)" if state.failed else ""
        lines += [
            Text(f"{state.trials} trials{failed} in {seconds:.0f} s; left: {told}"),
            Text(f"kernels together: {state.ratio:.3f} of untuned; {_records(state)}"),
            table(state, _NARROW, most),
        ]
    return Group(*lines)


def plot(state: State, path: Path) -> None:
    """Draw the tuning curve, all kernels together against trials, and each task's ratio.

    Raises
    ------
    QuakeError
        If matplotlib is missing, or the file cannot be written.
    """
    require_matplotlib(path)
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 4.5), layout="constrained")
    curve, bars = figure.subplots(1, 2, width_ratios=(3, 2))
    points = [(0, 0.0, 1.0), *state.curve, (state.trials, state.seconds, state.ratio)]
    curve.step([n for n, _, _ in points], [r for _, _, r in points], where="post")
    curve.set(xlabel="trials", ylabel="kernels together, tuned over untuned")
    curve.grid(alpha=0.3)
    tried = [work for work in state.works if work.trials][:BARS]
    names = [f"{work.name} ({work.spent / state.untuned:.0%})" for work in tried]
    bars.barh(names[::-1], [work.ratio for work in tried][::-1])
    bars.axvline(1.0, color="black", linewidth=0.8)
    bars.set(xlabel="tuned over untuned")
    if tried:
        bars.set_xlim(left=min(0.5, *(work.ratio for work in tried)))
    figure.suptitle(f"{state.trials} trials in {state.seconds:.0f} s: {state.ratio:.3f}")
    with whole_file(path) as file:
        figure.savefig(file, format=path.suffix.removeprefix("."))
