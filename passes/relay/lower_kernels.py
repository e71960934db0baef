"""Inside a Relay build: lower the exponentials that operators hide in their kernels.

Runs on every kernel through ``tir.add_lower_pass``, before loops are vectorized. Kernels of
operators that the graph passes decide about (:mod:`decided`) are not changed, since these passes
leave some operators exact on purpose. Then maxima and minima are corrected for special values, and
vectors are fitted to the target. Before all that, long values get buffers, because TVM's passes
here repeat a value at each use, as its code generator does.
"""

from collections.abc import Callable
from typing import Any

import tvm
from tvm import tir

from quake_tvm.kernels.short_lets import shortened
from quake_tvm.options import Options

from .. import lower_tir
from . import decided
from .clamp_kernels import clamp_kernels
from .fit_vectors import fit, widen
from .special_kernels import special


def _for_target(change: Callable[[tir.Stmt, tvm.target.Target], tir.Stmt]) -> tvm.transform.Pass:
    """A pass over the kernels of one build."""

    @tir.transform.prim_func_pass(opt_level=0, name=f"QuAKE.{change.__name__}")
    def changed(
        function: tir.PrimFunc, _: tvm.IRModule, __: tvm.transform.PassContext
    ) -> tir.PrimFunc:
        target = tvm.target.Target.current()
        return function.with_body(change(function.body, target)) if target else function

    return changed


class LowerKernels:
    """The passes for ``tir.add_lower_pass``, and the sites that they found.

    Attributes
    ----------
    lowered : list of dict
        Marks of the lowered sites, each with its ``kernel``.
    exact : list of (operator, dtype)
        The exponentials that stayed exact.
    """

    def __init__(self, options: Options) -> None:
        self.options = options
        self.lowered: list[dict[str, Any]] = []
        self.exact: list[tuple[str, str]] = []

    def begin(self) -> None:
        """Forget the sites of the last build."""
        self.lowered.clear()
        self.exact.clear()

    def phases(self) -> list[tuple[int, tvm.transform.Pass]]:
        """The passes with their phases, in the form that ``tir.add_lower_pass`` takes."""

        @tir.transform.prim_func_pass(opt_level=0, name="QuAKE.LowerKernels")
        def lower(
            function: tir.PrimFunc, _: tvm.IRModule, __: tvm.transform.PassContext
        ) -> tir.PrimFunc:
            return self._lower(function)

        @tir.transform.prim_func_pass(opt_level=0, name="QuAKE.shorten")
        def shorten(
            function: tir.PrimFunc, _: tvm.IRModule, __: tvm.transform.PassContext
        ) -> tir.PrimFunc:
            return shortened(function)

        passes = [(1, lower), (1, _for_target(special)), (1, _for_target(fit))]
        early = [(0, clamp_kernels), (0, shorten)]
        return [*passes, (3, _for_target(widen)), *early]

    def _lower(self, function: tir.PrimFunc) -> tir.PrimFunc:
        name = str(dict(function.attrs or {}).get("global_symbol", ""))
        if decided.in_kernel():
            return function
        lowered = lower_tir.lower_function(function, self.options)
        for site in lower_tir.sites_of(lowered)[len(lower_tir.sites_of(function)) :]:
            self.lowered.append(site | {"kernel": name})
        self.exact += dict.fromkeys(lower_tir.intrinsics(lowered))
        return lowered
