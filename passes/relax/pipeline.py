"""The passes between an imported module and the virtual machine's code, in their order.

- ``prepare``: compute half precision in float32; make branches functions of their own; give equal
  extents one name; check sizes that may not match; make products of quantized tensors integer ones,
  and chains between bytes tables; replace tensors without elements; keep zeros from being folded by
  TVM; recognise norms; fold batch norms; store weights in the half precision that was asked for.
- ``lower``: lower nonlinearities to bit manipulation. Between recognition and lowering,
  a plan's look-ups take the place of layers, convolutions get their channels last, reshapes sink,
  attention is fused, and attention, recurrent layers and look-ups become kernels
  (:mod:`lower_nonlinearities`).
- ``fuse``: check windows that may not fit; check indices; lower norms to kernels over rows; pack
  constant weights in panels, as bytes if they are or if this was asked for; legalize all other
  operators; fold constants; fuse operators up to a maximal size. Each fused kernel carries the
  numbers of its sites.
- ``schedule``: merge equal kernels; apply the schedule rules.
- ``finish``: TVM's lowering to the virtual machine, with checks of computed sizes; plan memory for
  the largest sizes, or share it between tensors of several sizes; make each shape once; say which
  tensors do not overlap.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import tvm
from tvm import relax
from tvm.relax.backend.cpu_generic import pipeline as cpu_generic

from quake_tvm.errors import QuakeError
from quake_tvm.machines.targets import widened_in_loops
from quake_tvm.numerics import byte_dots
from quake_tvm.numerics.number_formats import COMPUTED
from quake_tvm.options import PRECISIONS, Options
from quake_tvm.schedules import (
    RULES,
    Recorded,
    ScheduleKernels,
    analysis,
    product_tiles,
)
from quake_tvm.schedules.choice import Decide, Key, rule_default
from quake_tvm.schedules.records.book import Book, Records
from quake_tvm.schedules.rule import Rule
from quake_tvm.site_plan import BFLOAT16, INT8
from quake_tvm.support import given
from quake_tvm.support.compiler_lock import compiling

from ..clamp_addresses import ClampAddresses
from ..keep_zeros import KeepZeros
from ..pass_nan import PassNaN
from . import (
    legalize_casts,
    legalize_computed_shapes,
    legalize_extremes,
    legalize_gathers,
    legalize_integer_division,
    legalize_odd,
    legalize_quantize,
    legalize_reshape,
    legalize_scatter,
    legalize_sizes,
    legalize_tile,
    legalize_xor,
)
from .check_allocations import CheckAllocations
from .check_indices import CheckIndices
from .check_sizes import SHAPED, WINDOWED, CheckSizes
from .drop_scopes import DropScopes
from .fill_empty import FillEmpty
from .flatten_norms import FlattenNorms
from .fold_batch_norm import FoldBatchNorm
from .fold_constants import FoldConstants
from .fold_dequantized import FoldDequantized
from .fold_moves import FoldMoves
from .fold_requantization import FoldRequantization
from .integer_bias import IntegerBias
from .integer_products import IntegerProducts
from .legalize import orderly
from .legalize_scans import LegalizeScans
from .limit_fusion import LimitFusion
from .lower_nonlinearities import LowerNonlinearities
from .lower_norms import LowerNorms
from .merge_kernels import MergeKernels
from .move_bytes import MoveBytes
from .narrow_weights import NarrowWeights
from .order_extents import OrderExtents
from .outline_branches import OutlineBranches
from .pack_byte_convolutions import PackByteConvolutions
from .pack_byte_depthwise import PackByteDepthwise
from .pack_byte_weights import PackByteWeights
from .pack_convolutions import PackConvolutions
from .pack_transposed_convolutions import PackTransposedConvolutions
from .pack_weights import PackWeights
from .pack_winograd import PackWinograd
from .plan_memory import PlanMemory
from .plane_convolutions import PlaneConvolutions
from .quantize_products import QuantizeProducts
from .recognize_norms import RecognizeNorms
from .recognize_quantized import RecognizeQuantized
from .recognize_tables import RecognizeTables
from .release_held import ReleaseHeld
from .restrict_pointers import RestrictPointers
from .reuse_shapes import ReuseShapes
from .row_extremes import RowExtremes
from .share_memory import ShareMemory
from .unify_extents import UnifyExtents
from .view_reshapes import ViewReshapes
from .widen_halves import WidenHalves
from .widen_weights import WidenWeights

PHASES = ("prepare", "lower", "fuse", "schedule", "finish")
# Operators whose legalization replaces TVM's.
_LEGALIZED = {
    **legalize_casts.RULES,
    **legalize_computed_shapes.RULES,
    **legalize_extremes.RULES,
    **legalize_gathers.RULES,
    **legalize_integer_division.RULES,
    **legalize_odd.RULES,
    **legalize_quantize.RULES,
    **legalize_reshape.RULES,
    **legalize_scatter.RULES,
    **legalize_sizes.RULES,
    **legalize_tile.RULES,
    **legalize_xor.RULES,
}


class Pipeline:
    """The passes for one target, in the named phases ``PHASES``.

    Parameters
    ----------
    target : tvm.target.Target
    options : Options
    decide : callable
        Takes a kernel's key and returns its tunable parameters.
    recorded : callable, optional
        Takes a kernel and returns its recorded trace, or None.
    rules : sequence of Rule
        Tried in this order on each kernel.
    precision : {"float32", "float16", "bfloat16", "int8"}
        As for :func:`quake_tvm.compile`.
    winograd : bool
        As for :func:`quake_tvm.compile`.
    """

    def __init__(
        self,
        target: tvm.target.Target,
        options: Options,
        decide: Decide = rule_default,
        recorded: Recorded | None = None,
        rules: Sequence[Rule] = RULES,
        precision: str = COMPUTED,
        winograd: bool = True,
    ) -> None:
        given.choice(precision, "precision", PRECISIONS)
        if wrong := [rule for rule in rules if not isinstance(rule, Rule)]:
            raise QuakeError(f"rules is a sequence of quake_tvm.schedules.Rule, not {wrong[0]!r}")
        self.target, self.options = target, options
        self.decide, self.recorded, self.rules = decide, recorded, rules
        self.precision, self.winograd = precision, winograd
        # The format of operands and weights that are not quantized.
        self.floats = COMPUTED if precision == "int8" else precision
        self.narrow = NarrowWeights(self.floats)
        if options.plan is not None and options.plan.products:
            if precision != COMPUTED:
                raise QuakeError(
                    "the plan sets the precision of every product: leave out precision="
                )
            halves, integers = map(options.plan.numbers, (BFLOAT16, INT8))
            self.floats = BFLOAT16 if halves else COMPUTED
            self.narrow = NarrowWeights(BFLOAT16, halves, integers)

    @classmethod
    def of(
        cls,
        target: tvm.target.Target,
        records: Records = None,
        rules: Sequence[Rule] = RULES,
        precision: str = COMPUTED,
        winograd: bool = True,
        **options: Any,
    ) -> "Pipeline":
        """A pipeline with the options of :class:`quake_tvm.QuAKE` and with records of tuning.

        Parameters
        ----------
        target : tvm.target.Target
        records : path, sequence of path, False or None
            As for :func:`pipeline`.
        rules : sequence of Rule
            Tried in this order on each kernel.
        precision : str
            As for :func:`pipeline`.
        winograd : bool
            As for :func:`pipeline`.
        **options
            Those of :class:`quake_tvm.QuAKE`.

        Raises
        ------
        QuakeError
            If an option is invalid or a folder cannot be read.
        """
        book = Book.of(records, target)
        parsed = Options.parse(**options, rung=book.rung)
        return cls(target, parsed, book.decide, book.trace, rules, precision, winograd)

    def upto(self, last: str) -> tvm.transform.Pass:
        """The phases from the first to this one, which is included."""
        return self.between(PHASES[0], last)

    def between(self, first: str, last: str) -> tvm.transform.Pass:
        """The phases from one to another, both included. Raises QuakeError for unknown names."""
        for name in (first, last):
            given.choice(name, "phase", PHASES)
        names = PHASES[PHASES.index(first) : PHASES.index(last) + 1]
        return tvm.transform.Sequential([p for name in names for p in getattr(self, "_" + name)()])

    def dump(self, mod: tvm.IRModule, folder: Path) -> tvm.IRModule:
        """Run all phases, and write the module after each one to ``<number>_<phase>.py``."""
        folder.mkdir(parents=True, exist_ok=True)
        with self.target:
            for number, name in enumerate(PHASES, 1):
                mod = self.between(name, name)(mod)
                (folder / f"{number}_{name}.py").write_text(mod.script() + "\n")
        return mod

    def _prepare(self) -> list[tvm.transform.Pass]:
        return [
            FoldMoves(),
            WidenHalves(widened_in_loops(self.target)),
            OutlineBranches(),
            UnifyExtents(),
            CheckSizes(SHAPED),
            RecognizeQuantized(),
            IntegerBias(),
            IntegerProducts(),
            FoldDequantized(),
            MoveBytes(),
            RecognizeTables(self.options.entries),
            FoldRequantization(),
            FillEmpty(),
            KeepZeros(),
            RecognizeNorms(),
            FlattenNorms(),
            FoldBatchNorm(),
            self.narrow,
        ]

    def _lower(self) -> list[tvm.transform.Pass]:
        return [LowerNonlinearities(self.target, self.options, self.precision, self.decide)]

    def _fuse(self) -> list[tvm.transform.Pass]:
        def panel(key: Key, rows: int | None) -> int:
            choice = self.decide(key)
            return product_tiles.panel(rows, key["columns"], self.target, choice, key.dtype)

        forms = byte_dots.formats_of(self.target)
        return [
            CheckSizes(WINDOWED),
            CheckIndices(),
            LowerNorms(),
            PackByteDepthwise(forms),
            PackByteConvolutions(panel, forms),
            PackByteWeights(panel, forms),
            QuantizeProducts(panel, forms, floats=self.precision == "int8"),
            *([PackWinograd(panel, self.floats)] if self.winograd else []),
            PackConvolutions(panel, self.floats),
            PackTransposedConvolutions(panel, analysis.lanes(self.target), self.floats),
            PlaneConvolutions(),
            PackWeights(panel, self.floats),
            WidenWeights(),
            *self._shared_operands(),
            RowExtremes(),
            LegalizeScans(),
            *cpu_generic.library_dispatch_passes(self.target),
            relax.transform.LegalizeOps(orderly(_LEGALIZED)),
            DropScopes(),
            ClampAddresses(),
            PassNaN(),
            relax.transform.LegalizeOps(legalize_reshape.RULES),
            relax.transform.AnnotateTIROpPattern(),
            FoldConstants(),
            relax.transform.FuseOps(),
            LimitFusion(),
            relax.transform.FuseTIR(),
            OrderExtents(),
        ]

    def _shared_operands(self) -> list[tvm.transform.Pass]:
        """An operand of several products is rounded once."""
        rounded = self.floats == "bfloat16"
        return [relax.transform.EliminateCommonSubexpr(call_only=True)] if rounded else []

    def _schedule(self) -> list[tvm.transform.Pass]:
        scheduled = ScheduleKernels(self.target, self.decide, self.recorded, self.rules)
        return [MergeKernels(), scheduled]

    def _finish(self) -> list[tvm.transform.Pass]:
        return [
            ViewReshapes(),
            *cpu_generic.dataflow_lower_passes(self.target)[1:],  # without RewriteDataflowReshape
            ReleaseHeld(),
            CheckAllocations(),
            PlanMemory(),
            ShareMemory(),
            *cpu_generic.finalize_passes(self.target)[1:],  # without StaticPlanBlockMemory
            ReuseShapes(),
            RestrictPointers(),
        ]


def pipeline(
    target: tvm.target.Target | str | dict,
    *,
    records: Records = None,
    rules: Sequence[Rule] = RULES,
    precision: str = COMPUTED,
    winograd: bool = True,
    **options: Any,
) -> tvm.transform.Pass:
    """All phases as a ``relax_pipeline`` for ``tvm.compile``.

    Parameters
    ----------
    target : tvm.target.Target, dict or str
        Anything that ``quake_tvm.target`` takes.
    records : path, list of paths, False or None
        Folders of records that are searched before the library's own. False uses no records.
    rules : sequence of quake_tvm.schedules.Rule
        Tried in this order on each kernel: ``(mine, *quake_tvm.schedules.RULES)`` puts one before
        ours.
    precision : {"float32", "float16", "bfloat16", "int8"}
        As for :func:`quake_tvm.compile`.
    winograd : bool
        As for :func:`quake_tvm.compile`.
    **options
        Those of :class:`quake_tvm.QuAKE`.

    Raises
    ------
    QuakeError
        If the target or an option is unknown, or if a folder cannot be read.
    """
    from quake_tvm.machines.targets import target as resolve

    resolved = resolve(target)
    steps = Pipeline.of(resolved, records, rules, precision, winograd, **options).upto(PHASES[-1])

    @tvm.transform.module_pass(opt_level=0, name="quake_tvm.pipeline")
    def run(mod: tvm.IRModule, _: tvm.transform.PassContext) -> tvm.IRModule:
        with compiling(), resolved:
            return steps(mod)

    return run
