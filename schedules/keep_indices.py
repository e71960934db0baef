"""Keep TVM from simplifying quotients and remainders of shifted or reversed indices, wrongly.

TVM simplifies the address of an access as a map of the loops' iterators (``sym.iter_map_simplify``,
which runs when buffers are flattened). It makes ``i // -2 + 7`` of ``(15 - i) // 2``, and drops
shifts from nested remainders and from remainders of fused loops: a flip with a repeat, a roll of a
roll, or circular padding of two axes then read other elements. This pass hides the operands of such
quotients and remainders by an exclusive or with 0, which LLVM removes. Knows no rule.
"""

import tvm
import tvm_ffi
from tvm import s_tir, sym

from quake_tvm.tvm_version import dtype_of, tir

from .analysis import constant

_DIVISIONS = (tir.FloorDiv, tir.FloorMod)


def _is_shifted(operand: tir.Expr, iterators: set[tir.Var]) -> bool:
    """Whether an index in iterators has a summand that is constant, or subtracts anything."""
    found: list[bool] = []
    moves: list[bool] = []

    def see(node: tir.Add | tir.Sub | tir.Mul) -> None:
        constants = [constant(node.a) or 0, constant(node.b) or 0]
        shifts = isinstance(node, tir.Add) and any(constants)
        found.append(isinstance(node, tir.Sub) or shifts or min(constants) < 0)

    tvm_ffi.structural_walk(operand, ((tir.Add, tir.Sub, tir.Mul), see))
    tvm_ffi.structural_walk(operand, (tir.Var, lambda var: moves.append(var in iterators)))
    return any(found) and any(moves)


def keep_indices(function: tir.PrimFunc) -> tir.PrimFunc:
    """The function with these operands hidden. Others stay as they are."""
    known, iterators = sym.Analyzer(), set()

    def see(node: tir.For | s_tir.SBlock) -> None:
        if isinstance(node, tir.For):
            iterators.add(node.loop_var)
            known.bind(node.loop_var, tvm.ir.Range.from_min_extent(node.min, node.extent))
            return
        for each in node.iter_vars:
            iterators.add(each.var)
            known.bind(each.var, each.dom)

    tvm_ffi.structural_walk(function.body, ((tir.For, s_tir.SBlock), see))

    def hide(node: tir.FloorDiv | tir.FloorMod) -> tir.Expr:
        if not _is_shifted(node.a, iterators):
            return node
        zero = tir.const(0, dtype_of(node.a))
        hidden = tir.bitwise_xor(node.a, zero)
        # An operand whose sign is not known to the code generator takes more instructions.
        if known.can_prove(node.a >= zero) and (constant(node.b) or 0) > 0:
            kind = tir.Div if isinstance(node, tir.FloorDiv) else tir.Mod
            return kind(hidden, node.b)
        return type(node)(hidden, node.b)

    body = tvm_ffi.structural_map(function.body, (_DIVISIONS, hide))
    return function if body.same_as(function.body) else function.with_body(body)
