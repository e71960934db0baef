"""Repeat tensors by copies of whole rows. TVM's own kernel divides each index."""

from tvm import relax

from quake_tvm.kernels.tiled import tiled

from .graph import known_shape
from .legalize import Legalize


def _tile(builder: relax.BlockBuilder, call: relax.Call) -> relax.Expr:
    x = call.args[0]
    if not known_shape(x):
        return call.op.get_attr("FLegalize")(builder, call)
    return tiled(builder, x, [int(n) for n in call.attrs.repeats])


RULES: dict[str, Legalize] = {"relax.tile": _tile}
