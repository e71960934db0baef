"""Sizes that are computed while a model runs are looked at before anything is as large as they say.

A size may be negative, and the bytes of a tensor may be more than 64 bits count: TVM would allocate
too little, and a kernel would write past its end. One call, as soon as the sizes are known, checks
all shapes that follow from them. Sizes that are numbers are not looked at. Knows no operator.
"""

import re
from collections.abc import Iterable, Iterator
from typing import Any

import tvm
import tvm_ffi
from tvm import relax, tirx
from tvm.relax.expr_functor import PyExprMutator, mutator
from tvm.s_tir.stmt import SBlock

from .relax_graph import Extent, functions

# Elements of a tensor, and what a size may be computed from: far more than there is memory for, and
# so few that neither bytes nor a size of a few factors pass 63 bits.
MOST = 2**40
_MOST_BETWEEN = float(2**62)
_NUMBER = re.compile(r"T\.int64\((-?\d+)\)")
Shape = list[Any]


def _variables(exprs: Iterable[Any]) -> set[tirx.Var]:
    found: set[tirx.Var] = set()
    for expr in exprs:
        if not isinstance(expr, int):
            tvm_ffi.structural_walk(expr, [(tirx.Var, found.add)])
    return found


def _is_open(size: Any) -> bool:
    return not isinstance(size, int | tirx.IntImm)


def _magnitude(expr: Any) -> Any:
    """No less, as a float, than any value on the way to an integer expression's own."""
    if isinstance(expr, tirx.Add | tirx.Sub):
        return _magnitude(expr.a) + _magnitude(expr.b)
    if isinstance(expr, tirx.Mul):
        return _magnitude(expr.a) * _magnitude(expr.b)
    if isinstance(expr, tirx.Min | tirx.Max):
        return tirx.max(_magnitude(expr.a), _magnitude(expr.b))
    if isinstance(expr, tirx.FloorDiv | tirx.FloorMod | tirx.Div | tirx.Mod):
        return tirx.max(_magnitude(expr.a), _magnitude(expr.b))
    if isinstance(expr, tirx.Select):
        return tirx.max(_magnitude(expr.true_value), _magnitude(expr.false_value))
    if isinstance(expr, tirx.Cast):
        return _magnitude(expr.value)
    return tirx.abs(tirx.Cast("float64", expr))


def _divisors(expr: Any) -> Iterator[Any]:
    found: list[Any] = []
    kinds = (tirx.FloorDiv, tirx.FloorMod, tirx.Div, tirx.Mod)
    tvm_ffi.structural_walk(expr, [(kinds, lambda division: found.append(division.b))])
    return filter(_is_open, found)


def _words(shape: Shape) -> str:
    text = ", ".join(_NUMBER.sub(r"\1", str(size)) for size in shape)
    return f"({text},)" if len(shape) == 1 else f"({text})"


def _factors(shape: Shape) -> tuple[int, list[Any]]:
    """What the elements of a shape multiply from: a number, where 0 counts as 1, and the rest."""
    number, rest, todo = 1, [], list(shape)
    while todo:
        size = todo.pop()
        if isinstance(size, tirx.Mul):
            todo += [size.a, size.b]
        elif _is_open(size):
            rest.append(size)
        else:
            number *= int(size) or 1
    return number, rest


def _statements(shape: Shape) -> Iterator[tirx.Stmt]:
    """What ends the run where a shape cannot be."""

    def hold(condition: Any, problem: str) -> tirx.Stmt:
        kind = tvm.ir.StringImm("IndexError")
        text = tvm.ir.StringImm(f"a tensor of computed shape {_words(shape)}: {problem}")
        return tirx.AssertStmt(condition, kind, [text])

    number, factors = _factors(shape)
    for factor in factors:
        for divisor in _divisors(factor):
            yield hold(divisor != 0, "it divides by 0")
        if not isinstance(factor, tirx.Var):
            yield hold(_magnitude(factor) < _MOST_BETWEEN, "a size passes 62 bits")
    yield hold(tirx.all(*[factor >= 0 for factor in factors]), "a size is negative")
    elements: Any = tirx.const(float(abs(number)), "float64")
    for factor in factors:
        elements *= tirx.max(tirx.Cast("float64", factor), tirx.const(1.0, "float64"))
    yield hold(
        elements <= float(MOST), f"its sizes multiply to more than 2^{MOST.bit_length() - 1}"
    )


def _check(shapes: list[Shape]) -> tuple[tirx.PrimFunc, list[tirx.Var]]:
    """A kernel that holds the shapes, and the sizes that it takes."""
    variables = sorted(_variables(size for s in shapes for size in s), key=lambda v: v.name)
    statements = [statement for shape in shapes for statement in _statements(shape)]
    function = tirx.PrimFunc(variables, tirx.SeqStmt([*statements, tirx.Evaluate(0)]))
    return function.with_attr("tirx.is_scheduled", True), variables


def _widest(shapes: list[Shape]) -> list[Shape]:
    """Of shapes that multiply from the same but for a number, the one with most elements."""
    found: dict[frozenset, tuple[int, Shape]] = {}
    for shape in shapes:
        number, factors = _factors(shape)
        extents = [Extent(factor) for factor in factors]
        key = frozenset((extent, extents.count(extent)) for extent in extents)
        if extents and abs(number) > found.get(key, (0, []))[0]:
            found[key] = abs(number), shape
    return [shape for _, shape in found.values()]


def _workspaces(function: tirx.PrimFunc) -> list[Shape]:
    """The shapes that a kernel allocates itself."""
    found: list[Shape] = []
    callbacks = [
        (SBlock, lambda block: found.extend(list(b.shape) for b in block.alloc_buffers)),
        (tirx.AllocBuffer, lambda alloc: found.append(list(alloc.buffer.shape))),
    ]
    tvm_ffi.structural_walk(function.body, callbacks)
    return [shape for shape in found if any(map(_is_open, shape))]


class _Needs:
    """The shapes that a binding needs, in the sizes of the function that it is in."""

    def __init__(self, mod: tvm.IRModule) -> None:
        self._mod = mod
        self._known: dict[tvm.ir.GlobalVar, list[Shape]] = {}

    def of(self, value: relax.Expr) -> list[Shape]:
        if not isinstance(value, relax.Call):
            return []
        needed = [list(a.values) for a in value.args if isinstance(a, relax.ShapeExpr)]
        if isinstance(value.op, tvm.ir.GlobalVar):
            needed += self._inside(value)
        return needed

    def _inside(self, call: relax.Call) -> list[Shape]:
        function = self._mod[call.op]
        if not isinstance(function, tirx.PrimFunc):
            return []
        if call.op not in self._known:
            self._known[call.op] = _workspaces(function)
        if not self._known[call.op]:
            return []
        sizes: dict[tirx.Var, Any] = {}
        for parameter, argument in zip(function.params, call.args, strict=True):
            pairs = [(parameter, argument)]
            if isinstance(parameter.ty, tirx.BufferType):
                pairs = list(zip(parameter.ty.shape, argument.ty.shape, strict=True))
            sizes |= {size: given for size, given in pairs if isinstance(size, tirx.Var)}
        return [
            [tvm_ffi.structural_map(n, [(tirx.Var, sizes.get)]) for n in shape]
            for shape in self._known[call.op]
            if _variables(shape) <= sizes.keys()
        ]


def _defined(binding: relax.Binding) -> set[tirx.Var]:
    if not isinstance(binding, relax.MatchCast):
        return set()
    return set(relax.analysis.definable_tir_vars_in_type(binding.ty))


@mutator
class _Checker(PyExprMutator):
    def __init__(self, mod: tvm.IRModule) -> None:
        super().__init__(mod)
        self._needs = _Needs(mod)

    def visit_seq_expr_(self, body: relax.SeqExpr) -> relax.Expr:
        """With a call at the start of the body and behind each binding that defines sizes."""
        bindings = [binding for block in body.blocks for binding in block.bindings]
        defined = [_defined(binding) for binding in bindings]
        places: dict[int, list[Shape]] = {}
        for binding in bindings:
            for shape in self._needs.of(binding.value):
                used = _variables(shape)
                at = max((k for k, new in enumerate(defined) if new & used), default=-1)
                places.setdefault(at, []).append(shape)
        checks = {at: found for at, shapes in places.items() if (found := _widest(shapes))}
        if checks:
            blocks, k = [], 0
            for block in body.blocks:
                inside = [] if blocks else self._call(checks.pop(-1, []))
                for binding in block.bindings:
                    inside += [binding, *self._call(checks.pop(k, []))]
                    k += 1
                blocks.append(type(block)(inside))
            body = relax.SeqExpr(blocks, body.body)
        return super().visit_seq_expr_(body)

    def _call(self, shapes: list[Shape]) -> list[relax.Binding]:
        if not shapes:
            return []
        function, variables = _check(shapes)
        name = self.builder_.add_func(function, "check_allocations")
        call = relax.Call(name, variables, ty_args=[relax.TupleType([])])
        return [relax.VarBinding(relax.Var("checked", relax.TupleType([])), call)]


@tvm.transform.module_pass(opt_level=0, name="CheckAllocations")
class CheckAllocations:
    """Put the calls in, where memory is allocated but not planned yet and no call is pure."""

    def transform_module(self, mod: tvm.IRModule, _: tvm.transform.PassContext) -> tvm.IRModule:
        """Rewrite; a module without computed sizes is returned as it is."""
        checker = _Checker(mod)
        for name, function in functions(mod):
            changed = checker.visit_expr(function)
            if not changed.same_as(function):
                checker.builder_.update_func(name, changed)
        return checker.builder_.get()
