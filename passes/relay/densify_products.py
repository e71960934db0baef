"""Relay: write matrix products in the form that TVM's CPU schedules are made for.

``relay.frontend.from_onnx`` writes a linear layer as ``nn.batch_matmul`` with one constant matrix k
x n, for which TVM has no good schedule. ``nn.dense`` packs its weights and is a hundred times
faster. The rows of the dense product are all dimensions but the last. The reshape back moves behind
bias and nonlinearity, so that they fuse. In products of two computed matrices the second one is
transposed, which TVM's schedule also requires.
"""

import tvm
from tvm import relay

from quake_tvm.tvm_version import Pass

from .graph import Mutator, is_step, mutated, op_name

_PRODUCT, _BIAS = "nn.batch_matmul", "nn.bias_add"


def _shape(expr: relay.Expr) -> list[int] | None:
    """The extents of a tensor, None unless all are constant."""
    extents = getattr(expr.checked_type, "shape", None)
    if extents is None or not all(isinstance(n, tvm.tir.IntImm) for n in extents):
        return None
    return [int(n) for n in extents]


def _of_matrix(call: relay.Call, args: list[relay.Expr], rank: int) -> relay.Call | None:
    """The call that does to a matrix what ``call`` does to a tensor of this rank, or None."""
    if op_name(call) == _BIAS:
        return relay.add(*args) if call.attrs.axis in (-1, rank - 1) else None
    return relay.Call(call.op, args, call.attrs) if is_step(call) else None


class _Densify(Mutator):
    def __init__(self) -> None:
        super().__init__()
        # Maps each reshape made here to its operand, a matrix with the same last dimension.
        self.flat: dict[relay.Expr, relay.Expr] = {}

    def visit_call(self, call: relay.Call) -> relay.Expr:
        new, shape = super().visit_call(call), _shape(call)
        if shape is None or not isinstance(call.op, tvm.ir.Op):
            return new
        if op_name(call) == _PRODUCT:
            return self.product(call, new, shape)
        if op_name(call) == "reshape":
            before = _shape(call.args[0])
            keeps = before is not None and before[-1:] == shape[-1:] and new.args[0] in self.flat
            return self.shaped(self.flat[new.args[0]], shape) if keeps else new
        return self.epilogue(call, new, shape)

    def shaped(self, matrix: relay.Expr, shape: list[int]) -> relay.Expr:
        result = relay.reshape(matrix, shape)
        self.flat[result] = matrix
        return result

    def product(self, call: relay.Call, new: relay.Call, shape: list[int]) -> relay.Expr:
        """``nn.dense`` for constant weights, else a product with the second operand transposed."""
        (a, b), before = new.args, _shape(call.args[0])
        if call.attrs.transpose_a or call.args[0].checked_type.dtype != "float32":
            return new
        if 0 in shape or 0 in (before or ()):  # a reshape of Relay reads 0 as an extent to copy
            return new
        turned = call.attrs.transpose_b
        if before is not None and isinstance(b, relay.Constant) and b.data.shape[0] == 1:
            weights = b.data.numpy()[0]
            weights = relay.const(weights if turned else weights.T.copy())
            rows = self.flat.get(a, relay.reshape(a, (-1, before[-1])))
            return self.shaped(relay.nn.dense(rows, weights), shape)
        if turned:
            return new
        return relay.nn.batch_matmul(a, relay.transpose(b, (0, 2, 1)), out_dtype="float32")

    def epilogue(self, call: relay.Call, new: relay.Call, shape: list[int]) -> relay.Expr:
        """Element-wise steps applied to the matrix instead of its reshape.

        Other operands must have one number for each column.
        """
        if not any(arg in self.flat for arg in new.args):
            return new
        for old, arg in zip(call.args, new.args, strict=True):
            old_shape = _shape(old)
            if old_shape is None or (
                old_shape != shape if arg in self.flat else len(old_shape) > 1
            ):
                return new
        step = _of_matrix(call, [self.flat.get(arg, arg) for arg in new.args], len(shape))
        return new if step is None else self.shaped(step, shape)


@relay.transform.function_pass(opt_level=3, name="DensifyProducts")
class DensifyProducts(Pass):
    """Rewrite ``nn.batch_matmul`` to ``nn.dense`` for constant weights, as the module explains."""

    def transform_function(
        self, function: relay.Function, _: tvm.IRModule, __: tvm.transform.PassContext
    ) -> relay.Function:
        """Rewrite the function's products."""
        return mutated(function, _Densify())
