"""``PassContext``: applies the pass inside ``relay.build`` and similar functions, for Relay's TVM.

``relay.build`` has no hook for a user's graph pass. But every compiler of Relay (graph and AOT
executor, virtual machine, interpreter) runs the same passes, and calls the context's instruments
around each of them. Ours runs before ``SimplifyInference``, the first pass that every optimization
level has. At that point parameters are bound, and nothing is simplified, laid out or fused yet.
Exponentials inside kernels, which no graph pass sees, are lowered by a pass over the kernels,
through TVM's own ``tir.add_lower_pass``.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import tvm
from tvm.ir.instrument import PassInstrument

from .passes.quake import QuAKE
from .passes.relay import decided, limit_fusion
from .passes.relay.densify_products import DensifyProducts
from .passes.relay.lower_kernels import LowerKernels
from .passes.relay.report import kernels_of, report
from .passes.relay.turn_convolutions import TurnConvolutions
from .report import ExactSite, LoweredSite, Report
from .site_plan import Plan

# Our pass runs before the first of these passes. If the user disables that pass, it runs before the
# second, the next pass of every level. Fusion is limited after the third. The fourth compiles the
# kernels.
_BEFORE, _OTHERWISE, _FUSED, _KERNELS = "SimplifyInference", "SimplifyExpr", "FuseOps", "LowerTE"


class _Insert(PassInstrument):
    """The instrument that runs the pass at the start of a build, and keeps data for the report."""

    def __init__(self, before: str, quake: QuAKE, kernels: LowerKernels) -> None:
        super().__init__()
        self.before, self.quake, self.kernels = before, quake, kernels
        self.shape = [DensifyProducts(), TurnConvolutions()]
        self.report = Report()
        self.shown: list[tuple[tvm.IRModule, dict[tvm.ir.GlobalVar, tvm.ir.BaseFunc]]] = []

    def run_before_pass(self, mod: tvm.IRModule, info: tvm.transform.PassInfo) -> None:
        if info.name == _KERNELS:
            decided.forget()  # tuners' layouts have scheduled kernels before
        if info.name != self.before:
            return
        # An instrument cannot return another module, only change this one, which may be the user's.
        # So the passes work on a copy, and afterwards the module's functions are restored.
        self.shown.append((mod, dict(mod.functions.items())))
        # As sequences, because these ask the context whether a pass is disabled.
        lowered = tvm.transform.Sequential([self.quake])(mod)
        self.report = report(lowered, self.quake.options)
        self.kernels.begin()
        _set_functions(mod, tvm.transform.Sequential(self.shape)(lowered).functions)

    def run_after_pass(self, mod: tvm.IRModule, info: tvm.transform.PassInfo) -> None:
        if info.name == self.before:
            _set_functions(*self.shown.pop())
        if info.name == _FUSED:
            _set_functions(mod, limit_fusion.limit(mod).functions)
        # The virtual machine fuses a second time after its kernels are lowered.
        if info.name == _FUSED and (found := kernels_of(mod)):
            self.report = self.report.with_kernels(found)

    def exit_pass_ctx(self) -> None:
        while self.shown:  # after passes that failed
            _set_functions(*self.shown.pop())


def _set_functions(
    mod: tvm.IRModule, functions: Mapping[tvm.ir.GlobalVar, tvm.ir.BaseFunc]
) -> None:
    for name, function in functions.items():
        mod.update_func(name, function)


class PassContext(tvm.transform.PassContext):
    """TVM's pass context, with :class:`quake_tvm.QuAKE` in every Relay build inside it.

    Parameters
    ----------
    opt_level, required_pass, disabled_pass, instruments, config
        As for ``tvm.transform.PassContext``. ``disabled_pass=["QuAKE"]`` switches the pass off.
    method, max_error, only, skip, special_values, plan
        As for :class:`quake_tvm.QuAKE`.

    Raises
    ------
    QuakeError
        For unknown options and options that contradict each other.

    Notes
    -----
    As always in TVM, only the innermost context is active. Tuners open their own contexts: give
    them a
    module that ``QuAKE`` has lowered. If you run ``SimplifyInference`` by hand inside the context,
    it
    lowers too.

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
        """The report of the last build: how every nonlinearity was lowered."""
        found, kernels, options = self._insert.report, self._kernels, self._kernels.options
        sites = [LoweredSite.of(site, site["kernel"]) for site in kernels.lowered]
        exact = [ExactSite.of(name, "?", dtype, options) for name, dtype in kernels.exact]
        return replace(found, sites=found.sites + sites, exact=found.exact + exact)
