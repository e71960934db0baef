"""``quake-tvm tune`` in the shell: options, the live view, output. Loads TVM when it is called."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.live import Live

from ..shell import (
    AsJson,
    Key,
    MaxError,
    Method,
    Only,
    Shape,
    Skip,
    SpecialValues,
    Target,
    Tracker,
    errors,
    output,
    parse_shapes,
    print_json,
    require_matplotlib,
)

if TYPE_CHECKING:
    from .state import State

# Of a process that was interrupted.
INTERRUPTED = 130


def tune(
    models: Annotated[list[Path], typer.Argument(help="ONNX files, tuned together.")],
    records: Annotated[
        Path, typer.Option("--records", "-r", help="Folder for records and trials.")
    ] = Path("records"),
    target: Target = "native",
    trials: Annotated[int | None, typer.Option(min=1, help="Candidates to measure.")] = None,
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
    static: Annotated[
        bool, typer.Option("--static", help="Count instead, for a target nobody has at hand.")
    ] = False,
    cost_model: Annotated[str, typer.Option(help="xgboost or random.")] = "xgboost",
    resume: Annotated[
        bool, typer.Option("--resume", help="Take over what is measured already.")
    ] = False,
    seed: Annotated[int, typer.Option(help="Of all that is drawn.")] = 0,
    plot: Annotated[Path | None, typer.Option(help="Draw the curve: .png, .svg, ...")] = None,
    as_json: AsJson = False,
) -> None:
    """Search for schedules faster than the rules' own, and keep them as records.

    `compile --records` uses them. Ctrl-C ends it; what is measured is kept, and --resume goes on.
    """
    from . import show
    from .tune import tune as search

    if plot is not None:
        require_matplotlib(plot)
    with Live(console=errors, transient=True, auto_refresh=False) as view:

        def progress(state: "State") -> None:
            view.update(show.live(state, _left(state, trials, minutes)), refresh=True)

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
            static=static,
            cost_model=cost_model,
            resume=resume,
            seed=seed,
            progress=progress,
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
    if state.stopped == "interrupted":
        raise typer.Exit(INTERRUPTED)


def _left(state: "State", trials: int | None, minutes: float | None) -> str:
    """What of the budget is left."""
    parts = []
    if trials is not None:
        parts.append(f"{max(0, trials - state.trials)} trials")
    if minutes is not None:
        parts.append(f"{max(0.0, 60 * minutes - state.seconds):.0f} s")
    tasks = sum(not work.finished for work in state.works)
    return f"; left: {', '.join([*parts, f'{tasks} tasks'])}"


def _json(state: "State") -> dict[str, Any]:
    from .show import choice

    works = [
        {
            "task": work.name,
            "share": work.spent / state.untuned,
            "calls": sum(kernel.calls for kernel in work.task.kernels),
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
