"""The order of everything between an imported module and the virtual machine's code.

1. Extents that must be equal given one name; sizes checked that may not fit; tensors without
   elements filled; zeros kept from TVM's folding; norms recognised or folded.
2. QuAKE: nonlinearities to bit manipulation. Between its two halves convolutions get their channels
   last, reshapes sink and attention is fused: before, that would change what is recognised; after,
   kernels stand in the way.
3. Windows checked that may not fit; indices held to what they point into; norms to rows, constant
   weights into panels; TVM's legalization of the rest, constant folding, operator fusion up to
   kernels of a size; equal kernels merged.
4. The schedule rules.
5. TVM's lowering to the virtual machine, with computed sizes checked.
"""

from functools import partial
from typing import Any

import tvm
from tvm import relax
from tvm.relax.backend.cpu_generic import pipeline as cpu_generic

from quake_tvm.options import Options
from quake_tvm.schedules import Recorded, ScheduleKernels, attention, matmul
from quake_tvm.schedules.choice import Decide, Key, own
from quake_tvm.schedules.records.book import Book, Records
from quake_tvm.support.compiler_lock import compiling
from quake_tvm.tvm_version import Pass

from .. import quake
from ..clamp_addresses import ClampAddresses
from ..keep_zeros import KeepZeros
from ..pass_nan import PassNaN
from . import (
    legalize_computed_shapes,
    legalize_extremes,
    legalize_gathers,
    legalize_integer_division,
    legalize_odd,
    legalize_scatter,
    legalize_xor,
    lower_attention,
    site_numbers,
)
from .center_logsumexp import CenterLogSumExp
from .channels_last import ChannelsLast
from .check_allocations import CheckAllocations
from .check_indices import CheckIndices
from .check_sizes import SHAPED, WINDOWED, CheckSizes
from .drop_scopes import DropScopes
from .fill_empty import FillEmpty
from .fold_batch_norm import FoldBatchNorm
from .fold_constants import FoldConstants
from .fuse_attention import FuseAttention
from .legalize import orderly
from .limit_fusion import LimitFusion
from .lower_norms import LowerNorms
from .pack_convolutions import PackConvolutions
from .pack_transposed_convolutions import PackTransposedConvolutions
from .pack_weights import PackWeights
from .recognize_norms import RecognizeNorms
from .release_held import ReleaseHeld
from .sink_reshapes import SinkReshapes
from .unify_extents import UnifyExtents

# Operators whose kernels are not TVM's.
_LEGALIZED = {
    **legalize_computed_shapes.RULES,
    **legalize_extremes.RULES,
    **legalize_gathers.RULES,
    **legalize_integer_division.RULES,
    **legalize_odd.RULES,
    **legalize_scatter.RULES,
    **legalize_xor.RULES,
}


@tvm.transform.module_pass(opt_level=0, name="LowerNonlinearities")
class LowerNonlinearities(Pass):
    """Phase 2."""

    def __init__(self, target: tvm.target.Target, options: Options) -> None:
        self.fuse_attention = FuseAttention(partial(attention.tiles, target=target))
        self.options = options

    def transform_module(self, mod: tvm.IRModule, _: tvm.transform.PassContext) -> tvm.IRModule:
        """Recognise, lay out, sink, fuse, lower."""
        recognized = CenterLogSumExp()(quake.recognize(mod, self.options, numbered=True))
        fused = self.fuse_attention(SinkReshapes()(ChannelsLast()(recognized)))
        return site_numbers.write(quake.lower(lower_attention.lower(fused), self.options))


def lowering_passes(target: tvm.target.Target, options: Options) -> list[tvm.transform.Pass]:
    """Phases 1 and 2: what pays only while nothing is lowered yet, then the nonlinearities."""
    return [
        UnifyExtents(),
        CheckSizes(SHAPED),
        FillEmpty(),
        KeepZeros(),
        RecognizeNorms(),
        FoldBatchNorm(),
        LowerNonlinearities(target, options),
    ]


def fusion_passes(target: tvm.target.Target, decide: Decide = own) -> list[tvm.transform.Pass]:
    """Phase 3 without its last step: to kernels that tell which sites are in them."""

    def panel(key: Key, rows: int | None) -> int:
        return matmul.panel(rows, key.shape[-2], target, decide(key))

    return [
        CheckSizes(WINDOWED),
        CheckIndices(),
        LowerNorms(),
        PackConvolutions(panel),
        PackTransposedConvolutions(panel),
        PackWeights(panel),
        *cpu_generic.library_dispatch_passes(target),
        relax.transform.LegalizeOps(orderly(_LEGALIZED)),
        DropScopes(),
        ClampAddresses(),
        PassNaN(),
        relax.transform.LegalizeOps(),
        relax.transform.AnnotateTIROpPattern(),
        FoldConstants(),
        relax.transform.FuseOps(),
        LimitFusion(),
        relax.transform.FuseTIR(),
    ]


def kernel_passes(
    target: tvm.target.Target, decide: Decide = own, recorded: Recorded | None = None
) -> list[tvm.transform.Pass]:
    """Phases 3 and 4: to scheduled kernels."""
    fusion = fusion_passes(target, decide)
    return [*fusion, site_numbers.MergeKernels(), ScheduleKernels(target, decide, recorded)]


def graph_passes(
    target: tvm.target.Target, *, records: Records = None, **options: Any
) -> list[tvm.transform.Pass]:
    """Phases 1 to 4: from an imported module to scheduled kernels.

    Takes the options of :class:`quake_tvm.QuAKE`.
    """
    book = Book.of(records, target)
    return [
        *lowering_passes(target, Options.parse(**options, rung=book.rung)),
        *kernel_passes(target, book.decide, book.trace),
    ]


def machine_passes(target: tvm.target.Target) -> list[tvm.transform.Pass]:
    """Phase 5: from scheduled kernels to what the virtual machine runs."""
    return [
        *cpu_generic.dataflow_lower_passes(target),
        ReleaseHeld(),
        CheckAllocations(),
        *cpu_generic.finalize_passes(target),
    ]


def pipeline(
    target: tvm.target.Target | str | dict, *, records: Records = None, **options: Any
) -> tvm.transform.Pass:
    """The whole way as a ``relax_pipeline`` for ``tvm.compile``.

    Parameters
    ----------
    target : tvm.target.Target, dict or str
        What ``quake_tvm.target`` takes.
    records : path, list of paths, False or None
        Folders of tuned choices that come before the library's own; False for rules only.
    **options
        Those of :class:`quake_tvm.QuAKE`.

    Raises
    ------
    QuakeError
        For an unknown target or option, and folders that cannot be read.
    """
    from quake_tvm.machines.targets import target as resolve

    resolved = resolve(target)
    steps = [*graph_passes(resolved, records=records, **options), *machine_passes(resolved)]

    @tvm.transform.module_pass(opt_level=0, name="quake_tvm.pipeline")
    def run(mod: tvm.IRModule, _: tvm.transform.PassContext) -> tvm.IRModule:
        with compiling(), resolved:
            return tvm.transform.Sequential(steps)(mod)

    return run
