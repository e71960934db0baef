"""Tables of integers in Relay: ``quake_table``, of 256 entries, and ``quake_piecewise_table``.

Both are element-wise operators with TVM's own schedules, so that they fuse with others. The entries
of the first are its second operand. Knows no chain that a table replaces.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import tvm
from tvm import relay, te, tir
from tvm.relay.op import op as registry
from tvm.relay.op.op import OpPattern

from quake_tvm.kernels.piecewise import piecewise_linear
from quake_tvm.lut.integers import IntegerTable
from quake_tvm.options import lut_method
from quake_tvm.report import TABLE
from quake_tvm.tvm_version import make_attrs, register_op

from .graph import op_name, shape_text

_TABLE, _PIECEWISE = "quake_table", "quake_piecewise_table"
# Schedules of products inline steps with this tag, and need it to find the product before them.
_INLINED = tvm.topi.tag.ELEMWISE
Compute = Callable[[tvm.ir.Attrs, list[te.Tensor], relay.Type], list[te.Tensor]]


def look_up(x: relay.Expr, table: np.ndarray, source: str) -> relay.Call:
    """The entry of a table for each byte.

    Parameters
    ----------
    x : Expr
        int8 or uint8, with an inferred type.
    table : np.ndarray
        int8 or uint8, of 256 entries, from the smallest value of x to the largest.
    source : str
        The operators that the table replaces, for the report.
    """
    first = int(np.iinfo(x.checked_type.dtype).min)
    by_bits = relay.const(np.roll(table, first))
    attrs = {"dtype": str(table.dtype), "method": "exact", "source": source, "shape": shape_text(x)}
    return relay.Call(tvm.ir.Op.get(_TABLE), [x, by_bits], make_attrs(**attrs))


def piecewise(x: relay.Expr, table: IntegerTable, entries: int, source: str) -> relay.Call:
    """A piecewise-linear function of integers.

    Parameters
    ----------
    x : Expr
        Integers of the type that the table takes, with an inferred type.
    table : IntegerTable
    entries : int
        How many entries the table was allowed, for the report.
    source : str
        The operators that the table replaces, for the report.
    """
    attrs = {
        "dtype": table.to,
        "method": lut_method(entries),
        "source": source,
        "shape": shape_text(x),
        "table": table.to_json(),
    }
    return relay.Call(tvm.ir.Op.get(_PIECEWISE), [x], make_attrs(**attrs))


def is_table(expr: Any) -> bool:
    """Whether this is a call of one of the two operators."""
    return op_name(expr) in (_TABLE, _PIECEWISE)


def mark(call: relay.Call) -> dict[str, Any]:
    """The report's entry for a call."""
    told = {name: str(call.attrs[name]) for name in ("method", "source", "shape")}
    found = {"operator": TABLE, "special_values": "-", **told}
    if op_name(call) == _TABLE:
        return found
    apart = _read(call.attrs).error
    return {**found, "steps": apart.max, "witness": apart.witness}


def _read(attrs: tvm.ir.Attrs) -> IntegerTable:
    return IntegerTable.from_json(str(attrs["table"]))


def _looked_up(_: tvm.ir.Attrs, inputs: list[te.Tensor], __: relay.Type) -> list[te.Tensor]:
    x, table = inputs

    def entry(*i: tir.PrimExpr) -> tir.PrimExpr:
        at = tir.reinterpret("uint8", x(*i)) if x.dtype == "int8" else x(*i)
        return table[tir.Cast("int32", at)]

    return [te.compute(x.shape, entry, name=_TABLE, tag=_INLINED)]


def _computed(attrs: tvm.ir.Attrs, inputs: list[te.Tensor], _: relay.Type) -> list[te.Tensor]:
    (x,), table = inputs, _read(attrs)

    def value(*i: tir.PrimExpr) -> tir.PrimExpr:
        return piecewise_linear(x(*i), table)

    return [te.compute(x.shape, value, name=_PIECEWISE, tag=_INLINED)]


def _type(types: list[relay.Type], attrs: tvm.ir.Attrs) -> relay.Type | None:
    x = types[0]
    if isinstance(x, relay.IncompleteType):
        return None
    return relay.TensorType(x.shape, str(attrs["dtype"]))


def _shape(_: tvm.ir.Attrs, inputs: list[te.Tensor], __: list) -> list[te.Tensor]:
    return [tvm.topi.identity(inputs[0])]


def _declare(name: str, description: str, operands: int, compute: Compute) -> None:
    op = register_op(name, description)
    op.set_num_inputs(operands)
    op.add_type_rel("".join(word.title() for word in name.split("_")), _type)
    registry.register_shape_func(name, False, _shape)
    registry.register_stateful(name, False)
    registry.register_pattern(name, OpPattern.ELEMWISE)
    registry.register_compute(name, compute=compute)
    registry.register_injective_schedule(name)


if _TABLE not in tvm.ir.Op.list_op_names():
    _declare(_TABLE, "the table's entry for each byte", 2, _looked_up)
    _declare(_PIECEWISE, "a piecewise-linear function of integers", 1, _computed)
