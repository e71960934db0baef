"""Let an intermediate live in the output that replaces it.

softmax's exponentials become its probabilities element by element: kept in the output's own
memory, a row needs no second buffer, which TVM would take from a pool once a row.
"""

import tvm_ffi
from tvm import s_tir

from quake_tvm.generation import tir


def in_place(function: tir.PrimFunc, intermediate: str) -> tir.PrimFunc:
    """The function with the named intermediate buffer replaced by its last parameter's buffer.

    Both must have one shape, and the output's element must depend on no other element of the
    intermediate.
    """
    output = function.params[-1]
    found = []

    def drop(block: s_tir.SBlock) -> s_tir.SBlock:
        kept = [b for b in block.alloc_buffers if b.name != intermediate]
        if len(kept) == len(block.alloc_buffers):
            return block
        found.extend(b for b in block.alloc_buffers if b.name == intermediate)
        return s_tir.SBlock(
            block.iter_vars,
            block.reads,
            block.writes,
            block.name_hint,
            block.body,
            block.init,
            kept,
            block.match_buffers,
            block.annotations,
        )

    body = tvm_ffi.structural_map(function.body, (s_tir.SBlock, drop))
    (old,) = found

    def rename(var: tir.Var) -> tir.Var:
        return output if var.same_as(old) else var

    return function.with_body(tvm_ffi.structural_map(body, (tir.Var, rename)))
