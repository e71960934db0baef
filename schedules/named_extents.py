"""Give a parameter's extent that is computed from others a name of its own.

A convolution's result has the extent ``(n - 1) // 2 + 1``. TVM's analyzer rarely proves anything
about such an expression, and rewrites it in guards. The kernel does not need to know where the
extent comes from: TVM reads the value of a variable in a parameter's shape from the tensor.
"""

import tvm
import tvm_ffi

from quake_tvm.tvm_version import dtype_of, tir

from . import analysis
from .tiles import substituted


def named_extents(function: tir.PrimFunc) -> tir.PrimFunc:
    """The function with a new variable for each such extent of its parameters, wherever it occurs.

    A function whose parameters have only constants and variables as extents is unchanged.
    """
    names: list[tuple[tir.Expr, tir.Var]] = []
    for parameter in function.params:
        for extent in getattr(parameter.ty, "shape", ()):
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
        shape = [renamed(n) for n in getattr(old.ty, "shape", ())]
        return tir.decl_buffer(shape, old.dtype, old.name, scope=old.scope(), layout=None)

    root = function.body.block
    tensors = [p for p in function.params if hasattr(p.ty, "shape")]
    new = {old: with_names(old) for old in (*tensors, *root.alloc_buffers)}
    body = substituted(renamed(function.body), list(new.items()))
    params = [new.get(p, p) for p in function.params]
    return tir.PrimFunc(params, body, function.ret_type, function.attrs)
