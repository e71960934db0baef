"""Replace two names of one extent by one name, or by its value.

The axis that a product sums over has the same extent in both operands. A model may name the
dimensions of its inputs as it likes. TVM then computes a product of matrices that do not match, and
reads past the end of one. With one name for both extents TVM refuses such inputs.
"""

import tvm
from tvm import relax, tirx

from quake_tvm.runtime.extent_limits import ExtentLimits
from quake_tvm.tvm_version import Pass, updated

from .graph import functions, known_shape, op_name

# Weights have the channels of one group. In TVM's default layouts channels are the second axis.
_CONVOLUTIONS = {f"relax.nn.conv{n}d" for n in (1, 2, 3)}


def _ends(expr: relax.Expr) -> list[tirx.Expr]:
    """The extent that a product sums over, in its right and left operand.

    Empty for other operators.
    """
    name = op_name(expr)
    if name not in {"relax.matmul", *_CONVOLUTIONS} or not all(map(known_shape, expr.args)):
        return []
    a, b = (list(x.ty.shape) for x in expr.args)
    if name == "relax.matmul":
        return [b[-2] if len(b) > 1 else b[-1], a[-1]] if a and b else []
    orders = str(expr.attrs.data_layout), str(expr.attrs.kernel_layout)
    plain = all(order[1] == letter for order, letter in zip(orders, "CI", strict=True))
    return [b[1], a[1]] if plain and int(expr.attrs.groups) == 1 else []


def _pairs(function: relax.Function) -> list[tuple[tirx.Var, tirx.Expr]]:
    """Extents of inputs, each with the extent that it must be equal to."""
    inputs = {v for p in function.params for v in relax.analysis.definable_tir_vars_in_type(p.ty)}
    found = []

    def visit(expr: relax.Expr) -> None:
        ends = _ends(expr)
        if ends:
            old, new = ends if ends[0] in inputs else reversed(ends)
            known = new in inputs or isinstance(new, tirx.IntImm)
            if old in inputs and known and not old.same_as(new):
                found.append((old, new))

    relax.analysis.post_order_visit(function, visit)
    return found


@tvm.transform.module_pass(opt_level=0, name="UnifyExtents")
class UnifyExtents(Pass):
    """Bind the names. A module without such products is unchanged."""

    def transform_module(self, mod: tvm.IRModule, _: tvm.transform.PassContext) -> tvm.IRModule:
        """Rewrite the functions."""
        for name, _function in list(functions(mod)):
            while pairs := _pairs(mod[name]):
                old, new = pairs[0]
                limits = ExtentLimits.of(mod[name])
                mod = relax.transform.BindSymbolicVars({old: new}, name.name_hint)(mod)
                known = int(new.value) if isinstance(new, tirx.IntImm) else new.name
                mod = updated(mod, {name: limits.substituted({old.name: known}).write(mod[name])})
        return mod
