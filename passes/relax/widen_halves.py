"""Compute float16 and bfloat16 tensors in float32.

Half precision is a format to store numbers in. Its operators compute in float32, so that every
kernel for float32 serves. Inputs and outputs of a function keep their types. Between them nothing
is rounded to half precision: results are closer to the exact ones, and a value that is too large
for float16 does not become infinite. Constant weights of products and tables of rows stay in half
precision, which takes half the memory: kernels widen what they read of them. Kernels, look-ups and
other functions that are called get and return the types that they have. Knows no kernel.
"""

from collections.abc import Collection
from typing import Any

import tvm
import tvm_ffi
from tvm import relax
from tvm.relax.expr_functor import PyExprMutator, mutator

from quake_tvm.kernels.lookup_operator import LOOKUP
from quake_tvm.numerics.formula_numbers import widened
from quake_tvm.numerics.number_formats import COMPUTED, HALVES
from quake_tvm.tvm_version import Pass, tir, updated

from .graph import functions, op_name, with_attributes
from .legalize import UNFUSABLE
from .weights import TABLE, product, weights_of


def _wide(ty: tvm.ir.Type) -> tvm.ir.Type:
    """The type with float32 in place of half precision."""
    if isinstance(ty, relax.TensorType) and str(ty.dtype) in HALVES:
        if ty.shape is None:
            return relax.TensorType(dtype=COMPUTED, ndim=ty.ndim)
        return relax.TensorType(ty.shape, COMPUTED)
    if isinstance(ty, relax.TupleType):
        return relax.TupleType([_wide(field) for field in ty.fields])
    return ty


def _has_half(ty: tvm.ir.Type) -> bool:
    return not tvm_ffi.structural_equal(_wide(ty), ty)


def _converted(builder: relax.BlockBuilder, value: relax.Expr, ty: tvm.ir.Type) -> relax.Expr:
    """The value with the dtypes of a type that has the same structure."""
    if isinstance(ty, relax.TensorType) and value.ty.dtype != ty.dtype:
        return builder.emit(relax.op.astype(value, ty.dtype))
    if isinstance(ty, relax.TupleType) and (_has_half(ty) or _has_half(value.ty)):
        is_tuple = isinstance(value, relax.Tuple)
        fields = value.fields if is_tuple else [value[k] for k in range(len(ty.fields))]
        pairs = zip(map(builder.normalize, fields), ty.fields, strict=True)
        return builder.normalize(relax.Tuple([_converted(builder, f, t) for f, t in pairs]))
    return value


def _attributes(attributes: Any) -> Any:
    """An operator's attributes with float32 in place of half precision."""
    if attributes is None:
        return None
    names = [field.name for field in type(attributes).__tvm_ffi_type_info__.fields or ()]
    wide = [name for name in names if str(getattr(attributes, name)) in HALVES]
    return with_attributes(attributes, **dict.fromkeys(wide, COMPUTED)) if wide else attributes


def _is_kernel(call: relax.Call) -> bool:
    """Whether something is called that has types of its own: a kernel, a look-up, a function."""
    called = (call.op, *call.args[:1])
    return op_name(call) == LOOKUP or any(
        isinstance(f, tvm.ir.GlobalVar | relax.ExternFunc) for f in called
    )


@mutator
class _Widener(PyExprMutator):
    """Rewrites one function. Weights in the formats of ``kept`` stay."""

    def __init__(self, mod: tvm.IRModule, function: relax.Function, kept: Collection[str]) -> None:
        super().__init__(mod)
        self.kept = kept
        self.halves = [p for p in function.params if _has_half(p.ty)]
        self.body = function.body

    def visit_generic_const_(self, constant: tvm.ir.GenericConst) -> relax.Expr:
        if str(getattr(constant.ty, "dtype", "")) not in HALVES:
            return constant
        return relax.const(widened(constant.value.numpy()), COMPUTED)

    def visit_call_(self, call: relax.Call) -> relax.Expr:
        if _is_kernel(call):
            return self._around(call)
        weights = weights_of(call)
        if weights is not None and str(weights.ty.dtype) in self.kept:
            return self._with_weights(call, weights)
        args = [self.visit_expr(arg) for arg in call.args]
        attributes = _attributes(call.attrs)
        if op_name(call) == "relax.astype" and args[0].ty.dtype == attributes.dtype:
            return args[0]
        return relax.Call(call.op, args, attributes, call.ty_args, call.span)

    def _with_weights(self, call: relax.Call, weights: tvm.ir.GenericConst) -> relax.Call:
        """A product or a lookup of weights that stay in half precision."""
        args = [arg if arg.same_as(weights) else self.visit_expr(arg) for arg in call.args]
        if op_name(call) != TABLE:
            return product(call, args)
        rows = self.builder_.emit(relax.Call(call.op, args, call.attrs, call.ty_args, call.span))
        return relax.op.astype(rows, COMPUTED)

    def _around(self, call: relax.Call) -> relax.Expr:
        """A call that keeps its types: narrow its operands, widen its result."""
        args = [
            arg
            if isinstance(arg, tvm.ir.GenericConst)
            else _converted(self.builder_, self.visit_expr(arg), arg.ty)
            for arg in call.args
        ]
        result = relax.Call(call.op, args, call.attrs, call.ty_args, call.span)
        if not _has_half(call.ty):
            return result
        return _converted(self.builder_, self.builder_.emit(result), _wide(call.ty))

    def visit_seq_expr_(self, sequence: relax.SeqExpr) -> relax.Expr:
        if not sequence.same_as(self.body):
            return super().visit_seq_expr_(sequence)
        blocks = [self.visit_binding_block(block) for block in sequence.blocks]
        return relax.SeqExpr(blocks, self._result(sequence.body))

    def _result(self, value: relax.Expr) -> relax.Expr:
        """The function's result. A constant in it keeps its type."""
        if isinstance(value, relax.Tuple):
            return relax.Tuple([self._result(field) for field in value.fields])
        return value if isinstance(value, tvm.ir.GenericConst) else self.visit_expr(value)

    def visit_match_cast_(self, binding: relax.MatchCast) -> None:
        value = self.builder_.normalize(self.visit_expr(binding.value))
        self.set_var_remap(binding.var, self.builder_.match_cast(value, _wide(binding.ty)))

    def visit_dataflow_block_(self, block: relax.DataflowBlock) -> relax.BindingBlock:
        self.builder_._begin_dataflow_block()
        return self._block(block)

    def visit_binding_block_(self, block: relax.BindingBlock) -> relax.BindingBlock:
        self.builder_._begin_binding_block()
        return self._block(block)

    def _block(self, block: relax.BindingBlock) -> relax.BindingBlock:
        builder = self.builder_
        if block.same_as(self.body.blocks[0]):
            for half in self.halves:
                wide = _converted(builder, half, _wide(half.ty))
                self.set_var_remap(half, builder.emit(wide))
        for binding in block.bindings:
            self.visit_binding(binding)
        if block.same_as(self.body.blocks[-1]):
            for var in relax.analysis.free_vars(self.body.body):
                narrow = _converted(builder, self.visit_expr(var), var.ty)
                emit = builder.emit_output if builder.current_block_is_dataflow() else builder.emit
                self.set_var_remap(var, emit(narrow))
        return builder._end_block()


def _element(parameter: tir.Var) -> str:
    """The dtype of a kernel's parameter."""
    return str(getattr(parameter.ty, "dtype", ""))


def _is_affected(function: relax.Function) -> bool:
    found: list[bool] = []
    relax.analysis.post_order_visit(function, lambda e: found.append(_has_half(e.ty)))
    return any(found) and bool(function.body.blocks)


@tvm.transform.module_pass(opt_level=0, name="WidenHalves")
class WidenHalves(Pass):
    """Rewrite the functions that contain half precision.

    Parameters
    ----------
    kept : collection of str
        The formats that constant weights stay in.
    """

    def __init__(self, kept: Collection[str] = ()) -> None:
        self.kept = kept

    def transform_module(self, mod: tvm.IRModule, _: tvm.transform.PassContext) -> tvm.IRModule:
        """Rewrite them."""
        affected = [(name, f) for name, f in functions(mod) if _is_affected(f)]
        if not affected:
            return mod
        wide = {name: _Widener(mod, f, self.kept).visit_expr(f) for name, f in affected}
        # TVM cannot compile a kernel in which bfloat16 is computed and then widened by its bits.
        alone = {
            name: f.with_attrs(UNFUSABLE)
            for name, f in mod.functions_items()
            if isinstance(f, tir.PrimFunc) and "bfloat16" in map(_element, f.params)
        }
        # Without casts that do nothing, and without outputs of blocks that nothing reads.
        return relax.transform.CanonicalizeBindings()(updated(mod, {**wide, **alone}))
