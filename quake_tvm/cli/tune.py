"""``quake-tvm tune`` in the shell: options, the live view, output. Loads TVM when it is called."""

import signal
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import RenderableType
from rich.live import Live

from ..support.plots import require_matplotlib
from .shell import (
    TIMEOUT,
    AsJson,
    Key,
    MaxError,
    Method,
    Only,
    Shape,
    Skip,
    SpecialValues,
    Target,
    Timeout,
    Tracker,
    errors,
    output,
    parse_shapes,
    print_json,
)

if TYPE_CHECKING:
    from ..tuning.state import State

# The number of lines in the live view that are not tasks.
AROUND = 11


def tune(
    models: Annotated[list[Path], typer.Argument(help="ONNX files, tuned together.")],
    records: Annotated[
        Path, typer.Option("--records", "-r", help="Folder for records and trials.")
    ] = Path("records"),
    target: Target = "native",
    trials: Annotated[int | None, typer.Option(help="Candidates to measure.")] = None,
    minutes: Annotated[
        float | None, typer.Option(help="Time to use. [until nothing improves]")
    ] = None,
    ops: Annotated[
        str | None,
        typer.Option(help="Only kernels of these, with commas: softmax,gelu or nonlinearities."),
    ] = None,
    method: Method = None,
    max_error: MaxError = None,
    only: Only = None,
    skip: Skip = None,
    special_values: SpecialValues = "ieee",
    shape: Shape = None,
    tracker: Tracker = None,
    key: Key = None,
    timeout: Timeout = TIMEOUT,
    static: Annotated[
        bool, typer.Option("--static", help="Count instructions instead, for an absent machine.")
    ] = False,
    cost_model: Annotated[str, typer.Option(help="xgboost or random.")] = "xgboost",
    resume: Annotated[
        bool, typer.Option("--resume", help="Use the trials of earlier sessions.")
    ] = False,
    seed: Annotated[int, typer.Option(help="Seed of all random choices.")] = 0,
    plot: Annotated[Path | None, typer.Option(help="Draw the curve: .png, .svg, ...")] = None,
    as_json: AsJson = False,
) -> None:
    """Search for schedules faster than the rules' defaults, and store them as records.

    `compile --records` uses them. Ctrl-C ends the search; measured trials are kept, and --resume
    goes on.
    """
    from ..tuning import show
    from ..tuning.state import INTERRUPTED
    from ..tuning.tune import tune as search

    if plot is not None:
        require_matplotlib(plot)
    view = _View(trials, minutes)
    with Live(view, console=errors, transient=True, refresh_per_second=2):
        state = search(
            models,
            target,
            trials=trials,
            minutes=minutes,
            records=records,
            method=method,
            max_error=max_error,
            only=only,
            skip=skip,
            special_values=special_values,
            shapes=parse_shapes(shape),
            ops=None if ops is None else [name.strip() for name in ops.split(",")],
            tracker=tracker,
            key=key,
            timeout=timeout,
            static=static,
            cost_model=cost_model,
            resume=resume,
            seed=seed,
            progress=view.update,
        )
    if plot is not None:
        show.plot(state, plot)
    if as_json:
        print_json(_json(state))
    else:
        output.print(str(state), markup=False, soft_wrap=True)
        output.print(f"records: {records}", markup=False, soft_wrap=True)
        if plot is not None:
            output.print(f"written: {plot}", markup=False, soft_wrap=True)
    if state.stopped == INTERRUPTED:
        errors.print("interrupted: what was found is kept")
        raise typer.Exit(128 + signal.SIGINT)


class _View:
    """The terminal's display during tuning. Its seconds advance between two updates."""

    def __init__(self, trials: int | None, minutes: float | None) -> None:
        self._trials, self._minutes = trials, minutes
        self._state: State | None = None
        self._at = 0.0

    def update(self, state: "State") -> None:
        self._state, self._at = state, time.monotonic()

    def __rich__(self) -> RenderableType:
        from ..tuning import show

        state = self._state
        if state is None:
            return "reading the models"
        seconds, left = state.seconds + time.monotonic() - self._at, []
        if self._trials is not None:
            left.append(f"{max(0, self._trials - state.trials)} trials")
        if self._minutes is not None:
            left.append(f"{max(0.0, 60 * self._minutes - seconds):.0f} s")
        return show.live(state, seconds, left, max(1, errors.height - AROUND))


def _json(state: "State") -> dict[str, Any]:
    from ..tuning.show import choice

    works = [
        {
            "task": work.name,
            "share": work.spent / state.untuned,
            "calls": work.calls,
            "untuned": work.rule,
            "tuned": work.best,
            "trials": work.trials,
            "choice": choice(work),
            "finished": work.finished,
        }
        for work in state.works
    ]
    whole = {k: v for k, v in vars(state).items() if k not in ("works", "current", "doing")}
    return {**whole, "ratio": state.ratio, "tasks": works}
