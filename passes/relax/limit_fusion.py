"""Split fused functions that are too large to compile well.

Runs after FuseOps and measures each function that FuseOps made. A function whose element has more
than ``LARGEST`` nodes (:mod:`kernel_size`) is inlined into its caller again. The patterns of its
operators are changed where FuseOps must cut, and FuseOps runs again. Other functions are unchanged,
and so is a module without large ones.

FuseOps renames symbolic extents in each function. Before a function is inlined, its extents get the
names of the call's arguments.
"""

from collections.abc import Callable, Container, Iterator

import tvm
import tvm_ffi
from tvm import relax
from tvm.relax.utils import copy_with_new_vars

from quake_tvm.tvm_version import Expr, Pass, tir, updated

from ..kernel_size import Size, size
from .graph import functions, known_shape, op_name

# The largest size in nodes of an element's expression: about a dozen nonlinearities. The largest
# kernel of three real models has 321.
LARGEST = 1024
# TVM's attribute with an operator's pattern, and its values. Nothing is fused after a reduction.
# Only operators that broadcast are fused after a product.
_PATTERN, _INJECTIVE, _REDUCTION, _PRODUCT = "op_pattern", 2, 3, 4

Patterns = dict[relax.Var, int]


def _is_fused(function: relax.Function) -> bool:
    return bool(function.attrs and function.attrs.get("Primitive"))


def _fused(mod: tvm.IRModule) -> Iterator[tuple[tvm.ir.GlobalVar, relax.Function]]:
    """The functions that FuseOps has made."""
    for name, function in functions(mod):
        if _is_fused(function):
            yield name, function


def _count(mod: tvm.IRModule) -> int:
    """The number of calls of kernels, including those that FuseOps has not fused."""
    fused = {name for name, _ in _fused(mod)}
    calls = 0

    def see(call: relax.Call) -> None:
        nonlocal calls
        calls += call.op in fused or op_name(call) == "relax.call_tir"

    for name, function in functions(mod):
        if name not in fused:
            tvm_ffi.structural_walk(function, (relax.Call, see))
    return calls


def _kernels(function: relax.Function) -> dict[relax.Var, relax.Call]:
    """The calls of PrimFuncs in a fused function, by variable, in order."""
    (block,) = function.body.blocks
    calls = ((binding.var, binding.value) for binding in block.bindings)
    return {var: call for var, call in calls if op_name(call) == "relax.call_tir"}


def _cuts(mod: tvm.IRModule, function: relax.Function, known: dict[tir.PrimFunc, Size]) -> Patterns:
    """Where to cut a fused function: the calls that get another pattern, with the pattern."""
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
            if product:  # this call and what follows it leave the product's kernel
                cuts[var] = _INJECTIVE
            else:
                cuts[largest] = _REDUCTION
        product = product and var not in cuts
        # What is behind a product reads its sum, and does not repeat it.
        sizes[var] = 1 if patterns[var] == _PRODUCT else total()
    return cuts


@tvm.transform.module_pass(opt_level=0, name="LimitFusion")
class LimitFusion(Pass):
    """Split fused functions that are too large."""

    def transform_module(self, mod: tvm.IRModule, _: tvm.transform.PassContext) -> tvm.IRModule:
        """Split until no function is too large, or until none can be split further."""
        known: dict[tir.PrimFunc, Size] = {}
        while large := {name: f for name, f in _fused(mod) if _cuts(mod, f, known)}:
            smaller = relax.transform.FuseOps()(_opened(mod, large, known))
            if _count(smaller) <= _count(mod):
                break
            mod = smaller
        return mod


def _opened(
    mod: tvm.IRModule,
    large: dict[tvm.ir.GlobalVar, relax.Function],
    known: dict[tir.PrimFunc, Size],
) -> tvm.IRModule:
    """The module with these functions inlined into their callers, and with the cuts marked."""
    builder = relax.BlockBuilder(mod)

    def marked(call: relax.Call, pattern: int) -> relax.Call:
        kernel = mod[call.args[0]].with_attr(_PATTERN, pattern)
        name = builder.add_func(kernel, call.args[0].name_hint)
        args = [name, *call.args[1:]]
        return relax.Call(call.op, args, call.attrs, call.ty_args, ret_ty=call.ty)

    def body(call: relax.Call) -> relax.SeqExpr:
        function = _with_extents(copy_with_new_vars(large[call.op]), call)
        cut = _with_cuts(function, _cuts(mod, function, known), marked)
        return cut.bind_params(dict(zip(cut.params, call.args, strict=True))).body

    callers = {
        name: _open_calls(function, large, body)
        for name, function in functions(mod)
        if not _is_fused(function)
    }
    result = updated(builder.get(), callers)
    result = tvm.IRModule(
        {name: f for name, f in result.functions_items() if name not in large},
        attrs=mod.attrs,
        global_infos=mod.global_infos,
    )
    return relax.transform.CanonicalizeBindings()(result)


def _open_calls(
    caller: relax.Function,
    names: Container[tvm.ir.GlobalVar],
    body: Callable[[relax.Call], relax.SeqExpr],
) -> relax.Function:
    """The function with the calls of some functions replaced by their bodies, in branches too.

    TVM's own inlining renames symbolic extents.
    """

    def see(block: relax.BindingBlock) -> relax.BindingBlock:
        bindings: list[relax.Binding] = []
        for binding in block.bindings:
            call = binding.value
            if not isinstance(call, relax.Call) or call.op not in names:
                bindings.append(binding)
                continue
            opened = body(call)
            bindings += [each for inner in opened.blocks for each in inner.bindings]
            bindings.append(relax.VarBinding(binding.var, opened.body))
        return type(block)(bindings)

    return tvm_ffi.structural_map(caller, (relax.BindingBlock, see))


def _with_extents(function: relax.Function, call: relax.Call) -> relax.Function:
    """The function with its symbolic extents replaced by those of the call's arguments."""
    own = list(relax.analysis.defined_symbolic_vars(function))
    pairs = zip(function.params, call.args, strict=True)
    extents = {
        mine: theirs
        for param, arg in pairs
        for mine, theirs in zip(_extents(param), _extents(arg), strict=True)
        if any(mine.same_as(each) for each in own)
    }
    return function.bind_symbolic_vars(extents) if own else function


def _extents(expr: relax.Expr) -> list[Expr]:
    """The extents in the expression's type."""
    if isinstance(expr.ty, relax.ShapeType):
        return list(expr.ty.values or [])
    return list(expr.ty.shape) if known_shape(expr) else []


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
