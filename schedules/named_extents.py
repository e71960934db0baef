"""Give a parameter's extent that is computed from others a name of its own.

A convolution's result has the extent ``(n - 1) // 2 + 1``. TVM's analyzer rarely proves anything
about such an expression, and rewrites it in guards. The kernel does not need to know where the
extent comes from: TVM reads the value of a variable in a parameter's shape from the tensor.

A pad makes the extent ``(n - 1) // 2 + 3`` of it, which gets the same name and 2 more, so that TVM
sees that the padded tensor is as long as the loop that fills it.

An extent ``n + 2`` keeps its form: from it follows how wide the margins of a padded row are.
"""

from dataclasses import dataclass, field

import tvm
import tvm_ffi
from tvm import s_tir, sym

from quake_tvm.tvm_version import dtype_of, tir

from . import analysis
from .tiles import substituted


def named_extents(function: tir.PrimFunc) -> tir.PrimFunc:
    """The function with a new variable for each such extent of its parameters, wherever it occurs.

    A function is unchanged if its parameters have only constants and variables as extents, if one
    of them is not compact, or if it has no root block.
    """
    tensors = [p for p in function.params if hasattr(p.ty, "shape")]
    blocks = isinstance(function.body, s_tir.SBlockRealize)
    if not blocks or not all(map(analysis.compact, tensors)):
        return function
    # TVM has simplified the loops' extents, but not the tensors'.
    simplify = sym.Analyzer().simplify
    names: list[_Names] = []
    count = 0
    for tensor in tensors:
        for extent in map(simplify, tensor.shape):
            if analysis.constant(extent) is not None or isinstance(extent, tir.Var):
                continue
            base, more = _parted(extent)
            if more > 0 and isinstance(base, tir.Var):
                continue
            same = next((n for n in names if tvm_ffi.structural_equal(base, n.base)), None)
            if same is None:
                same = _Names(base)
                names.append(same)
            if more not in same.variables:
                same.variables[more] = tir.Var(f"extent{count}", dtype_of(extent))
                count += 1
    if not names:
        return function
    names.sort(key=lambda n: len(str(n.base)), reverse=True)  # one may occur in another

    def renamed(node: tvm.ir.Node) -> tvm.ir.Node:
        for each in names:
            node = tvm_ffi.structural_map(node, (each.kinds(), each.renamed))
        return node

    def with_names(old: tir.Var) -> tir.Var:
        # A parameter's variable is what TVM reads from the tensor.
        extents = (simplify(n) for n in old.shape)
        read = any(map(old.same_as, tensors))
        shape = [n if read and isinstance(n, tir.Var) else renamed(n) for n in extents]
        return tir.decl_buffer(shape, old.dtype, old.name, scope=old.scope(), layout=None)

    buffers = [*tensors, *function.body.block.alloc_buffers]
    new = {old: with_names(old) for old in buffers}
    body = substituted(renamed(function.body), list(new.items()))
    params = [new.get(p, p) for p in function.params]
    return tir.PrimFunc(params, body, function.ret_type, function.attrs)


@dataclass(frozen=True)
class _Names:
    """The names of extents that differ by constants only.

    Attributes
    ----------
    base : Expr
        What they have in common.
    variables : dict of int to Var
        The names, by the constant that is added.
    """

    base: tir.Expr
    variables: dict[int, tir.Var] = field(default_factory=dict)

    def kinds(self) -> tuple[type, ...]:
        """The types of the expressions that may be renamed."""
        alone = 0 in self.variables or isinstance(self.base, tir.Var)
        return tuple({tir.Add, tir.Sub, *([type(self.base)] if alone else [])})

    def renamed(self, node: tir.Expr) -> tir.Expr:
        """The expression by a name, if it is one of the extents or differs by a constant."""
        base, more = _parted(node)
        if any(base.same_as(variable) for variable in self.variables.values()):
            return _sum(base, more)
        if not tvm_ffi.structural_equal(base, self.base):
            return node
        if more in self.variables:
            return self.variables[more]
        constant, variable = next(iter(self.variables.items()))
        return _sum(variable, more - constant)


def _parted(extent: tir.Expr) -> tuple[tir.Expr, int]:
    """An expression without the constant that is added at its end, and the constant."""
    more = 0
    while isinstance(extent, tir.Add | tir.Sub) and isinstance(extent.b, tir.IntImm):
        more += int(extent.b) if isinstance(extent, tir.Add) else -int(extent.b)
        extent = extent.a
    return extent, more


def _sum(variable: tir.Var, more: int) -> tir.Expr:
    return variable + more if more >= 0 else variable - -more
