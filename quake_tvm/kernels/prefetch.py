"""Bringing memory into the caches before it is read, as statements."""

from ..tvm_version import PREFIX, tir
from .rows import Expr, Stmt

# Bytes that one prefetch brings.
LINE = 64


def prefetch(element: Expr) -> Stmt:
    """Bring the cache line of this element of a buffer."""
    address = tir.call_intrin("handle", PREFIX + "address_of", element)
    flags = [tir.const(n, "int32") for n in (0, 3, 1)]  # to read, to be kept, data
    return tir.Evaluate(tir.call_llvm_intrin("void", "llvm.prefetch.p0", address, *flags))
