"""Move reshapes and transposes behind a matrix product and its epilogue, so that both fuse.

torch.export writes a linear layer over (batch, length, features) as reshape, matmul, add, reshape.
A reshape between one layer's add and the next operator prevents TVM's fusion. It is moved behind
everything that it commutes with, until it meets the next layer's reshape, and both cancel. Elements
and their sums do not change.
"""

import numpy as np
import tvm
from tvm import relax
from tvm.ir.expr import GenericConst
from tvm.relax.expr_functor import PyExprMutator, mutator

from quake_tvm.numerics.operators import OPERATORS
from quake_tvm.tvm_version import Pass, tir

from ..chain import KINDS
from .graph import functions, known_shape, op_name, same_shape
from .ops import operator_of

_RESHAPES = {"relax.reshape", "relax.expand_dims", "relax.squeeze", "relax.flatten"}
_TRANSPOSE = "relax.permute_dims"
_PRODUCTS = {"relax.matmul", "relax.nn.conv1d", "relax.nn.conv2d", "relax.nn.conv3d"}


@tvm.transform.module_pass(opt_level=0, name="SinkReshapes")
class SinkReshapes(Pass):
    """Move reshapes behind products, and reshapes and transposes behind element-wise operators.

    Those that meet cancel or are merged. Those of constants are computed. A step is taken only if
    the shapes, symbolic ones included, prove it right.
    """

    def transform_module(self, mod: tvm.IRModule, _: tvm.transform.PassContext) -> tvm.IRModule:
        """Rewrite every function that has a matrix product or a convolution."""
        updates = {}
        for name, function in functions(mod):
            present: set[str] = set()
            relax.analysis.post_order_visit(function, lambda e, seen=present: seen.add(op_name(e)))
            if _PRODUCTS & present:
                sunk = relax.analysis.remove_all_unused(_Sinker(mod).visit_expr(function))
                merged = _Merger(mod).visit_expr(sunk)
                updates[name] = relax.analysis.remove_all_unused(merged)
        if not updates:
            return mod
        mod = tvm.IRModule(mod.functions, attrs=mod.attrs, global_infos=mod.global_infos)
        for name, function in updates.items():
            mod.update_func(name, function)
        return relax.transform.CanonicalizeBindings()(mod)


class _Mutator(PyExprMutator):
    """Simplifies each call after its arguments."""

    def visit_call_(self, call: relax.Call) -> relax.Expr:
        call = super().visit_call_(call)
        if not isinstance(call.op, tvm.ir.Op):
            return call
        args = [a if isinstance(a, relax.Tuple) else self.origin(a) for a in call.args]
        if not all(new.same_as(old) for new, old in zip(args, call.args, strict=True)):
            call = relax.Call(call.op, args, call.attrs, call.ty_args)
        return self.simplify(self.builder_.normalize(call))

    def simplify(self, call: relax.Call) -> relax.Expr:
        raise NotImplementedError

    def origin(self, expr: relax.Expr) -> relax.Expr:
        """The variable or constant that a variable renames."""
        while isinstance(expr, relax.Var):
            value = self.builder_.lookup_binding(expr)
            if not isinstance(value, relax.Var | GenericConst) or not same_shape(expr, value):
                break
            expr = value
        return expr

    def value(self, expr: relax.Expr) -> relax.Expr | None:
        """The call that a variable is bound to, if any."""
        value = self.builder_.lookup_binding(expr) if isinstance(expr, relax.Var) else None
        return value if isinstance(value, relax.Call) and same_shape(expr, value) else None

    def moved(self, expr: relax.Expr) -> relax.Call | None:
        """The reshape or transpose between known shapes that a variable is bound to, if any."""
        call = self.value(expr)
        if call is None or not (op_name(call) in _RESHAPES or op_name(call) == _TRANSPOSE):
            return None
        return call if known_shape(call) and known_shape(call.args[0]) else None


@mutator
class _Sinker(_Mutator):
    def __init__(self, mod: tvm.IRModule) -> None:
        super().__init__(mod)
        self.products: dict[relax.Var, bool] = {}

    def simplify(self, call: relax.Call) -> relax.Expr:
        """The call, or an equal expression with a reshape moved further behind."""
        name = op_name(call)
        if name in _RESHAPES or name in (_TRANSPOSE, "relax.broadcast_to"):
            return self._cancelled(call)
        if name == "relax.matmul":
            return self._behind_product(call)
        if name == "relax.strided_slice" and _takes_all(call):
            return call.args[0]
        if _elementwise(call):
            for arg in call.args:
                move = self.moved(arg)
                if move is not None and same_shape(arg, call) and self._of_product(move.args[0]):
                    args = [self._before(move, a, call) for a in call.args]
                    if all(a is not None for a in args):
                        inner = relax.Call(call.op, args, call.attrs, call.ty_args)
                        return self._again(move, inner, call)
        return call

    def _again(self, move: relax.Call, inner: relax.Call, outer: relax.Call) -> relax.Expr:
        """Simplify ``inner``, and apply the move to the result, to replace ``outer``."""
        inner = self.builder_.emit(self.simplify(self.builder_.normalize(inner)))
        return self.simplify(self.builder_.normalize(_moved(move, inner, outer)))

    def _cancelled(self, call: relax.Call) -> relax.Expr:
        (x, *_) = call.args
        if isinstance(x, GenericConst) and _static(call) and op_name(call) != "relax.broadcast_to":
            values = x.value.numpy()
            if op_name(call) == _TRANSPOSE:
                values = values.transpose(_axes(call))
            return _constant(values, call)
        if op_name(call) == _TRANSPOSE:
            before = self.moved(x)
            if _axes(call) == list(range(x.ty.ndim)):
                return x
            if before is not None and op_name(before) == _TRANSPOSE:
                axes = [_axes(before)[k] for k in _axes(call)]
                merged = relax.op.permute_dims(before.args[0], axes)
                return self.simplify(self.builder_.normalize(merged))
            return call
        if same_shape(x, call):
            return x
        before = self.moved(x) if op_name(call) in _RESHAPES else None
        while before is not None and op_name(before) in _RESHAPES:
            (x, *_) = before.args
            if same_shape(x, call):
                return x
            before = self.moved(x)
        return call

    def _behind_product(self, call: relax.Call) -> relax.Expr:
        x, w = call.args
        spread = self.value(w)
        if (
            spread is not None
            and op_name(spread) == "relax.broadcast_to"
            and spread.args[0].ty.ndim == 2
        ):
            # The batch uses the same matrix.
            lone = relax.Call(call.op, [x, self.origin(spread.args[0])], call.attrs, call.ty_args)
            lone = self.builder_.normalize(lone)
            if same_shape(lone, call):
                call, w = lone, lone.args[1]
        move = self.moved(x)
        if move is None or op_name(move) not in _RESHAPES:
            return call
        if not _keeps_rows(move) or w.ty.ndim != 2:
            return call
        if not (known_shape(call) and move.args[0].ty.ndim >= 2 <= x.ty.ndim):
            return call
        inner = relax.Call(call.op, [move.args[0], w], call.attrs, call.ty_args)
        return self._again(move, inner, call)

    def _of_product(self, expr: relax.Expr) -> bool:
        """Whether ``expr`` is a product, or part of a product's epilogue."""
        if not isinstance(expr, relax.Var):
            return False
        if expr not in self.products:
            call = self.value(expr)
            self.products[expr] = call is not None and (
                op_name(call) in _PRODUCTS
                or (_elementwise(call) and any(map(self._of_product, call.args)))
            )
        return self.products[expr]

    def _before(self, move: relax.Call, arg: relax.Expr, call: relax.Call) -> relax.Expr | None:
        """The operand that replaces ``arg`` if the move is applied after ``call``.

        None if there is none.
        """
        (source,) = move.args[:1]
        if not isinstance(arg.ty, relax.TensorType):
            return arg
        if not known_shape(arg):
            return None
        if same_shape(arg, call):
            if isinstance(arg, GenericConst) and _static(source) and _static(move):
                values = arg.value.numpy()
                if op_name(move) == _TRANSPOSE:
                    values = values.transpose(np.argsort(_axes(move)))
                return _constant(values, source)
            undone = self._undone(move, arg)
            if undone is not None:
                return undone
        *leading, last = [getattr(n, "value", None) for n in arg.ty.shape] or [1]
        if any(n != 1 for n in leading) or not (last == 1 or _keeps_rows(move)):
            return None
        if arg.ty.ndim <= source.ty.ndim:
            return arg
        return _constant(arg.value.numpy(), None) if isinstance(arg, GenericConst) else None

    def _undone(self, move: relax.Call, arg: relax.Expr) -> relax.Expr | None:
        """The tensor that ``arg`` was made of by a move like this one, if any."""
        before = self.moved(arg)
        if op_name(move) == _TRANSPOSE:
            if before is not None and op_name(before) == _TRANSPOSE:
                return before.args[0] if _axes(before) == _axes(move) else None
            return None
        while before is not None and op_name(before) in _RESHAPES:
            if same_shape(before.args[0], move.args[0]):
                return before.args[0]
            before = self.moved(before.args[0])
        return None


@mutator
class _Merger(_Mutator):
    def simplify(self, call: relax.Call) -> relax.Expr:
        """Merge a reshape of a reshape into one.

        This is done at the end, so that each of them had its chance to sink.
        """
        before = self.moved(call.args[0]) if op_name(call) in _RESHAPES else None
        if before is not None and op_name(before) in _RESHAPES:
            return _moved(call, before.args[0], call)
        return call


def _moved(move: relax.Call, x: relax.Expr, like: relax.Expr) -> relax.Expr:
    """Apply the same kind of move to another tensor, with the shape of ``like`` as the result."""
    if op_name(move) == _TRANSPOSE:
        return relax.op.permute_dims(x, _axes(move))
    return relax.op.reshape(x, like.ty.shape)


def _elementwise(call: relax.Expr | None) -> bool:
    operator = operator_of(call)
    if operator is not None:
        return OPERATORS[operator].elementwise
    kind = op_name(call).removeprefix("relax.")
    return kind in KINDS or kind in ("clip", "nn.leakyrelu")


def _takes_all(cut: relax.Call) -> bool:
    """Whether a slice takes all elements in their order."""
    steps = cut.args[4] if len(cut.args) > 4 else ()
    forward = all(int(getattr(n, "value", -1)) > 0 for n in steps)
    return forward and same_shape(cut.args[0], cut)


def _axes(transpose: relax.Call) -> list[int]:
    rank = transpose.args[0].ty.ndim
    axes = transpose.attrs.axes
    return list(range(rank))[::-1] if axes is None else [int(a) % rank for a in axes]


def _keeps_rows(move: relax.Call) -> bool:
    """Whether the last axis has a known extent and stays the last, so that rows stay rows."""
    if move.ty.ndim == 0 or move.args[0].ty.ndim == 0:
        return False
    if op_name(move) == _TRANSPOSE and _axes(move)[-1] != move.ty.ndim - 1:
        return False
    before, after = (getattr(e.ty.shape[-1], "value", 0) for e in (move.args[0], move))
    return before == after > 0


def _static(expr: relax.Expr) -> bool:
    return known_shape(expr) and all(isinstance(n, tir.IntImm) for n in expr.ty.shape)


def _constant(values: np.ndarray, like: relax.Expr | None) -> relax.Expr:
    """A constant in the shape of ``like``, or with its own last axis only."""
    shape = values.shape[-1:] if like is None else [int(n) for n in like.ty.shape]
    return relax.const(np.ascontiguousarray(values).reshape(shape), str(values.dtype))
