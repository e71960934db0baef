"""The operators ``quake.<name>`` in Relax. Recognisers write them and the lowering reads them.

There is one operator for each row of the registry. It has type inference and purity, so that TVM's
own passes treat it like ``relax.nn.*``. Attributes: ``method``, ``ieee``, ``source`` and ``shape``
(the operators that the site was recognised from and its shape, for the report), the operator's
parameters, and ``axis``, ``keepdims``, ``scale``, ``shift`` where they apply.
"""

from functools import cache
from typing import Any

import tvm
from tvm import relax

from quake_tvm.numerics.operators import OPERATORS
from quake_tvm.tvm_version import make_attrs

from ..site_attrs import SiteAttrs
from .declare import declare
from .graph import op_name

PREFIX = "quake."


def _infer_type(call: relax.Call, _: relax.BlockBuilder) -> relax.Type:
    x = call.args[0].ty
    if not OPERATORS[str(operator_of(call))].reduces or x.shape is None:
        return x
    shape, axis = list(x.shape), int(call.attrs["axis"])
    rest = [1] if call.attrs["keepdims"] else []
    return relax.TensorType(shape[:axis] + rest + shape[axis + 1 :], x.dtype)


@cache
def declared(operator: str) -> tvm.ir.Op:
    """TVM's operator for a row of the registry, registered at the first call."""
    name = PREFIX + operator
    row = OPERATORS[operator]
    declare(name, row.formula, _infer_type, row.elementwise)
    return tvm.ir.Op.get(name)


for _name in OPERATORS:  # operators that users register later are declared at their first call
    declared(_name)


def call(operator: str, *args: relax.Expr, **attributes: Any) -> relax.Call:
    """A call of ``quake.<operator>``."""
    return relax.Call(declared(operator), list(args), make_attrs(**attributes))


def attributes_of(call: relax.Call) -> SiteAttrs:
    """The attributes of a call of a ``quake`` operator."""
    return SiteAttrs.from_attrs({str(key): call.attrs[key] for key in list(call.attrs.keys())})


def operator_of(expr: Any) -> str | None:
    """The name in the registry if ``expr`` calls the operator of one of its rows, else None."""
    name = op_name(expr)
    operator = name.removeprefix(PREFIX) if name.startswith(PREFIX) else None
    return operator if operator in OPERATORS else None
