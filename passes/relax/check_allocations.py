"""Check sizes that are computed at run time before tensors of these sizes are allocated.

A size may be negative, and the bytes of a tensor may exceed 64 bits. TVM would then allocate too
little memory, and a kernel would write past its end. One call checks all shapes whose extents are
products of plain sizes, as soon as these sizes are known. Other shapes are checked before their
first use, because an operator's own check with a better message may come first. Constant shapes are
not checked. Knows no operator.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import tvm
import tvm_ffi
from tvm import relax, tirx
from tvm.relax.expr_functor import PyExprMutator, mutator
from tvm.s_tir.stmt import SBlock

from quake_tvm.tvm_version import Pass, dtype_of

from .graph import Extent, functions

# The most elements of a tensor: far more than fit in memory, and their bytes fit in 63 bits.
MOST = 2**40
# The largest intermediate value in the computation of a size, as a float.
_MOST_BETWEEN = 0.99 * 2.0**63
_NUMBER = re.compile(r"T\.int64\((-?\d+)\)")
Shape = list[Any]


def variables(exprs: Iterable[Any]) -> set[tirx.Var]:
    """The variables in some sizes."""
    found: set[tirx.Var] = set()
    for expr in exprs:
        if not isinstance(expr, int):
            tvm_ffi.structural_walk(expr, [(tirx.Var, found.add)])
    return found


def _is_open(size: Any) -> bool:
    return not isinstance(size, int | tirx.IntImm)


def _fits(expr: Any) -> Any:
    """Whether all sums, differences and products in an integer expression fit in 63 bits."""
    found: list[Any] = []

    def wide(value: Any) -> Any:
        return tirx.Cast("float64", value)

    def see(node: tirx.Add | tirx.Sub | tirx.Mul) -> None:
        if "int" in dtype_of(node):
            a, b = wide(node.a), wide(node.b)
            whole = a * b if isinstance(node, tirx.Mul) else type(node)(a, b)
            found.append(tirx.abs(whole) < _MOST_BETWEEN)

    tvm_ffi.structural_walk(expr, [((tirx.Add, tirx.Sub, tirx.Mul), see)])
    return tirx.all(*found) if found else None


def divisors(expr: Any) -> Iterator[Any]:
    """The symbolic divisors in an integer expression."""
    found: list[Any] = []
    kinds = (tirx.FloorDiv, tirx.FloorMod, tirx.Div, tirx.Mod)
    tvm_ffi.structural_walk(expr, [(kinds, lambda division: found.append(division.b))])
    return filter(_is_open, found)


def _words(shape: Shape) -> str:
    text = ", ".join(_NUMBER.sub(r"\1", str(size)) for size in shape)
    return f"({text},)" if len(shape) == 1 else f"({text})"


def _is_negative(size: Any) -> bool:
    """Whether this is a negative constant. Products with one are not split into factors."""
    return not _is_open(size) and int(size) < 0


def _factors(shape: Shape) -> tuple[int, list[Any]]:
    """The factors of a shape's elements: a constant, in which 0 counts as 1, and the rest."""
    number, rest, todo = 1, [], list(shape)
    while todo:
        size = todo.pop()
        if isinstance(size, tirx.Mul) and not _is_negative(size.a) and not _is_negative(size.b):
            todo += [size.a, size.b]
        elif _is_open(size):
            rest.append(size)
        else:
            number *= int(size) or 1
    return number, rest


def _statements(shape: Shape) -> Iterator[tirx.Stmt]:
    """Statements that end the run if a shape is impossible."""

    def hold(condition: Any, problem: str) -> tirx.Stmt:
        kind = tvm.ir.StringImm("IndexError")
        text = tvm.ir.StringImm(f"a tensor of computed shape {_words(shape)}: {problem}")
        return tirx.AssertStmt(condition, kind, [text])

    number, factors = _factors(shape)
    for factor in factors:
        for divisor in divisors(factor):
            yield hold(divisor != 0, "it divides by 0")
        fits = _fits(factor)
        if fits is not None:
            yield hold(fits, "a size exceeds 63 bits")
    yield hold(tirx.all(*[factor >= 0 for factor in factors]), "a size is negative")
    elements: Any = tirx.const(float(number), "float64")
    for factor in factors:
        elements *= tirx.max(tirx.Cast("float64", factor), tirx.const(1.0, "float64"))
    yield hold(
        elements <= float(MOST), f"its sizes multiply to more than 2^{MOST.bit_length() - 1}"
    )


def _check(shapes: list[Shape]) -> tuple[tirx.PrimFunc, list[tirx.Var]]:
    """A kernel that checks the shapes, and the sizes that are its parameters."""
    used = sorted(variables(size for s in shapes for size in s), key=lambda v: v.name)
    statements = [statement for shape in shapes for statement in _statements(shape)]
    function = tirx.PrimFunc(used, tirx.SeqStmt([*statements, tirx.Evaluate(0)]))
    return function.with_attr("tirx.is_scheduled", True), used


class _Places:
    """The positions at which shapes are checked.

    Of shapes that differ in a constant factor only, the largest is checked.
    """

    def __init__(self, bindings: Sequence[relax.Binding]) -> None:
        self._defined = [_defined(binding) for binding in bindings]
        self._shapes: dict[int, dict[frozenset, tuple[int, Shape]]] = {}
        self._held: dict[frozenset, int] = {}

    def add(self, shape: Shape, k: int) -> None:
        """Request a check of a shape that binding number ``k`` needs."""
        number, factors = _factors(shape)
        if not factors:
            return
        extents = [Extent(factor) for factor in factors]
        key = frozenset((extent, extents.count(extent)) for extent in extents)
        at = k - 1
        if all(isinstance(factor, tirx.Var) for factor in factors):
            used = variables(factors)
            at = max((k for k, new in enumerate(self._defined) if new & used), default=-1)
        elif number <= self._held.get(key, 0):
            return
        self._held[key] = number
        found = self._shapes.setdefault(at, {})
        if number > found.get(key, (0, []))[0]:
            found[key] = number, shape

    def behind(self, k: int) -> list[Shape]:
        """The shapes to check after binding number ``k``; -1 is the start."""
        return [shape for _, shape in self._shapes.get(k, {}).values()]


def _workspaces(function: tirx.PrimFunc) -> list[Shape]:
    """The symbolic shapes that a kernel allocates itself.

    Of a local buffer TVM keeps no more than a tile, in registers.
    """
    found: list[tirx.Buffer] = []
    callbacks = [
        (SBlock, lambda block: found.extend(block.alloc_buffers)),
        (tirx.AllocBuffer, lambda alloc: found.append(alloc.buffer)),
    ]
    tvm_ffi.structural_walk(function.body, callbacks)
    shapes = (list(buffer.shape) for buffer in found if buffer.scope() != "local")
    return [shape for shape in shapes if any(map(_is_open, shape))]


class _Needs:
    """The shapes that a binding needs, in terms of the sizes of the calling function."""

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
            if variables(shape) <= sizes.keys()
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
        """Insert the checks."""
        bindings = [binding for block in body.blocks for binding in block.bindings]
        places = _Places(bindings)
        for k, binding in enumerate(bindings):
            for shape in self._needs.of(binding.value):
                places.add(shape, k)
        if not any(map(places.behind, range(-1, len(bindings)))):
            return super().visit_seq_expr_(body)
        k = -1
        blocks: list[relax.BindingBlock] = []
        for block in body.blocks:
            inside = self._call(places.behind(-1)) if not blocks else []
            for binding in block.bindings:
                k += 1
                inside += [binding, *self._call(places.behind(k))]
            blocks.append(type(block)(inside))
        return super().visit_seq_expr_(relax.SeqExpr(blocks, body.body))

    def _call(self, shapes: list[Shape]) -> list[relax.Binding]:
        if not shapes:
            return []
        function, used = _check(shapes)
        name = self.builder_.add_func(function, "check_allocations")
        call = relax.Call(name, used, ty_args=[relax.TupleType([])])
        return [relax.VarBinding(relax.Var("checked", relax.TupleType([])), call)]


@tvm.transform.module_pass(opt_level=0, name="CheckAllocations")
class CheckAllocations(Pass):
    """Insert the checks.

    The pass runs when memory is allocated but not planned yet, and calls are no longer pure.
    """

    def transform_module(self, mod: tvm.IRModule, _: tvm.transform.PassContext) -> tvm.IRModule:
        """Rewrite the functions. A module without computed sizes is unchanged."""
        checker = _Checker(mod)
        for name, function in functions(mod):
            changed = checker.visit_expr(function)
            if not changed.same_as(function):
                checker.builder_.update_func(name, changed)
        return checker.builder_.get()
