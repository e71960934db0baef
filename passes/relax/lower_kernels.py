"""TVM's lowering of kernels, without a pass where it has nothing to do.

A schedule moves the computation of a buffer into the loops that read it, and leaves the buffer as
large as the whole tensor. TVM shrinks such buffers to the regions that are accessed. Kernels whose
loops are written out allocate what they need by statements, so that there is nothing to shrink. In
a sentence encoder for any size TVM's analysis of their accesses took a tenth of the compile time.
"""

import tvm
from tvm import s_tir
from tvm.tirx import get_tir_pipeline, register_tir_pipeline

from quake_tvm.schedules.tiles import mentions
from quake_tvm.tvm_version import tir

# The name of this lowering, for ``tvm.compile(..., tir_pipeline=NAME)``.
NAME = "quake_tvm"
_SHRINK = "s_tir.CompactBufferAllocation"


def _tiled(function: tir.PrimFunc) -> bool:
    """Whether a block allocates a buffer, which a schedule may have left too large."""
    return mentions(function.body, s_tir.SBlock, lambda block: len(block.alloc_buffers) > 0)


def lowering() -> tuple[tvm.transform.Pass, object, object]:
    """TVM's passes on kernels, and those behind them, as ``register_tir_pipeline`` asks for."""
    passes, host, device = get_tir_pipeline("s_tir")

    @tvm.transform.module_pass(opt_level=0, name="quake_tvm.LowerKernels")
    def lower(mod: tvm.IRModule, context: tvm.transform.PassContext) -> tvm.IRModule:
        kinds: tuple[dict, dict] = {}, {}
        for name, function in mod.functions_items():
            kinds[_tiled(function)][name] = function
        exact, tiled = (tvm.IRModule(each, attrs=mod.attrs) for each in kinds)
        done = passes(tiled)
        with tvm.transform.PassContext(
            opt_level=context.opt_level,
            required_pass=list(context.required_pass),
            disabled_pass=[*context.disabled_pass, _SHRINK],
            instruments=list(context.instruments or []),
            config=context.config,
        ):
            done.update(passes(exact))
        return done

    return lower, host, device


register_tir_pipeline(NAME, lowering)
