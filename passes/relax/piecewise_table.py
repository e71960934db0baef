"""The operator ``quake.piecewise_table``: a piecewise-linear function of integers.

The table is an attribute. The operator becomes a PrimFunc that TVM fuses. Knows no chain that a
table replaces, and no search for tables.
"""

import json

import tvm
from tvm import relax, te

from quake_tvm.kernels.piecewise import piecewise_linear
from quake_tvm.lut.integers import IntegerTable
from quake_tvm.options import lut_method
from quake_tvm.report import TABLE
from quake_tvm.tvm_version import make_attrs

from ..lower_tir import SITES
from .declare import declare
from .legalize import legalize

NAME = "quake.piecewise_table"


def _infer_type(call: relax.Call, _: relax.BlockBuilder) -> relax.Type:
    x, to = call.args[0].ty, table_of(call).to
    if x.shape is None:
        return relax.TensorType(dtype=to, ndim=x.ndim)
    return relax.TensorType(x.shape, to)


declare(NAME, "a piecewise-linear function of integers", _infer_type)


def piecewise(x: relax.Expr, table: IntegerTable, entries: int, source: str = "") -> relax.Call:
    """A call of the operator.

    Parameters
    ----------
    x : Expr
        Integers of the type that the table takes.
    table : IntegerTable
    entries : int
        How many entries the table was allowed, for the report.
    source : str
        The operators that the table replaces, for the report.
    """
    attrs = {"table": table.to_json(), "method": lut_method(entries), "source": source}
    return relax.Call(tvm.ir.Op.get(NAME), [x], make_attrs(**attrs))


def table_of(call: relax.Call) -> IntegerTable:
    """The table of a call, as given."""
    return IntegerTable.from_json(str(call.attrs["table"]))


def _legalize(builder: relax.BlockBuilder, call: relax.Call) -> relax.Expr:
    table = table_of(call)
    mark = {
        "operator": TABLE,
        "method": str(call.attrs["method"]),
        "special_values": "-",
        "source": str(call.attrs["source"]),
        "steps": table.error.max,
        "witness": table.error.witness,
    }

    def compute(x: te.Tensor) -> te.Tensor:
        return te.compute(
            x.shape, lambda *i: piecewise_linear(x(*i), table), name="quake_piecewise_table"
        )

    return builder.call_te(
        compute,
        call.args[0],
        primfunc_name_hint=TABLE,
        primfunc_attrs={SITES: json.dumps([mark])},
    )


def lower(mod: tvm.IRModule) -> tvm.IRModule:
    """The module with PrimFuncs instead of the operator."""
    return legalize(mod, {NAME: _legalize})
