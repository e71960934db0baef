"""This library on Relax, and TVM's own pipelines there, timed inside TVM's runtime."""

import json
from collections.abc import Callable
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import tvm
from tvm import relax

from .. import compiler
from ..build import import_model
from ..passes.relax.constant_functions import with_weights
from ..report import Report
from ..runtime.model import Model
from ..support.quiet import without_notes
from .cases import Case, random_feeds
from .runtimes import Contender, Job

if TYPE_CHECKING:
    from ..boards.client import Remote
    from ..schedules.records.book import Records

EXACT = "exact"
NOTES = """\
FastMath   TVM's FastMathTransform on its default pipeline; "scheduled": on these schedules"""


def job(
    case: Case,
    target: tvm.target.Target,
    threads: int,
    board: "Remote | None" = None,
    records: "Records" = None,
) -> Job:
    """Import and compile a case. Raises QuakeError for a model that TVM cannot import.

    Parameters
    ----------
    case : Case
    target : tvm.target.Target
    threads : int
        For all contenders but TVM.
    board : Remote, optional
        Where to measure; by default on this machine.
    records : path, list of paths, False or None
        As for :func:`quake_tvm.compile`.
    """
    mod = import_model(case.model)
    exact = compiler.compile(mod, target, EXACT, records=records)
    return Job(case, mod, exact, random_feeds(exact.inputs), target, threads, board, records)


def check(case: Case) -> None:
    """Raise QuakeError for a model that TVM cannot import."""
    import_model(case.model)


def compiled(model: Model, job: Job) -> Contender:
    """A contender that is timed without Python between the calls."""
    there = model if job.board is None else job.board.load(model)

    def run() -> list[np.ndarray]:
        return there.run(job.feeds)

    return Contender(
        run,
        lambda number: there.benchmark(job.feeds, number=number, repeat=1)[0],
        run,
        export=model.export,
    )


def _compile(model: Any, job: Job, method: str) -> Model:
    return compiler.compile(model, job.target, method, records=job.records)


def quake(method: str) -> Callable[[Job], Contender]:
    """This library on a rung; ``exact`` has the same schedules with nothing lowered."""

    def build(job: Job) -> Contender:
        exact = method == EXACT
        model = job.exact if exact else _compile(job.mod, job, method)
        sites = len(model.report.sites)
        return replace(compiled(model, job), lowered=(sites, sites + len(model.report.exact)))

    return build


def multiply(job: Job) -> Contender:
    """The case's tensor times a constant, with this library's schedules."""
    return compiled(_compile(job.case.multiply, job, EXACT), job)


def _default(mod: tvm.IRModule, job: Job) -> Contender:
    """A module compiled with TVM's default pipeline."""
    own = json.loads(job.exact.description)
    description = {**own, "owned": [False] * len(own["owned"]), "report": asdict(Report())}
    with without_notes():
        executable = tvm.compile(with_weights(mod), job.target)
    return compiled(Model(executable, json.dumps(description)), job)


def tvm_default(job: Job) -> Contender:
    """TVM's default pipeline: exact, without schedules."""
    return _default(job.mod, job)


def fastmath(job: Job) -> Contender:
    """TVM's FastMathTransform with its default pipeline."""
    return _default(relax.transform.FastMathTransform()(job.mod), job)


def fastmath_scheduled(job: Job) -> Contender:
    """TVM's FastMathTransform with this library's schedules."""
    mod = relax.transform.FastMathTransform()(job.mod)
    return compiled(_compile(mod, job, EXACT), job)


TVM = {
    EXACT: quake(EXACT),
    "TVM default": tvm_default,
    "FastMath": fastmath,
    "FastMath scheduled": fastmath_scheduled,
}
