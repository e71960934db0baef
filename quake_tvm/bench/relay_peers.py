"""This library on Relay, and TVM's own builds there, timed inside TVM's graph executor.

All contenders have Relay's own schedules. This library's builds have its other passes as well.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import tvm
from tvm import relay
from tvm.contrib import graph_executor

from ..errors import QuakeError
from ..relay_context import PassContext
from ..runtime.model_tensor import ModelTensor
from .cases import Case, random_feeds
from .runtimes import Contender, Job

if TYPE_CHECKING:
    from ..boards.client import Remote
    from ..schedules.records.book import Records

EXACT = "exact"
NOTES = """\
TVM        relay.build at opt_level 3
FastMath   the same with TVM's FastMath pass, at opt_level 3 and 4; "scheduled": on this
           library's other passes"""
_FASTMATH = ["FastMath"]


def job(
    case: Case,
    target: tvm.target.Target,
    threads: int,
    board: "Remote | None" = None,
    records: "Records" = None,
) -> Job:
    """Import a case. Raises QuakeError for a model that TVM cannot import."""
    try:
        mod, params = relay.frontend.from_onnx(case.model)
    except Exception as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[-1][:160]
        raise QuakeError(f"TVM cannot import {case.name} ({reason})") from None
    inputs = [
        ModelTensor(p.name_hint, tuple(map(int, p.type_annotation.shape)), p.type_annotation.dtype)
        for p in mod["main"].params
        if p.name_hint not in params
    ]
    feeds = random_feeds(inputs)
    return Job(case, bound(mod, params), None, feeds, target, threads, board, records)


def check(case: Case) -> None:
    """Do nothing: the importer is too slow to run twice, so :func:`job` raises instead."""


def bound(mod: tvm.IRModule, params: dict[str, tvm.nd.NDArray]) -> tvm.IRModule:
    """The module with its weights as constants."""
    return tvm.IRModule.from_expr(relay.build_module.bind_params_by_name(mod["main"], params))


def built(context: tvm.transform.PassContext, job: Job) -> Contender:
    """A contender from ``relay.build`` in this context."""
    with context:
        lib = relay.build(job.mod, job.target)
    machine = graph_executor.GraphModule(lib["default"](tvm.cpu()))
    machine.set_input(**job.feeds)

    def run() -> list[Any]:
        machine.run()
        return [machine.get_output(i).numpy() for i in range(machine.get_num_outputs())]

    return Contender(
        run,
        lambda number: machine.benchmark(tvm.cpu(), number=number, repeat=1).results[0],
        machine.run,
    )


def quake(method: str) -> Callable[[Job], Contender]:
    """This library on a rung; ``exact`` has the same passes with nothing lowered."""

    def build(job: Job) -> Contender:
        context = PassContext(opt_level=3, method=method)
        contender = built(context, job)
        sites = len(context.report.sites)
        return replace(contender, lowered=(sites, sites + len(context.report.exact)))

    return build


def multiply(job: Job) -> Contender:
    """The case's tensor times a constant."""
    mod = bound(*relay.frontend.from_onnx(job.case.multiply))
    return built(PassContext(opt_level=3, method=EXACT), replace(job, mod=mod))


def plain(**settings: Any) -> Callable[[Job], Contender]:
    """TVM's own build with these settings of the pass context."""
    return lambda job: built(tvm.transform.PassContext(**settings), job)


def fastmath_scheduled(job: Job) -> Contender:
    """TVM's FastMath together with this library's other passes."""
    return built(PassContext(opt_level=3, method=EXACT, required_pass=_FASTMATH), job)


TVM = {
    EXACT: quake(EXACT),
    "TVM": plain(opt_level=3),
    "FastMath 3": plain(opt_level=3, required_pass=_FASTMATH),
    "FastMath 4": plain(opt_level=4),
    "FastMath scheduled": fastmath_scheduled,
}
