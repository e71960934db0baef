"""Pass every index tensor of a gather or a scatter through ``quake_tvm.index``, which checks it.

An operator whose indices were already checked for the same extents is unchanged. Operators with the
same indices and extents share a check. Knows no kernel.
"""

from collections.abc import Callable
from math import prod
from typing import Any

import tvm
import tvm_ffi
from tvm import relax
from tvm.relax.expr_functor import PyExprMutator, mutator

from quake_tvm.errors import QuakeError
from quake_tvm.kernels.index_check import NAME, Places, checked, from_source
from quake_tvm.tvm_version import Pass, updated

from .graph import functions, op_name

# Operators that do not change the values of indices.
_MOVES = {f"relax.{n}" for n in ("reshape", "astype", "expand_dims", "squeeze", "broadcast_to")}
# The most values to visit in a search for the source of indices.
_FAR = 100
# How TVM's take treats an index in each mode. "nan" never reads outside.
_MODES = {"fast": Places.FRONT, "clip": Places.NEAREST, "wrap": Places.AROUND}
Check = Callable[..., relax.Expr]


def _sizes(expr: relax.Expr, user: str) -> list[Any]:
    if not isinstance(expr.ty, relax.TensorType) or not isinstance(expr.ty.shape, relax.ShapeExpr):
        raise QuakeError(f"{user}: the shapes of the tensor and its indices must be known")
    return [getattr(n, "value", n) for n in expr.ty.shape]


def _take(call: relax.Call, check: Check) -> list[relax.Expr]:
    data, index = call.args
    axis = 0 if call.attrs.axis is None else int(call.attrs.axis)
    mode = str(call.attrs.mode)
    if mode not in _MODES:
        return [data, index]
    return [data, check(index, [_sizes(data, "take")[axis]], _MODES[mode])]


def _gather_elements(call: relax.Call, check: Check) -> list[relax.Expr]:
    data, index = call.args
    shape, counts = _sizes(data, "gather_elements"), _sizes(index, "gather_elements")
    axis = int(call.attrs.axis) % len(shape)
    within = [(counts[k], shape[k]) for k in range(len(shape)) if k != axis]
    return [data, check(index, [shape[axis]], Places.FRONT, within)]


def _gather_nd(call: relax.Call, check: Check) -> list[relax.Expr]:
    data, index = call.args
    shape, counts = _sizes(data, "gather_nd"), _sizes(index, "gather_nd")
    batch = int(call.attrs.batch_dims)
    within = list(zip(counts[:batch], shape[:batch], strict=True))
    return [data, check(index, shape[batch : batch + counts[-1]], Places.FRONT, within)]


def _scatter_elements(call: relax.Call, check: Check) -> list[relax.Expr]:
    data, index, updates = call.args
    shape, counts, given = (_sizes(x, "scatter_elements") for x in call.args)
    axis = int(call.attrs.axis) % len(shape)
    within = [(counts[k], shape[k]) for k in range(len(shape)) if k != axis]
    within += zip(counts, given, strict=True)
    return [data, check(index, [shape[axis]], Places.ENDS, within), updates]


def _scatter_nd(call: relax.Call, check: Check) -> list[relax.Expr]:
    data, index, updates = call.args
    shape, counts, given = (_sizes(x, "scatter_nd") for x in call.args)
    wanted = [*counts[:-1], *shape[counts[-1] :]]
    within = list(zip(wanted, given, strict=True))
    return [data, check(index, shape[: counts[-1]], Places.FRONT, within), updates]


def _together(
    data: relax.Expr, indices: relax.Expr, user: str, places: Places, check: Check, most: Any = None
) -> relax.Tuple:
    """Index tensors that are broadcast together, each for one axis of the data.

    Parameters
    ----------
    data, indices : Expr
        The tensor and the tuple of index tensors.
    user : str
        The operator, for errors.
    places : Places
    check : callable
    most : int or Expr, optional
        The largest number of indexed elements.
    """
    shape = _sizes(data, user)
    counts = [_sizes(i, user) for i in indices]
    rank = max(map(len, counts))
    aligned = zip(*[[1] * (rank - len(c)) + c for c in counts], strict=True)
    columns = [[n for n in column if n != 1] or [1] for column in aligned]
    within = [pair for first, *rest in columns for n in rest for pair in ((first, n), (n, first))]
    if most is not None:
        within.append((prod(column[0] for column in columns), most))
    tensors = [
        check(index, [size], places, within if k == 0 else ())
        for k, (index, size) in enumerate(zip(indices, shape, strict=False))
    ]
    return relax.Tuple(tensors)


def _index_tensor(call: relax.Call, check: Check) -> list[relax.Expr]:
    data, indices = call.args
    return [data, _together(data, indices, "index_tensor", Places.FRONT, check)]


def _index_put(call: relax.Call, check: Check) -> list[relax.Expr]:
    data, indices, values = call.args
    most = prod(_sizes(values, "index_put"))
    return [data, _together(data, indices, "index_put", Places.ENDS, check, most), values]


# Negative indices count from the back for exactly those operators for which TVM does so.
USERS: dict[str, Callable[[relax.Call, Check], list[relax.Expr]]] = {
    "relax.take": _take,
    "relax.gather_elements": _gather_elements,
    "relax.gather_nd": _gather_nd,
    "relax.scatter_elements": _scatter_elements,
    "relax.scatter_nd": _scatter_nd,
    "relax.index_tensor": _index_tensor,
    "relax.index_put": _index_put,
}


@mutator
class _Checker(PyExprMutator):
    def __init__(self, mod: tvm.IRModule) -> None:
        super().__init__(mod)
        self._seen: list[tuple[relax.Call, relax.Var]] = []
        self.refused: list[QuakeError] = []

    def visit_dataflow_block_(self, block: relax.DataflowBlock) -> relax.BindingBlock:
        return self._apart(super().visit_dataflow_block_, block)

    def visit_binding_block_(self, block: relax.BindingBlock) -> relax.BindingBlock:
        return self._apart(super().visit_binding_block_, block)

    def _apart(self, visit: Callable[..., Any], block: relax.BindingBlock) -> relax.BindingBlock:
        """Visit a block. Checks inside it are not visible outside."""
        outer, self._seen = self._seen, []
        try:
            return visit(block)
        finally:
            self._seen = outer

    def visit_call_(self, call: relax.Call) -> relax.Expr:
        call = super().visit_call_(call)
        name = op_name(call)
        if name == NAME:  # inserted by an importer
            known = self._known(call)
            return from_source(call, self._source(call.args[0])) if known is None else known
        if name not in USERS:
            return call
        user = name.removeprefix("relax.")

        def check(
            index: relax.Expr, extents: list[Any], places: Places, within: Any = ()
        ) -> relax.Expr:
            try:
                found = checked(index, extents, places, user, within)
            except QuakeError as error:  # raised later, when the builder has no open block
                self.refused.append(error)
                return index
            known = self.lookup_binding(index) if isinstance(index, relax.Var) else None
            if op_name(found) != NAME or (op_name(known) == NAME and _covers(known, found)):
                return index if op_name(found) == NAME else found
            return self._once(found)

        arguments = USERS[name](call, check)
        return relax.Call(call.op, arguments, call.attrs, call.ty_args)

    def visit_var_binding_(self, binding: relax.VarBinding) -> None:
        super().visit_var_binding_(binding)
        if op_name(binding.value) == NAME:
            variable = self.visit_expr(binding.var)
            check = self.lookup_binding(variable)
            if op_name(check) == NAME:
                self._seen.append((check, variable))

    def _once(self, check: relax.Call) -> relax.Expr:
        """The variable of an equal check, or of a new one."""
        known = self._known(check)
        if known is not None:
            return known
        variable = self.builder_.emit(from_source(check, self._source(check.args[0])))
        self._seen.append((check, variable))
        return variable

    def _known(self, check: relax.Call) -> relax.Var | None:
        """The variable of an equal check, if there is one."""
        return next((var for known, var in self._seen if _same(known, check)), None)

    def _source(self, index: relax.Expr) -> str:
        """Where indices come from, for errors.

        It names the input if there is only one that the indices depend on.
        """
        roots, todo, moved = set(), [index], True
        seen: set[relax.Var] = set()
        while todo and len(seen) < _FAR:
            expr = todo.pop()
            if not isinstance(expr, relax.Var):
                moved &= isinstance(expr, relax.Call) and op_name(expr) in _MOVES
                todo.extend(relax.analysis.free_vars(expr))
            elif expr not in seen:
                seen.add(expr)
                value = self.lookup_binding(expr)
                if value is None:
                    roots.add(expr.name)
                else:
                    todo.append(value)
        if len(roots) != 1 or todo:
            return "a computed tensor"
        return ("" if moved else "what is computed from ") + f"{roots.pop()!r}"


def _same(a: relax.Call, b: relax.Call) -> bool:
    """Whether two checks of one tensor are equal."""
    same = all(map(tvm_ffi.structural_equal, a.args[1:], b.args[1:]))
    return a.args[0].same_as(b.args[0]) and same and a.attrs["places"] == b.attrs["places"]


def _covers(known: relax.Call, wanted: relax.Call) -> bool:
    """Whether the result of a check satisfies another check too."""
    sizes = [*wanted.args[2].values, *wanted.args[3].values]
    return tvm_ffi.structural_equal(known.args[1], wanted.args[1]) and (
        not sizes or all(map(tvm_ffi.structural_equal, known.args[2:], wanted.args[2:]))
    )


def _names(function: relax.Function) -> set[str]:
    """The names of the operators that a function calls."""
    found: set[str] = set()
    relax.analysis.post_order_visit(function, lambda expr: found.add(op_name(expr)))
    return found


@tvm.transform.module_pass(opt_level=0, name="CheckIndices")
class CheckIndices(Pass):
    """Insert the checks. A module without such operators is unchanged."""

    def transform_module(self, mod: tvm.IRModule, _: tvm.transform.PassContext) -> tvm.IRModule:
        """Rewrite the functions.

        Raises
        ------
        QuakeError
            If a constant index is out of range, or a tensor's shape is unknown.
        """
        updates = {}
        for name, function in functions(mod):
            if _names(function) & {NAME, *USERS}:
                checker = _Checker(mod)
                updates[name] = checker.visit_expr(function)
                if checker.refused:
                    raise checker.refused[0]
        return updated(mod, updates)
