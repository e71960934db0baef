"""The operator ``quake.table``: a table's entry for each byte of a tensor.

The table is an attribute, so that the operator has one operand, as other element-wise ones. It
becomes a PrimFunc that TVM fuses. Knows no chain that a table replaces.
"""

import json

import numpy as np
import tvm
from tvm import relax, te

from quake_tvm.numerics import byte_tables  # registers the targets' instructions
from quake_tvm.report import TABLE
from quake_tvm.tvm_version import make_attrs, tir

from ..lower_tir import SITES
from .declare import declare
from .graph import dtype
from .legalize import legalize

NAME = "quake.table"
_ELEMENTWISE = {"op_pattern": 0}  # TVM's kElemWise: the reads of the table hide it from TVM


def _infer_type(call: relax.Call, _: relax.BlockBuilder) -> relax.Type:
    x = call.args[0].ty
    if x.shape is None:
        return relax.TensorType(dtype=str(call.attrs["dtype"]), ndim=x.ndim)
    return relax.TensorType(x.shape, str(call.attrs["dtype"]))


declare(NAME, "the table's entry for each byte", _infer_type)


def look_up(x: relax.Expr, table: np.ndarray, source: str = "") -> relax.Call:
    """A call of the operator.

    Parameters
    ----------
    x : Expr
        int8 or uint8.
    table : np.ndarray
        int8 or uint8, of 256 entries, from the smallest value of x to the largest.
    source : str
        The operators that the table replaces, for the report.
    """
    attrs = {"entries": table.tobytes().hex(), "dtype": str(table.dtype), "source": source}
    return relax.Call(tvm.ir.Op.get(NAME), [x], make_attrs(**attrs))


def table_of(call: relax.Call) -> np.ndarray:
    """The table of a call, as given."""
    raw = bytes.fromhex(str(call.attrs["entries"]))
    return np.frombuffer(raw, np.dtype(str(call.attrs["dtype"])))


def _read(x: te.Tensor, table: te.Tensor) -> te.Tensor:
    def entry(*i: tir.Expr) -> tir.Expr:
        at = x(*i)
        at = tir.reinterpret("uint8", at) if x.dtype == "int8" else at
        return table[tir.Cast("int32", at)]

    return te.compute(x.shape, entry, name="quake_table")


def _legalize(builder: relax.BlockBuilder, call: relax.Call) -> relax.Expr:
    (x,), table = call.args, table_of(call)
    if dtype(x) == "int8":  # read by its bits
        table = np.roll(table, byte_tables.ENTRIES // 2)
    mark = {"operator": TABLE, "method": "exact", "special_values": "-"}
    marks = [{**mark, "source": str(call.attrs["source"])}]
    attrs = {SITES: json.dumps(marks), **_ELEMENTWISE}
    return builder.call_te(
        _read, x, relax.const(table), primfunc_name_hint=TABLE, primfunc_attrs=attrs
    )


def lower(mod: tvm.IRModule) -> tvm.IRModule:
    """The module with PrimFuncs instead of the operator."""
    return legalize(mod, {NAME: _legalize})
