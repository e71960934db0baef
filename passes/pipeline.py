"""The order of everything between an imported module and the virtual machine's code.

1. Batch norms folded, convolutions with channels last.
2. QuAKE: nonlinearities to bit manipulation.
3. Constant weights into panels; TVM's legalization of the rest, constant folding, operator fusion.
4. The schedule rules.
5. TVM's lowering to the virtual machine.
"""

from typing import Any

import tvm
from tvm.relax.backend.cpu_generic import pipeline as cpu_generic

from quake_tvm.schedules import ScheduleKernels, matmul

from .channels_last import ChannelsLast
from .fold_batch_norm import FoldBatchNorm
from .pack_convolutions import PackConvolutions
from .pack_transposed_convolutions import PackTransposedConvolutions
from .pack_weights import PackWeights
from .quake import QuAKE


def layout_passes() -> list[tvm.transform.Pass]:
    """Phase 1: what pays only while nothing is lowered yet."""
    return [FoldBatchNorm(), ChannelsLast()]


def graph_passes(target: tvm.target.Target, **options: Any) -> list[tvm.transform.Pass]:
    """Phases 1 to 4: from an imported module to scheduled kernels."""

    def panel(rows: int | None, columns: int) -> int | None:
        return matmul.panel(rows, columns, target)

    return [
        *layout_passes(),
        QuAKE(**options),
        PackConvolutions(panel),
        PackTransposedConvolutions(panel),
        PackWeights(panel),
        *cpu_generic.library_dispatch_passes(target),
        *cpu_generic.legalize_passes(target),
        ScheduleKernels(target),
    ]


def machine_passes(target: tvm.target.Target) -> list[tvm.transform.Pass]:
    """Phase 5: from scheduled kernels to what the virtual machine runs."""
    return [
        *cpu_generic.dataflow_lower_passes(target),
        *cpu_generic.finalize_passes(target),
    ]


def pipeline(target: tvm.target.Target | str | dict, **options: Any) -> tvm.transform.Pass:
    """The whole way as a ``relax_pipeline`` for ``tvm.compile``.

    Parameters
    ----------
    target : tvm.target.Target, dict or str
        What ``quake_tvm.target`` takes.
    **options
        Those of :class:`QuAKE`.

    Raises
    ------
    QuakeError
        For an unknown target or option.
    """
    from quake_tvm.targets import target as resolve

    resolved = resolve(target)
    steps = [*graph_passes(resolved, **options), *machine_passes(resolved)]

    @tvm.transform.module_pass(opt_level=0, name="quake_tvm.pipeline")
    def run(mod: tvm.IRModule, _: tvm.transform.PassContext) -> tvm.IRModule:
        with resolved:
            return tvm.transform.Sequential(steps)(mod)

    return run
