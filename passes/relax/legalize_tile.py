"""Repeat tensors of symbolic size by copies of whole rows. TVM repeats those of known size."""

from tvm import relax

from quake_tvm.kernels.tiled import tiled
from quake_tvm.tvm_version import tir

from .graph import known_shape
from .legalize import Legalize


def _tile(builder: relax.BlockBuilder, call: relax.Call) -> relax.Expr:
    x = call.args[0]
    if not known_shape(x) or all(isinstance(size, tir.IntImm) for size in x.ty.shape):
        return call.op.get_attr("FLegalize")(builder, call)
    return tiled(builder, x, [int(n) for n in call.attrs.repeats])


RULES: dict[str, Legalize] = {"relax.tile": _tile}
