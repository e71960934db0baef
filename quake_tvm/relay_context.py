"""``PassContext``: the pass inside ``relay.build`` and its kin, for Relay's TVM.

``relay.build`` has no place for a pass of one's own over the graph, but every compiler of Relay
(graph and AOT executor, virtual machine, interpreter) runs the same passes and shows each of them
to the context's instruments. Ours stands before ``SimplifyInference``, the first that every
optimization level has: parameters are bound by then, and nothing is simplified, laid out or fused
yet. What no graph pass sees is lowered by a pass over the kernels, through TVM's own
``tir.add_lower_pass``.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import tvm
from tvm.ir.instrument import PassInstrument

from .passes.quake import QuAKE
from .passes.relay import limit_fusion
from .passes.relay.densify_products import DensifyProducts
from .passes.relay.lower_kernels import LowerKernels
from .passes.relay.report import kernels_of, report
from .passes.relay.turn_convolutions import TurnConvolutions
from .report import ExactSite, LoweredSite, Report
from .site_plan import Plan

# The pass that ours goes before, or the next one of every level where the user disables that.
_BEFORE, _OTHERWISE, _FUSED = "SimplifyInference", "SimplifyExpr", "FuseOps"


class _Insert(PassInstrument):
    """Runs the pass where a build begins, and keeps what the report is made from."""

    def __init__(self, before: str, quake: QuAKE, kernels: LowerKernels) -> None:
        super().__init__()
        self.before, self.quake, self.kernels = before, quake, kernels
        self.shape = [DensifyProducts(), TurnConvolutions()]
        self.report = Report()
        self.shown: list[tuple[tvm.IRModule, dict[tvm.ir.GlobalVar, tvm.ir.BaseFunc]]] = []

    def run_before_pass(self, mod: tvm.IRModule, info: tvm.transform.PassInfo) -> None:
        if info.name != self.before:
            return
        # An instrument cannot hand over another module, only change this one, which may be the
        # user's own: the passes copy it, then it is put back.
        self.shown.append((mod, dict(mod.functions.items())))
        # In sequences, which ask the context whether it wants them.
        lowered = tvm.transform.Sequential([self.quake])(mod)
        self.report = report(lowered, self.quake.options)
        self.kernels.begin()
        _set_functions(mod, tvm.transform.Sequential(self.shape)(lowered).functions)

    def run_after_pass(self, mod: tvm.IRModule, info: tvm.transform.PassInfo) -> None:
        if info.name == self.before:
            _set_functions(*self.shown.pop())
        if info.name == _FUSED:
            _set_functions(mod, limit_fusion.limit(mod).functions)
        # The virtual machine fuses again what is left after its kernels are lowered.
        if info.name == _FUSED and (found := kernels_of(mod)):
            self.report = self.report.with_kernels(found)

    def exit_pass_ctx(self) -> None:
        while self.shown:  # passes that failed
            _set_functions(*self.shown.pop())


def _set_functions(
    mod: tvm.IRModule, functions: Mapping[tvm.ir.GlobalVar, tvm.ir.BaseFunc]
) -> None:
    for name, function in functions.items():
        mod.update_func(name, function)


class PassContext(tvm.transform.PassContext):
    """TVM's pass context with :class:`quake_tvm.QuAKE` in every Relay build inside it.

    Parameters
    ----------
    opt_level, required_pass, disabled_pass, instruments, config
        Those of ``tvm.transform.PassContext``. ``disabled_pass=["QuAKE"]`` switches the pass off.
    method, max_error, only, skip, special_values, plan
        Those of :class:`quake_tvm.QuAKE`.

    Raises
    ------
    QuakeError
        For options that do not exist or contradict each other.

    Notes
    -----
    As always in TVM the innermost context counts, whole. Tuners open contexts of their own: give
    them a module that ``QuAKE`` has lowered. A ``SimplifyInference`` that you run by hand inside
    the context lowers, too.

    Examples
    --------
    >>> with quake_tvm.PassContext(opt_level=3, method="quake2") as context:
    ...     lib = relay.build(mod, target, params=params)
    >>> print(context.report)
    """

    def __init__(
        self,
        opt_level: int = 2,
        required_pass: Iterable[str] | None = None,
        disabled_pass: Iterable[str] | None = None,
        instruments: Sequence[PassInstrument] | None = None,
        config: Mapping[str, Any] | None = None,
        *,
        method: str | None = None,
        max_error: float | None = None,
        only: Iterable[str] | None = None,
        skip: Iterable[str] | None = None,
        special_values: str = "ieee",
        plan: Plan | str | Path | None = None,
    ) -> None:
        quake = QuAKE(method, max_error, only, skip, special_values, plan)
        disabled_pass = list(disabled_pass or [])
        if "QuAKE" in disabled_pass:
            quake = QuAKE("exact")
        self._kernels = LowerKernels(quake.options)
        before = _OTHERWISE if _BEFORE in disabled_pass else _BEFORE
        self._insert = _Insert(before, quake, self._kernels)
        config = dict(config or {})
        added = [*config.get("tir.add_lower_pass", []), *self._kernels.phases()]
        super().__init__(
            opt_level,
            required_pass,
            disabled_pass,
            [*(instruments or []), self._insert],
            config | {"tir.add_lower_pass": added},
        )

    @property
    def report(self) -> Report:
        """What became of every nonlinearity of the last build."""
        found, kernels, options = self._insert.report, self._kernels, self._kernels.options
        sites = [LoweredSite.of(site, site["kernel"]) for site in kernels.lowered]
        exact = [ExactSite.of(name, "?", dtype, options) for name, dtype in kernels.exact]
        return replace(found, sites=found.sites + sites, exact=found.exact + exact)
