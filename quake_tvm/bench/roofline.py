"""How near a model's kernels come to what the machine allows, on one thread.

A kernel's operations are counted in its code. Its bytes are those of its tensors, each counted once
a call, or those that its code loads and stores, if these are fewer. The least time of a call is the
larger of two: the operations at the machine's peak, and the bytes at the rate of the second-level
cache, if it holds them, or of memory. The model's least time is the sum.
"""

import time
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import tvm

from .. import compiler
from ..build import import_model
from ..passes.relax.pipeline import Pipeline
from ..tvm_version import tir
from .cases import Case, random_feeds
from .operations import Work, work
from .peaks import Peaks

# Runs of the model; each kernel's time is that of the fastest run.
RUNS = 15


@dataclass(frozen=True)
class Kernel:
    """All calls of a kernel in a run of the model.

    Attributes
    ----------
    name : str
    calls : int
    seconds : float
        CPU time, with about a microsecond a call for the measurement.
    operations : float
        In floating point; NaN if only a run knows them.
    size : int
        Bytes that must be moved, summed over the calls.
    least : float
        The fewest seconds that the machine's peaks allow; NaN if only a run knows the operations.
    """

    name: str
    calls: int
    seconds: float
    operations: float
    size: int
    least: float


@dataclass(frozen=True)
class Roofline:
    """A model's kernels, those that take longest first, and the machine's peaks."""

    case: Case
    peaks: Peaks
    kernels: list[Kernel]

    def to_dict(self) -> dict[str, Any]:
        """For JSON, which has no NaN: what is unknown is None."""
        kernels = (asdict(kernel) for kernel in self.kernels)
        return {
            "name": self.case.name,
            "shape": self.case.shape,
            "peaks": asdict(self.peaks),
            "kernels": [{k: None if v != v else v for k, v in each.items()} for each in kernels],
        }


def roofline(
    case: Case, method: str, target: tvm.target.Target, peaks: Peaks, records: Any = None
) -> Roofline:
    """Compile a model, run it, and compare each kernel with the peaks.

    Parameters
    ----------
    case : Case
        A model, with the shapes of its inputs.
    method : str
        As for :func:`quake_tvm.compile`.
    target : tvm.target.Target
        This machine's.
    peaks : Peaks
    records : optional
        As for :func:`quake_tvm.compile`.

    Raises
    ------
    QuakeError
        For a model that cannot be compiled.
    """
    counted = _counted(case, method, target, records)
    model = compiler.compile(case.model, target=target, method=method, records=records)
    runs: list[dict[str, float]] = []
    sizes: dict[str, list[int]] = {}
    started = 0

    def see(_: Any, name: str, before: bool, __: Any, *arguments: Any) -> int:
        nonlocal started
        if name not in model.report.kernels:
            return 0
        if before:
            started = time.process_time_ns()
            return 0
        runs[-1][str(name)] += (time.process_time_ns() - started) / 1e9
        if len(runs) == 1:
            size = min(_bytes(arguments), counted[str(name)].moved)
            sizes.setdefault(str(name), []).append(int(size))
        return 0

    watched, feeds = model.instrumented(see), random_feeds(model.inputs)
    for _ in range(RUNS):
        runs.append(defaultdict(float))
        watched.run(feeds)
    found = [
        Kernel(
            name,
            len(each),
            min(run[name] for run in runs),
            counted[name].operations * len(each),
            sum(each),
            sum(peaks.seconds(counted[name].operations, size) for size in each),
        )
        for name, each in sizes.items()
    ]
    return Roofline(case, peaks, sorted(found, key=lambda kernel: -kernel.seconds))


def _counted(
    case: Case, method: str, target: tvm.target.Target, records: Any
) -> Mapping[str, Work]:
    """The work of each kernel by name, as it is scheduled."""
    mod = import_model(case.model)
    with target:
        scheduled = Pipeline.of(target, records, method=method).upto("schedule")(mod)
    functions = {variable.name_hint: scheduled[variable] for variable in scheduled.functions}
    return {name: work(f) for name, f in functions.items() if isinstance(f, tir.PrimFunc)}


def _bytes(arguments: Any) -> int:
    tensors = [a for a in arguments if isinstance(a, tvm.runtime.Tensor)]
    return sum(int(np.prod(a.shape)) * tvm.DataType(a.dtype).itemsize for a in tensors)
