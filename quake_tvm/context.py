"""``PassContext``: the pass inside ``relay.build`` and its kin, for Relay's TVM.

``relay.build`` has no place for a pass of one's own over the graph, but every compiler of Relay
(graph and AOT executor, virtual machine, tuners) starts with the same passes and shows each of
them to the context's instruments. Ours stands before ``SimplifyInference``: parameters are bound by
then, and nothing is simplified, laid out or fused yet. What no graph pass sees is lowered by a pass
over the kernels, through TVM's own ``tir.add_lower_pass``.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import tvm
from tvm.ir.instrument import PassInstrument

from .options import Options
from .passes.densify_products import DensifyProducts
from .passes.lower_kernels import LowerKernels
from .passes.quake import QuAKE
from .passes.turn_convolutions import TurnConvolutions
from .relay_report import kernels_of, report
from .report import LoweredSite, Report

# The first pass of every Relay build, and the one that ours goes before.
_FIRST, _BEFORE, _FUSED = "RemoveUnusedFunctions", "SimplifyInference", "FuseOps"


class _Insert(PassInstrument):
    """Runs the pass where a build begins, and keeps what the report is made from."""

    def __init__(self, **options: Any) -> None:
        super().__init__()
        self.options = Options.parse(**options)
        # In sequences, which ask the context whether it wants them.
        self.quake = tvm.transform.Sequential([QuAKE(**options)])
        self.shape = tvm.transform.Sequential([DensifyProducts(), TurnConvolutions()])
        self.begun = False
        self.report = Report()

    def run_before_pass(self, mod: tvm.IRModule, info: tvm.transform.PassInfo) -> None:
        if info.name == _FIRST:
            self.begun = True
        if info.name == _BEFORE and self.begun:
            self.begun = False
            lowered = self.quake(mod)
            self.report = report(lowered, self.options)
            # The build's own copy of the module, so it may be changed in place.
            for name, function in self.shape(lowered).functions.items():
                mod.update_func(name, function)

    def run_after_pass(self, mod: tvm.IRModule, info: tvm.transform.PassInfo) -> None:
        if info.name == _FUSED:
            self.report = self.report.with_kernels(kernels_of(mod))


class PassContext(tvm.transform.PassContext):
    """TVM's pass context with :class:`quake_tvm.QuAKE` in every Relay build inside it.

    Parameters
    ----------
    opt_level, required_pass, disabled_pass, instruments, config
        Those of ``tvm.transform.PassContext``. ``disabled_pass=["QuAKE"]`` switches the pass off.
    method, max_error, only, skip, special_values
        Those of :class:`quake_tvm.QuAKE`.

    Raises
    ------
    QuakeError
        For options that do not exist or contradict each other.

    Notes
    -----
    As always in TVM the innermost context counts, whole. Tuners open contexts of their own: give
    them a module that ``QuAKE`` has lowered.

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
    ) -> None:
        self._insert = _Insert(
            method=method,
            max_error=max_error,
            only=only,
            skip=skip,
            special_values=special_values,
        )
        self._kernels = LowerKernels(self._insert.options)
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
        found, hidden = self._insert.report, self._kernels.lowered
        return replace(
            found,
            sites=found.sites + [LoweredSite.of(site, site["kernel"]) for site in hidden],
        )
