"""``quake_tvm.tune``: tune one or more models for a target, and write the results as records.

It combines the other modules: tasks, runner, cost model, session, records.
"""

import math
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import onnx
import tvm

from ..boards.client import parse
from ..build import import_model
from ..errors import QuakeError
from ..importers.dimensions import Shapes, checked_shapes
from ..importers.onnx import file as onnx_file
from ..machines.targets import target as resolve
from ..numerics.operators import OPERATORS
from ..options import Options
from ..schedules.records.files import append
from ..schedules.records.record import Machine, Record
from ..support import given
from ..support.interrupts import interrupts_come_through
from . import rungs
from .board_runner import BoardRunner
from .clock_runner import ClockRunner
from .cost_model import CostModel
from .journal import Journal
from .kernels import Task, tasks
from .runner import Runner
from .session import Budget, Session
from .state import INTERRUPTED, State, Work
from .static_runner import StaticRunner

# The value of ``ops`` for all kernels that consist of nonlinearities only.
NONLINEARITIES = "nonlinearities"
_THESE = {*OPERATORS, "attention"}


def tune(
    model: Any,
    target: str | dict | tvm.target.Target = "native",
    *,
    trials: int | None = None,
    minutes: float | None = None,
    records: str | Path = "records",
    method: str | None = None,
    max_error: float | None = None,
    only: Sequence[str] | None = None,
    skip: Sequence[str] | None = None,
    special_values: str = "ieee",
    shapes: Shapes | None = None,
    ops: Iterable[str] | None = None,
    tracker: tuple[str, int] | str | None = None,
    key: str | None = None,
    timeout: float = 60.0,
    static: bool = False,
    cost_model: str = "xgboost",
    resume: bool = False,
    seed: int = 0,
    progress: Callable[[State], None] = lambda _: None,
) -> State:
    """Search for schedules that are faster than the rules' defaults, and write them as records.

    Parameters
    ----------
    model : what :func:`quake_tvm.compile` takes, or a list of such
        Kernels that several models share are tuned once.
    target : str, dict or tvm.target.Target
    trials : int, optional
        The number of candidates to measure, over all kernels.
    minutes : float, optional
        The time to use. Without either, tuning ends when nothing improves.
    records : path
        The folder for records and trials; :func:`quake_tvm.compile` takes it as ``records``.
    method, max_error, only, skip, special_values, shapes
        As for :func:`quake_tvm.compile`. With ``max_error`` the records list the cost of each rung
        within it, and ``compile`` takes the most accurate rung that costs at most 2 % more than the
        cheapest.
    ops : iterable of str, optional
        Tune only kernels of these operators (``"softmax"``, ``"matmul"``, ...), or
        ``"nonlinearities"`` for all kernels that consist of nonlinearities only.
    tracker, key : (host, port) or "host:port", and str, optional
        Measure on the boards that a TVM RPC tracker lists under this key.
    timeout : float
        Seconds that a board has for each step of a trial: connecting, loading, timing.
    static : bool
        Count cycles or instructions instead of measuring, for a target that is not available. Such
        records are marked.
    cost_model : {"xgboost", "random"}
    resume : bool
        Use the trials that earlier sessions measured.
    seed : int
    progress : callable
        Called with the state after every change.

    Returns
    -------
    State
        The tasks, their results, and why the session ended. An interrupt (Ctrl-C) ends it
        early, with its results kept.

    Raises
    ------
    QuakeError
        For everything that the user can correct: options, a missing package or tool, a folder that
        cannot be written, no board left. Everything measured until then is kept.
    """
    options = Options.parse(method, max_error, only, skip, special_values)
    on = resolve(target)
    given.seconds(timeout, "timeout")
    if trials is not None:
        given.count(trials, "trials")
    if minutes is not None and not 0 < given.number(minutes, "minutes") < math.inf:
        raise QuakeError(f"minutes must be positive and finite, not {minutes!r}")
    given.count(seed, "seed", least=0)
    learner = CostModel(cost_model, seed)
    machine = Machine.of(on)
    journal = Journal(given.path(records, "records") / machine.folder)
    models = model if isinstance(model, list | tuple) else [model]
    with interrupts_come_through(), _runner(on, tracker, key, timeout, static) as runner:
        mods = _import(models, checked_shapes(shapes))
        found = tasks(mods, on, options)
        if not found:
            raise QuakeError(
                "no kernel has constant shapes, so there is nothing to tune: give shapes "
                "for the inputs with dynamic dimensions"
            )
        wanted = _filter(ops, found)
        journal.check()

        def save(work: Work, cost: float, rule: float, costs: rungs.Costs | None = None) -> None:
            key = work.task.key
            if key is None:  # no tunable parameters, so no record
                return
            trace = work.choice.trace if work.choice is not None else None
            numbers = work.choice.numbers if work.choice is not None else {}
            record = Record(
                machine,
                key,
                cost,
                rule,
                runner.measured,
                work.trials,
                numbers=numbers if trace is None else None,
                trace=trace,
                rungs=costs or {},
            )
            append(Path(records), record)
            session.state.records += 1

        session = Session(
            on,
            runner,
            learner,
            journal,
            save,
            Budget(trials, None if minutes is None else 60 * minutes),
            known=journal.trials() if resume else (),
            context=_context(runner, on),
            seed=seed,
            progress=progress,
        )
        state = session.run(found, wanted)
        if max_error is not None and state.stopped != INTERRUPTED:
            works = [work for work in state.works if work.task.key and wanted(work.task)]
            try:
                with interrupts_come_through():
                    session.show("timing the rungs")
                    for work, costs in rungs.of_works(works, mods, on, options, runner):
                        save(work, work.best, work.rule, costs)
                        session.show(f"timing the rungs of {work.name}")
            except KeyboardInterrupt:
                state.stopped = INTERRUPTED
    return state


def _import(models: Sequence[Any], shapes: Shapes) -> list[tvm.IRModule]:
    """The models as Relax modules, each with the shapes that it has inputs for."""
    if len(models) == 1:
        return [import_model(models[0], shapes)]
    read = [onnx_file.read(m) if isinstance(m, str | Path) else m for m in models]
    read = [m if isinstance(m, onnx.ModelProto) else import_model(m) for m in read]
    names = [{i.name for i in _inputs(m)} for m in read]
    unknown = set(shapes) - set().union(*names)
    if unknown:
        raise QuakeError(f"no model has an input named {', '.join(sorted(unknown))}")
    own = [{k: v for k, v in shapes.items() if k in known} for known in names]
    return [import_model(m, given) for m, given in zip(read, own, strict=True)]


def _inputs(model: onnx.ModelProto | tvm.IRModule) -> Sequence[Any]:
    return model.graph.input if isinstance(model, onnx.ModelProto) else model["main"].params


@contextmanager
def _runner(
    target: tvm.target.Target, tracker: Any, key: str | None, timeout: float, static: bool
) -> Iterator[Runner]:
    if static and (tracker or key):
        raise QuakeError("static tuning measures nothing: leave out tracker and key")
    if (tracker is None) != (key is None):
        raise QuakeError("boards are found by tracker and key: give both")
    if static:
        runner: Runner = StaticRunner(target)
    elif tracker is not None and key is not None:
        address = tracker if isinstance(tracker, str) else ":".join(map(str, tracker))
        runner = BoardRunner(target, parse(address), key, timeout)
    else:
        runner = ClockRunner(target)
    try:
        yield runner
    finally:
        runner.close()


def _filter(ops: Iterable[str] | None, found: Sequence[Task]) -> Callable[[Task], bool]:
    """A function that tells whether ``ops`` includes a task."""
    if ops is None:
        return lambda _: True
    names = {ops} if isinstance(ops, str) else set(ops)
    there = {part for task in found if task.key for part in _parts(task)}
    unknown = names - there - {NONLINEARITIES}
    if unknown:
        raise QuakeError(
            f"no kernel here is {' or '.join(sorted(unknown))}; there are: "
            f"{', '.join(sorted(there))}, and {NONLINEARITIES} for short"
        )

    def wanted(task: Task) -> bool:
        parts = _parts(task)
        return bool(parts & names) or (NONLINEARITIES in names and parts <= _THESE)

    return wanted


def _parts(task: Task) -> set[str]:
    return set(task.key.operator.split("+")) if task.key else set()


def _context(runner: Runner, target: tvm.target.Target) -> str:
    """Everything that a trial's figure depends on, except the code."""
    parts = [runner.measured, str(target), f"TVM {tvm.__version__}"]
    if runner.measured == "clock":
        parts.append(f"{os.environ.get('TVM_NUM_THREADS', 'all')} threads")
    return "; ".join(parts)
