"""Inside a Relay build: lower the exponentials that operators hide in their kernels.

Runs over every kernel through ``tir.add_lower_pass``, before loops are vectorized. A kernel of an
operator that the graph passes decide about is not this one's to touch: what they left exact was to
stay so. Then extremes are made right at special values, and vectors fit for the target. Before all
that, long values get buffers: TVM's passes here write them out as its code generator does.
"""

import re
from collections.abc import Callable
from typing import Any

import tvm
from tvm import tir

from quake_tvm.kernels.short_lets import shortened
from quake_tvm.options import Options

from .. import lower_tir
from .clamp_kernels import clamp_kernels
from .fit_vectors import fit, widen
from .special_kernels import special

# TVM names a kernel after its operators. These the graph passes have decided about.
_DECIDED = "(fast_)?(exp|tanh|erf)|sigmoid|nn_(fast_|log_)?softmax"
_NAMED_AFTER = re.compile(rf"_({_DECIDED})(_|$)")
# A name this long was cut by TVM: it does not tell all operators any more.
_CUT = 80


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
    """The passes for ``tir.add_lower_pass``, and what they found.

    Attributes
    ----------
    lowered : list of dict
        Marks of the sites lowered, with their ``kernel``.
    exact : list of (operator, dtype)
        What stayed as it was.
    """

    def __init__(self, options: Options) -> None:
        self.options = options
        self.lowered: list[dict[str, Any]] = []
        self.exact: list[tuple[str, str]] = []

    def begin(self) -> None:
        """Forget the last build."""
        self.lowered.clear()
        self.exact.clear()

    def phases(self) -> list[tuple[int, tvm.transform.Pass]]:
        """As ``tir.add_lower_pass`` wants them."""

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
        if _NAMED_AFTER.search(name):
            return function
        if len(name) >= _CUT:  # the report has it, perhaps a second time
            self.exact += dict.fromkeys(lower_tir.intrinsics(function))
            return function
        lowered = lower_tir.lower_function(function, self.options)
        for site in lower_tir.sites_of(lowered)[len(lower_tir.sites_of(function)) :]:
            self.lowered.append(site | {"kernel": name})
        self.exact += dict.fromkeys(lower_tir.intrinsics(lowered))
        return lowered
