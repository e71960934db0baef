"""The operator ``quake.lookup_ffn`` in Relax: a feed-forward layer as hashed look-ups.

Importers write it and a pass lowers it. Its operands are those of :func:`.lookup.lookup_ffn`; its
attribute ``bits`` is the number of bits of a code.
"""

import tvm
from tvm import relax

from ..errors import QuakeError
from ..tvm_version import make_attrs, register_op
from .lookup import TABLES

LOOKUP = "quake.lookup_ffn"


def lookup_ffn(z: relax.Expr, tables: relax.Expr, *rest: relax.Expr, bits: int) -> relax.Call:
    """A call of the operator; ``rest`` is the scales of int8 tables, and the bias."""
    return relax.Call(tvm.ir.Op.get(LOOKUP), [z, tables, *rest], make_attrs(bits=bits))


def check(
    z: relax.TensorType,
    tables: relax.TensorType,
    scales: relax.TensorType | None,
    bias: relax.TensorType,
    bits: int,
) -> None:
    """Raise QuakeError if these are no operands of a look-up with codes of so many bits."""
    kinds = [z.dtype, bias.dtype, *([] if scales is None else [scales.dtype])]
    if any(str(kind) != "float32" for kind in kinds):
        raise QuakeError("a look-up's hash, bias and scales are float32")
    kind = str(tables.dtype)
    if kind not in TABLES:
        raise QuakeError(f"a look-up's tables are {', '.join(TABLES)}, not {kind}")
    if (kind == "int8") != (scales is not None):
        raise QuakeError("a look-up's tables have scales if they are int8, and only then")
    if not 1 <= bits <= 16:
        raise QuakeError(f"a look-up's codes have 1 to 16 bits, not {bits}")
    sizes = [list(t.shape.values) for t in (tables, bias, *([] if scales is None else [scales]))]
    columns = z.shape.values[-1] if z.shape is not None and len(z.shape) else None
    extents = [columns, *(n for size in sizes for n in size)]
    if not all(isinstance(n, tvm.tirx.IntImm) for n in extents) or len(sizes[0]) != 2:
        raise QuakeError("a look-up's tables, and its hash's last axis, have fixed sizes")
    entries, width = map(int, sizes[0])
    fit = [[width], [entries]]
    if (
        entries == 0
        or entries % (1 << bits)
        or int(extents[0]) != (entries >> bits) * bits
        or any([int(n) for n in size] != other for size, other in zip(sizes[1:], fit, strict=False))
    ):
        raise QuakeError(
            f"a look-up with codes of {bits} bits has z of shape (.., {bits} H), tables "
            f"(H {1 << bits}, D) and a bias (D,); scales are (H {1 << bits},)"
        )


def _infer_type(call: relax.Call, _: relax.BlockBuilder) -> relax.Type:
    *outer, _columns = call.args[0].ty.shape
    return relax.TensorType([*outer, call.args[-1].ty.shape[0]], "float32")


if LOOKUP not in tvm.ir.Op.list_op_names():
    register_op(LOOKUP, "a feed-forward layer as hashed look-ups")
    tvm.ir.register_op_attr(LOOKUP, "FInferType", _infer_type)
    tvm.ir.register_op_attr(LOOKUP, "FPurity", True)
