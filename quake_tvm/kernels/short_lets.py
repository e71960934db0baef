"""Store long values of ``Let`` in buffers, which LLVM may keep in registers.

TVM's code generator tells its analyzer the value of every ``Let``. The analyzer substitutes the
value wherever the variable is used, also in the value of the next ``Let``. So each nonlinearity
that feeds another multiplies the work. If a value would be long after substitution, the variables
of its statement become buffers, which LLVM's first passes can turn into registers.

The pass runs in front of TVM's code generator, as :mod:`quake_tvm.numerics.single_rounding` does.
If no value is long, nothing changes; only chains of nonlinearities have long values. Knows no
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

# The longest value allowed: 1, plus for each variable in it the length of that variable's value. No
# single operator is as long.
LONGEST = 4096


class _Lengths:
    """The lengths that the values of all ``Let`` variables inside have after substitution.

    Attributes
    ----------
    longest : int
        The largest of them.
    """

    def __init__(self, inside: Expr | Stmt) -> None:
        self.longest, self._length = 0, 0
        self._lengths: dict[tir.Var, int] = {}
        descend(inside, {tir.Let: self._let, tir.Var: self._var})

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
    """An expression whose ``Let`` variables are replaced by buffers.

    Attributes
    ----------
    before : list of Stmt
        The statements that fill the buffers.
    value : Expr
        The rewritten expression.
    """

    def __init__(self, expr: Expr) -> None:
        self.before: list[Stmt] = []
        self._values: dict[tir.Var, Expr] = {}
        self._conditions: list[Expr] = []
        self.value = descend(expr, {tir.Let: self._let, tir.Var: self._var, Call: self._call})

    def _let(self, node: tir.Let, rewrite: Again) -> Expr:
        value = rewrite(node.value)
        # Vectors of booleans are bits in LLVM and bytes in memory, so they are not stored.
        boolean = dtype_of(value).startswith("bool")
        self._values[node.var] = value if boolean else self._stored(value)
        return rewrite(node.body)

    def _stored(self, value: Expr) -> Expr:
        """A load of the value from a new buffer."""
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
        """A value that is computed under a condition is stored under the same condition."""
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
    """The function with long ``Let`` values in buffers; the same function if there are none."""
    # One walk over all stores finds that most functions need no other.
    if _Lengths(function.body).longest <= LONGEST:
        return function
    body = map_stores(function.body, _store)
    return function if body.same_as(function.body) else function.with_body(body)


def shorten(mod: tvm.IRModule, _: tvm.target.Target) -> tvm.IRModule:
    """The module with every PrimFunc :func:`shortened`; the same module if nothing changes."""
    functions = {}
    for name, function in mod.functions.items():
        if isinstance(function, tir.PrimFunc):
            short = shortened(function)
            if not short.same_as(function):
                functions[name] = short
    return updated(mod, functions)


replace_build("llvm", shorten)
