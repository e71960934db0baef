"""Give a parameter's extent that is computed from others a name of its own.

A convolution's result has the extent ``(n - 1) // 2 + 1``. TVM's analyzer rarely proves anything
about such an expression, and rewrites it in guards. The kernel does not need to know where the
extent comes from: TVM reads the value of a variable in a parameter's shape from the tensor.
"""

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
    names: list[tuple[tir.Expr, tir.Var]] = []
    for tensor in tensors:
        for extent in map(simplify, tensor.shape):
            computed = analysis.constant(extent) is None and not isinstance(extent, tir.Var)
            if computed and not any(tvm_ffi.structural_equal(extent, old) for old, _ in names):
                names.append((extent, tir.Var(f"extent{len(names)}", dtype_of(extent))))
    if not names:
        return function
    kinds = tuple({type(extent) for extent, _ in names})

    def name(node: tir.Expr) -> tir.Expr:
        return next((var for old, var in names if tvm_ffi.structural_equal(node, old)), node)

    def renamed(node: tvm.ir.Node) -> tvm.ir.Node:
        return tvm_ffi.structural_map(node, (kinds, name))

    def with_names(old: tir.Var) -> tir.Var:
        shape = [renamed(simplify(n)) for n in old.shape]
        return tir.decl_buffer(shape, old.dtype, old.name, scope=old.scope(), layout=None)

    buffers = [*tensors, *function.body.block.alloc_buffers]
    new = {old: with_names(old) for old in buffers}
    body = substituted(renamed(function.body), list(new.items()))
    params = [new.get(p, p) for p in function.params]
    return tir.PrimFunc(params, body, function.ret_type, function.attrs)
