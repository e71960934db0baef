"""Names for long values, as memory that LLVM may keep in registers.

TVM's code generator tells its analyzer what every ``Let`` stands for, and the analyzer writes the
value out wherever the name is used, in the value of the next name too: each nonlinearity that feeds
another multiplies the work. So where a value would be long when written out, the names of
its statement become buffers of their own, which LLVM's first passes can turn into registers.

Stands in front of TVM's code generator, as :mod:`quake_tvm.numerics.single_rounding` does. Where no
value is long, which is everywhere but in chains of nonlinearities, nothing changes. Knows no
operator and no schedule.
"""

import tvm

from ..tvm_version import (
    IF_THEN_ELSE,
    Again,
    Call,
    Expr,
    Stmt,
    alloc,
    descend,
    dtype_of,
    map_stores,
    nest,
    replace_build,
    tir,
    updated,
)

# Names in a value and itself, each counted with those in its own. No operator has as many.
LONGEST = 4096


class _Lengths:
    """How long the values of the names in an expression are when written out.

    Attributes
    ----------
    longest : int
    """

    def __init__(self, expr: Expr) -> None:
        self.longest, self._length = 0, 0
        self._lengths: dict[tir.Var, int] = {}
        descend(expr, {tir.Let: self._let, tir.Var: self._var})

    def _let(self, node: tir.Let, visit: Again) -> Expr:
        outer, self._length = self._length, 1
        visit(node.value)
        self._lengths[node.var] = self._length
        self.longest = max(self.longest, self._length)
        self._length = outer
        visit(node.body)
        return node

    def _var(self, var: tir.Var, _: Again) -> Expr:
        self._length += self._lengths.get(var, 1)
        return var


class _Kept:
    """An expression whose names are buffers.

    Attributes
    ----------
    before : list of Stmt
        What is to be done before.
    value : Expr
    """

    def __init__(self, expr: Expr) -> None:
        self.before: list[Stmt] = []
        self._values: dict[tir.Var, Expr] = {}
        self._conditions: list[Expr] = []
        self.value = descend(expr, {tir.Let: self._let, tir.Var: self._var, Call: self._call})

    def _let(self, node: tir.Let, rewrite: Again) -> Expr:
        value = rewrite(node.value)
        # Vectors of truth values have bits in LLVM and bytes in memory.
        boolean = dtype_of(value).startswith("bool")
        self._values[node.var] = value if boolean else self._stored(value)
        return rewrite(node.body)

    def _stored(self, value: Expr) -> Expr:
        """A load of the value from a buffer of its own."""
        element, _, several = dtype_of(value).partition("x")
        lanes = int(several or 1)
        buffer = tir.decl_buffer((lanes,), element, "kept", scope="local")
        at = [tir.Ramp(0, 1, lanes) if lanes > 1 else 0]
        store: Stmt = tir.BufferStore(buffer, value, at)
        for condition in reversed(self._conditions):
            store = tir.IfThenElse(condition, store, None)
        self.before += [alloc(buffer), store]
        return tir.BufferLoad(buffer, at)

    def _var(self, var: tir.Var, _: Again) -> Expr:
        return self._values.get(var, var)

    def _call(self, call: Call, rewrite: Again) -> Expr | None:
        """What is computed under a condition only is stored under it only."""
        if not isinstance(call.op, tvm.ir.Op) or call.op.name != IF_THEN_ELSE:
            return None
        condition = rewrite(call.args[0])
        branches = []
        for each, branch in zip((condition, tir.Not(condition)), call.args[1:], strict=True):
            self._conditions.append(each)
            branches.append(rewrite(branch))
            self._conditions.pop()
        return tir.if_then_else(condition, *branches)


def _store(node: tir.BufferStore) -> Stmt:
    if _Lengths(node.value).longest <= LONGEST:
        return node
    kept = _Kept(node.value)
    return nest(tir.SeqStmt([*kept.before, tir.BufferStore(node.buffer, kept.value, node.indices)]))


def shortened(function: tir.PrimFunc) -> tir.PrimFunc:
    """The function with the names of long values in buffers; itself if it has none."""
    body = map_stores(function.body, _store)
    return function if body.same_as(function.body) else function.with_body(body)


def shorten(mod: tvm.IRModule, _: tvm.target.Target) -> tvm.IRModule:
    """The module with its functions so; itself if there is nothing to do."""
    functions = {}
    for name, function in mod.functions.items():
        if isinstance(function, tir.PrimFunc):
            short = shortened(function)
            if not short.same_as(function):
                functions[name] = short
    return updated(mod, functions)


replace_build("llvm", shorten)
