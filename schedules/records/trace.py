"""Traces of records: schedules in TVM's own form, each for the one kernel that it was found for.

A trace is used only if the kernel keeps its bits. Its steps must be among those that do not change
what is computed, and every sum must be made in the order of the unscheduled kernel. Knows no file
and no rule.
"""

import json
import warnings
from typing import Any

import tvm
import tvm_ffi
from tvm import s_tir, sym
from tvm.s_tir.schedule import SBlockRV

from quake_tvm.tvm_version import tir

from .. import analysis
from .files import RecordWarning
from .record import Trace

# Steps that move loops and copies. They may change the order of a sum, but nothing else.
_STEPS = {
    "GetSBlock", "GetLoops", "GetChildBlocks", "GetProducers", "GetConsumers", "GetOutputBlocks",
    "SamplePerfectTile", "SampleCategorical", "SampleComputeLocation", "Split", "Fuse", "Reorder",
    "AddUnitLoop", "Parallel", "Vectorize", "Unroll", "CacheRead", "CacheWrite", "ComputeAt",
    "ReverseComputeAt", "ComputeInline", "ReverseComputeInline", "DecomposeReduction",
    "StorageAlign", "SetScope", "Annotate", "Unannotate", "EnterPostproc",
}  # fmt: skip


def fingerprint(function: tir.PrimFunc) -> str:
    """A hash of what a kernel computes, without its name and attributes: 16 hexadecimal digits."""
    bare = tir.PrimFunc(function.params, function.body, function.ret_type)
    return f"{tvm_ffi.structural_hash(bare) % 2**64:016x}"


def trace_of(function: tir.PrimFunc, schedule: s_tir.Schedule) -> Trace:
    """The trace of a schedule of this function, whose products are fenced, for a record."""
    steps = json.loads(json.dumps(schedule.trace.as_json(), default=_plain))
    return Trace(fingerprint(function), tvm.__version__, steps)


def _plain(value: Any) -> Any:
    """Convert TVM's constants, arrays and maps to types that JSON can store."""
    if isinstance(value, tvm_ffi.Map):
        return dict(value.items())
    return list(value) if isinstance(value, tvm_ffi.Array) else value.value


def replay(function: tir.PrimFunc, trace: Trace) -> s_tir.Schedule | None:
    """Schedule the function by the steps of a trace.

    Returns
    -------
    Schedule or None
        None, with a :class:`RecordWarning`, if the steps do not apply or would change the bits.
    """
    sch = analysis.start(function)
    try:
        if not {step[0] for step in trace.steps[0]} <= _STEPS:
            raise ValueError("it has steps that change what is computed")
        s_tir.Trace.apply_json_to_schedule(trace.steps, sch)
        if not sums_in_order(sch):
            raise ValueError("it sums in another order")
    except Exception as error:  # TVM's error types, and Python's for malformed steps
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0][:160]
        text = f"the recorded trace of kernel {trace.kernel} is not used: {reason}"
        warnings.warn(text, RecordWarning, stacklevel=2)
        return None
    return sch


def sums_in_order(sch: s_tir.Schedule) -> bool:
    """Whether every reduction runs as nested loops over its iterators, the first outermost."""
    realized: list[s_tir.SBlockRealize] = []
    tvm_ffi.structural_walk(sch.mod["main"].body, (s_tir.SBlockRealize, realized.append))
    by_name = {str(r.block.name_hint): r for r in realized}
    blocks = (sch.get_sblock(name) for name in by_name if name != "root")
    return all(_in_order(sch, b, by_name[str(sch.get(b).name_hint)]) for b in blocks)


def _in_order(sch: s_tir.Schedule, block: SBlockRV, realized: s_tir.SBlockRealize) -> bool:
    if "R" not in analysis.kinds(sch, block):
        return True
    place = 0  # position in the order of nested loops
    for var, value in zip(realized.block.iter_vars, realized.iter_values, strict=True):
        if var.iter_type != tir.IterVar.DataPar:
            extent = analysis.constant(var.dom.extent)
            if extent is None:
                return False
            place = place * extent + value
    loops = [sch.get(loop) for loop in sch.get_loops(block)]
    steps = sym.detect_linear_equation(place, [loop.loop_var for loop in loops])
    if not steps:
        return False
    # From the innermost loop outwards, each step must be longer than all that is inside it.
    inside = 0
    for step, loop in zip(reversed(steps[:-1]), reversed(loops), strict=True):
        step, extent = analysis.constant(step), analysis.constant(loop.extent)
        if step == 0 or extent == 1:
            continue
        if step is None or extent is None or step <= inside:
            return False
        inside += step * (extent - 1)
    return True
