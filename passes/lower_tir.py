"""Lower exp, exp2, tanh, sigmoid and erf inside PrimFuncs that no graph pass sees through.

Only float32 scalars are touched; a PrimFunc without such calls is left as it is.
"""

import json

import tvm

from quake_tvm.approximation import LADDER
from quake_tvm.generation import replace_calls, tir, visit_calls
from quake_tvm.operators import OPERATORS
from quake_tvm.options import Options

from .lower_relax import SITES

INTRINSICS = {f"tirx.{name}": name for name in ("exp", "exp2", "tanh", "sigmoid", "erf")}


def _intrinsic(call: tvm.ir.Call) -> str | None:
    return INTRINSICS.get(call.op.name) if isinstance(call.op, tvm.ir.Op) else None


def intrinsics(function: tir.PrimFunc) -> list[tuple[str, str]]:
    """(operator, dtype) of every exponential intrinsic call in the function."""
    found: list[tuple[str, str]] = []

    def see(call: tvm.ir.Call) -> None:
        if _intrinsic(call) is not None:
            found.append((_intrinsic(call), str(call.ty.dtype)))

    visit_calls(function.body, see)
    return found


def _lower(function: tir.PrimFunc, options: Options) -> tir.PrimFunc:
    methods = {
        name: options.choose(name, dtype).method
        for name, dtype in set(intrinsics(function))
        if dtype == "float32"
    }
    methods = {name: method for name, method in methods.items() if method is not None}
    if not methods:
        return function

    def replace(call: tvm.ir.Call) -> tir.Expr:
        name = _intrinsic(call)
        if name not in methods or str(call.ty.dtype) != "float32":
            return call
        return OPERATORS[name].expression(call.args[0], LADDER[methods[name]], options.ieee)

    body = replace_calls(function.body, replace)
    earlier = json.loads(function.attrs[SITES]) if SITES in function.attrs else []
    sites = earlier + [
        {
            "operator": name,
            "method": method,
            "special_values": "ieee" if options.ieee else "finite",
            "source": "TIR",
        }
        for name, method in sorted(methods.items())
    ]
    return function.with_body(body).with_attr(SITES, json.dumps(sites))


def lower(mod: tvm.IRModule, options: Options) -> tvm.IRModule:
    """Lower the intrinsic calls in every PrimFunc of the module."""
    updates = {}
    for name, function in mod.functions_items():
        if isinstance(function, tir.PrimFunc):
            lowered = _lower(function, options)
            if not lowered.same_as(function):
                updates[name] = lowered
    if not updates:
        return mod
    mod = tvm.IRModule(mod.functions, attrs=mod.attrs, global_infos=mod.global_infos)
    for name, function in updates.items():
        mod.update_func(name, function)
    return mod
