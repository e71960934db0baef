"""Kernels no larger than compiles well: what FuseOps puts together is cut where it is too much.

Runs behind FuseOps and looks at each function that it made. One whose elements take more than
``LARGEST`` (:mod:`kernel_size`) goes back into its caller. The pattern of an operator there tells
FuseOps where to cut, and it runs again. Other functions stay as they are, so do those of unknown
extents, which TVM gives names of their own in each function; and a module without large ones is
returned as it is.
"""

from collections.abc import Callable, Iterator

import tvm
from tvm import relax

from quake_tvm.generation import tir, updated

from .kernel_size import Size, size
from .relax_graph import functions, op_name

# In nodes of an element's expression: a dozen nonlinearities or so. The largest kernel of three
# real models has 321.
LARGEST = 1024
# TVM's attribute of an operator's pattern. Nothing is fused behind a reduction, and behind a
# product only what broadcasts.
_PATTERN, _INJECTIVE, _REDUCTION, _PRODUCT = "op_pattern", 2, 3, 4

Patterns = dict[relax.Var, int]


def _fused(mod: tvm.IRModule) -> Iterator[tuple[tvm.ir.GlobalVar, relax.Function]]:
    """The functions of known extents that FuseOps has made."""
    for name, function in functions(mod):
        made = function.attrs and function.attrs.get("Primitive")
        if made and not relax.analysis.defined_symbolic_vars(function):
            yield name, function


def _kernels(function: relax.Function) -> dict[relax.Var, relax.Call]:
    """The calls of PrimFuncs in a fused function by their variables, in order."""
    (block,) = function.body.blocks
    calls = ((binding.var, binding.value) for binding in block.bindings)
    return {var: call for var, call in calls if op_name(call) == "relax.call_tir"}


def _cuts(mod: tvm.IRModule, function: relax.Function, known: dict[tir.PrimFunc, Size]) -> Patterns:
    """Where a fused function is to be cut: its calls that get another pattern."""
    calls, cuts = _kernels(function), {}
    patterns = {var: int(mod[call.args[0]].attrs[_PATTERN]) for var, call in calls.items()}
    product = _PRODUCT in patterns.values()
    sizes: dict[relax.Var, int] = {}
    for var, call in calls.items():
        kernel = mod[call.args[0]]
        if kernel not in known:
            known[kernel] = size(kernel)
        args = list(call.args[1])
        inside = [arg for arg in args if arg in sizes]

        def total(args: list[relax.Expr] = args, kernel: tir.PrimFunc = kernel) -> int:
            return known[kernel].of([sizes.get(arg, 1) for arg in args])

        while total() > LARGEST and any(sizes[arg] > 1 for arg in inside):
            largest = max(inside, key=sizes.__getitem__)
            sizes[largest] = 1
            if product:  # the rest is no part of what follows the product
                cuts[var] = _INJECTIVE
            else:
                cuts[largest] = _REDUCTION
        product = product and var not in cuts
        sizes[var] = total()
    return cuts


@tvm.transform.module_pass(opt_level=0, name="LimitFusion")
class LimitFusion:
    """Cut fused functions that are too large."""

    def transform_module(self, mod: tvm.IRModule, _: tvm.transform.PassContext) -> tvm.IRModule:
        """Cut until nothing is too large, or cannot be cut."""
        known: dict[tir.PrimFunc, Size] = {}
        while large := {
            name: (function, cuts)
            for name, function in _fused(mod)
            if (cuts := _cuts(mod, function, known))
        }:
            mod = relax.transform.FuseOps()(_opened(mod, large))
        return mod


def _opened(
    mod: tvm.IRModule, large: dict[tvm.ir.GlobalVar, tuple[relax.Function, Patterns]]
) -> tvm.IRModule:
    """The module with these functions put back into their callers, and their cuts marked."""
    builder = relax.BlockBuilder(mod)

    def marked(call: relax.Call, pattern: int) -> relax.Call:
        kernel = mod[call.args[0]].with_attr(_PATTERN, pattern)
        name = builder.add_func(kernel, call.args[0].name_hint)
        args = [name, *call.args[1:]]
        return relax.Call(call.op, args, call.attrs, call.ty_args, ret_ty=call.ty)

    opened = {name: _with_cuts(*each, marked) for name, each in large.items()}
    result = builder.get()
    callers = {
        name: function.inline_functions(opened)
        for name, function in functions(mod)
        if name not in opened and not (function.attrs and function.attrs.get("Primitive"))
    }
    result = updated(result, callers)
    return tvm.IRModule(
        {name: f for name, f in result.functions_items() if name not in opened},
        attrs=mod.attrs,
        global_infos=mod.global_infos,
    )


def _with_cuts(
    function: relax.Function, cuts: Patterns, marked: Callable[[relax.Call, int], relax.Call]
) -> relax.Function:
    (block,) = function.body.blocks
    bindings = [
        relax.VarBinding(each.var, marked(each.value, cuts[each.var])) if each.var in cuts else each
        for each in block.bindings
    ]
    body = relax.SeqExpr([relax.DataflowBlock(bindings)], function.body.body)
    return relax.Function(function.params, body, function.ret_ty, attrs=function.attrs)
