"""The operator ``quake.number_within``: the nearest number from ``low`` to ``high``; NaN gives low.

It stands for a comparison and a choice while ConvertLayout runs, which knows no layout of a choice.
Knows no quantization.
"""

import tvm
from tvm import relax

from quake_tvm.tvm_version import make_attrs

from .declare import declare
from .graph import dtype
from .legalize import legalize

NAME = "quake.number_within"

declare(
    NAME, "the nearest number of a range, and its least for NaN", lambda call, _: call.args[0].ty
)


def number_within(x: relax.Expr, low: float, high: float) -> relax.Call:
    """A call of the operator.

    Parameters
    ----------
    x : Expr
        Floats.
    low, high : float
    """
    return relax.Call(tvm.ir.Op.get(NAME), [x], make_attrs(low=low, high=high))


def _spelled_out(builder: relax.BlockBuilder, call: relax.Call) -> relax.Expr:
    (x,), kind = call.args, dtype(call.args[0])
    low, high = (relax.const(float(call.attrs[name]), kind) for name in ("low", "high"))
    # NaN is not greater. A maximum would let it pass.
    above = builder.emit(relax.op.where(builder.emit(relax.op.greater(x, low)), x, low))
    return relax.op.minimum(above, high)


def spelled_out(mod: tvm.IRModule) -> tvm.IRModule:
    """The module with a comparison and a choice for each call of the operator."""
    return legalize(mod, {NAME: _spelled_out}, keep_emitted=True)
