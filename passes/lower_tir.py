"""Lower exp, exp2, tanh, sigmoid and erf inside PrimFuncs, which graph passes do not look into.

Calls of half precision compute in float32. Those of bfloat16 numbers that the PrimFunc has computed
stay, as do PrimFuncs without such calls.
"""

import json

import tvm

from quake_tvm.numerics.ladder import LADDER
from quake_tvm.numerics.number_formats import FORMATS
from quake_tvm.numerics.operators import OPERATORS
from quake_tvm.options import Options
from quake_tvm.tvm_version import (
    PREFIX,
    Call,
    Expr,
    dtype_of,
    is_load,
    replace_calls,
    tir,
    updated,
    visit_calls,
)

# The attribute with the sites in a PrimFunc, as JSON. The report reads it.
SITES = "quake.sites"
INTRINSICS = {PREFIX + name: name for name in ("exp", "exp2", "tanh", "sigmoid", "erf")}


def _intrinsic(call: Call) -> str | None:
    return INTRINSICS.get(call.op.name) if isinstance(call.op, tvm.ir.Op) else None


def _has_bits(x: Expr) -> bool:
    """Whether TVM keeps a number in its own format. It computes bfloat16 in float32."""
    made = (
        isinstance(x, Call) and isinstance(x.op, tvm.ir.Op) and x.op.name == PREFIX + "reinterpret"
    )
    return dtype_of(x) != "bfloat16" or is_load(x) or made


def intrinsics(function: tir.PrimFunc) -> list[tuple[str, str]]:
    """(operator, dtype) of every call of an exponential intrinsic in the function."""
    found: list[tuple[str, str]] = []

    def see(call: Call) -> None:
        name = _intrinsic(call)
        if name is not None:
            found.append((name, dtype_of(call)))

    visit_calls(function.body, see)
    return found


def sites_of(function: tir.PrimFunc) -> list[dict]:
    """The sites that were lowered in the function, one dictionary each."""
    attributes = function.attrs
    return json.loads(str(attributes[SITES])) if attributes and SITES in attributes else []


def lower_function(function: tir.PrimFunc, options: Options) -> tir.PrimFunc:
    """Lower the intrinsic calls of one function, and add them to its sites."""
    chosen = {
        each: options.choose(*each, site=0).method
        for each in set(intrinsics(function))
        if each[1] in FORMATS
    }
    methods = {each: method for each, method in chosen.items() if method is not None}
    if not methods:
        return function

    lowered: set[tuple[str, str]] = set()

    def replace(call: Call) -> Expr:
        name, dtype = _intrinsic(call), dtype_of(call)
        if name is None or (name, dtype) not in methods or not _has_bits(call.args[0]):
            return call
        expression, method = OPERATORS[name].expression, methods[name, dtype]
        assert expression is not None
        lowered.add((name, method))
        x = FORMATS[dtype].widen(call.args[0])
        return FORMATS[dtype].narrow(expression(x, LADDER[method], options.ieee))

    body = replace_calls(function.body, replace)
    if not lowered:
        return function
    sites = sites_of(function) + [
        {
            "operator": name,
            "method": method,
            "special_values": "ieee" if options.ieee else "finite",
            "source": "TIR",
        }
        for name, method in sorted(lowered)
    ]
    return function.with_body(body).with_attr(SITES, json.dumps(sites))


def lower(mod: tvm.IRModule, options: Options) -> tvm.IRModule:
    """Lower the intrinsic calls in every PrimFunc of the module."""
    updates = {}
    for name, function in mod.functions.items():
        if isinstance(function, tir.PrimFunc):
            lowered = lower_function(function, options)
            if not lowered.same_as(function):
                updates[name] = lowered
    return updated(mod, updates)
