"""Costs of kernels on another processor, from instruction counts and a pipeline model.

Each kernel of a build is counted separately (``emulation/cost.py``). The cost of a model is the sum
over its kernels, each multiplied by its number of calls. The virtual machine's work between kernels
is not included.
"""

import tempfile
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tvm
from tvm import relax
from tvm.relax.backend.cpu_generic import pipeline as cpu_generic

from ..build import import_model
from ..emulation import kernel
from ..emulation.cost import Cost, cost, tools
from ..errors import QuakeError
from ..kernels.arguments import example
from ..passes.relax.graph import kernel_calls
from ..passes.relax.pipeline import Pipeline
from ..passes.relax.view_reshapes import ViewReshapes
from ..schedules.records.book import Records
from ..schedules.records.trace import fingerprint
from .cases import Case

EXACT = "exact"
Build = Callable[[tvm.IRModule, tvm.target.Target, Records], tvm.IRModule]


@dataclass(frozen=True)
class Kernel:
    """A kernel of a build. Kernels with the same ``key`` have the same code in all builds."""

    name: str
    key: str
    calls: int
    cost: Cost


@dataclass(frozen=True)
class Result:
    """A case's kernels by build, with the first method first."""

    case: Case
    builds: dict[str, list[Kernel]]

    def total(self, build: str) -> Cost:
        """The cost of all calls of all kernels of a build."""
        kernels = self.builds[build]
        cycles = [k.calls * k.cost.cycles for k in kernels if k.cost.cycles is not None]
        return Cost(
            sum(k.calls * k.cost.instructions for k in kernels),
            sum(cycles) if len(cycles) == len(kernels) else None,
        )

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "name": self.case.name,
            "shape": self.case.shape,
            "kind": "model" if self.case.elements is None else "kernel",
            "elements": self.case.elements,
            "builds": [
                {
                    "build": name,
                    **asdict(self.total(name)),
                    "kernels": [asdict(k) for k in kernels],
                }
                for name, kernels in self.builds.items()
            ],
        }


def quake(method: str) -> Build:
    """This library on a rung; ``exact`` has the same schedules with nothing lowered."""

    def build(mod: tvm.IRModule, target: tvm.target.Target, records: Records) -> tvm.IRModule:
        return Pipeline.of(target, records, method=method).upto("schedule")(mod)

    return build


def tvm_default(mod: tvm.IRModule, target: tvm.target.Target, _: Records) -> tvm.IRModule:
    """TVM's default pipeline: exact, without schedules."""
    steps = [*cpu_generic.library_dispatch_passes(target), *cpu_generic.legalize_passes(target)]
    return tvm.transform.Sequential(steps)(mod)


def _fastmath(build: Build) -> Build:
    return lambda mod, *more: build(relax.transform.FastMathTransform()(mod), *more)


SCHEDULED = {EXACT: quake(EXACT), "FastMath scheduled": _fastmath(quake(EXACT))}
# For kernels only. In a model without schedules, the products would dominate the cost and take QEMU
# too long.
DEFAULT = {"FastMath": _fastmath(tvm_default), "TVM default": tvm_default}


class Meter:
    """Counts kernels for a target. Each kernel is counted only once."""

    def __init__(self, target: tvm.target.Target, records: Records = None) -> None:
        self.target, self.records = target, records
        self._known: dict[str, Cost] = {}

    def facts(self) -> dict[str, str | None]:
        """What the figures depend on. Raises QuakeError for a missing tool."""
        return {"target": str(self.target.attrs.get("mcpu", "generic")), **tools(self.target)}

    def result(self, case: Case, methods: Sequence[str], progress: Callable[[str], None]) -> Result:
        """Count a case in all builds.

        Parameters
        ----------
        case : Case
        methods : sequence of str
            Rungs.
        progress : callable
            Called with the current step.

        Returns
        -------
        Result

        Raises
        ------
        QuakeError
            For a missing tool, and for a model that TVM cannot import.
        """
        mod = import_model(case.model)
        own = {method: quake(method) for method in methods}
        builders = {**own, **SCHEDULED, **({} if case.elements is None else DEFAULT)}
        builds = {}
        for name, build in builders.items():
            what = f"{case.name} {case.shape}: {name}"
            progress(what)
            builds[name] = self.kernels(mod, build, what, progress)
        return Result(case, builds)

    def kernels(
        self,
        mod: tvm.IRModule,
        build: Build,
        what: str,
        progress: Callable[[str], None] = lambda what: None,
    ) -> list[Kernel]:
        """Count the kernels of a build of an imported model, in the order of their calls.

        Parameters
        ----------
        mod : IRModule
        build : callable
        what : str
            What is counted, for the progress.
        progress : callable
            Called with the current step.
        """
        with self.target:
            mod = build(mod, self.target, self.records)
            mod = ViewReshapes()(mod)  # views cost nothing
        calls: Counter[str] = Counter()
        example = {}
        for call in kernel_calls(mod["main"]):
            name = call.args[0].name_hint
            calls[name] += 1
            example[name] = call
        keys = {name: fingerprint(mod[name]) for name in calls}
        new = {name: mod[name] for name in calls if keys[name] not in self._known}
        if new:
            with tempfile.TemporaryDirectory() as folder:
                library = kernel.export(new, self.target, Path(folder) / "kernels.so")
                for name in new:
                    progress(f"{what}, {name}")
                    self._known[keys[name]] = self._cost(library, name, example[name])
        return [Kernel(name, keys[name], n, self._known[keys[name]]) for name, n in calls.items()]

    def _cost(self, library: Path, name: str, call: relax.Call) -> Cost:
        generator = np.random.default_rng(0)
        arrays = [_array(argument, generator) for argument in call.args[1].fields]
        out = call.ty
        outs = out.fields if isinstance(out, relax.TupleType) else [out]
        results = [(_shape(ty, name), str(ty.dtype)) for ty in outs]
        return cost(library, name, arrays, results, self.target)


def _shape(ty: relax.TensorType, name: str) -> tuple[int, ...]:
    try:
        return tuple(int(n) for n in ty.shape)
    except TypeError:
        raise QuakeError(f"the shape of kernel {name} is known only when it runs") from None


def _array(argument: relax.Expr, generator: np.random.Generator) -> np.ndarray:
    """A constant as it is; otherwise an example array."""
    if isinstance(argument, tvm.ir.GenericConst):
        return argument.value.numpy()
    return example(_shape(argument.ty, str(argument)), str(argument.ty.dtype), generator)
