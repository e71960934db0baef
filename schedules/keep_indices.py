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


def _shifts(index: tir.Expr) -> bool:
    """Whether an index has a constant summand, subtracts anything, or has a negative factor."""
    found: list[bool] = []

    def see(node: tir.Add | tir.Sub | tir.Mul) -> None:
        constants = [constant(node.a) or 0, constant(node.b) or 0]
        shifts = isinstance(node, tir.Add) and any(constants)
        found.append(isinstance(node, tir.Sub) or shifts or min(constants) < 0)

    tvm_ffi.structural_walk(index, ((tir.Add, tir.Sub, tir.Mul), see))
    return any(found)


class _Iterators:
    """The loops' and blocks' iterators of a function, with their ranges."""

    def __init__(self, function: tir.PrimFunc) -> None:
        self.known = sym.Analyzer()
        # Whether the value that a block's iterator is bound to is shifted itself.
        self.shifted: dict[tir.Var, bool] = {}
        kinds = (tir.For, s_tir.SBlockRealize)
        tvm_ffi.structural_walk(function.body, (kinds, self._see))

    def _see(self, node: tir.For | s_tir.SBlockRealize) -> None:
        if isinstance(node, tir.For):
            self.shifted[node.loop_var] = False
            within = tvm.ir.Range.from_min_extent(node.min, node.extent)
            self.known.bind(node.loop_var, within, True)  # two loops may have one variable
            return
        for each, value in zip(node.block.iter_vars, node.iter_values, strict=True):
            self.shifted[each.var] = _shifts(value)
            self.known.bind(each.var, each.dom, True)

    def are_shifted(self, operand: tir.Expr) -> bool:
        """Whether an operand depends on iterators, and is shifted or reversed."""
        within: list[tir.Var] = []
        tvm_ffi.structural_walk(operand, (tir.Var, within.append))
        moving = [self.shifted[var] for var in within if var in self.shifted]
        return any(moving) or (bool(moving) and _shifts(operand))


def keep_indices(function: tir.PrimFunc) -> tir.PrimFunc:
    """The function with these operands hidden. Others stay as they are."""
    iterators, hidden = _Iterators(function), []

    def simplified(node: tir.FloorDiv | tir.FloorMod) -> tir.Expr:
        # What the analyzer can divide by itself, it divides correctly.
        return iterators.known.simplify(node) if iterators.are_shifted(node.a) else node

    def hide(node: tir.FloorDiv | tir.FloorMod) -> tir.Expr:
        if not iterators.are_shifted(node.a):
            return node
        zero = tir.const(0, dtype_of(node.a))
        hidden.append(tir.bitwise_xor(node.a, zero))
        # An operand whose sign is not known to the code generator takes more instructions.
        if iterators.known.can_prove(node.a >= zero) and (constant(node.b) or 0) > 0:
            kind = tir.Div if isinstance(node, tir.FloorDiv) else tir.Mod
            return kind(hidden[-1], node.b)
        return type(node)(hidden[-1], node.b)

    body = tvm_ffi.structural_map(function.body, (_DIVISIONS, simplified))
    body = tvm_ffi.structural_map(body, (_DIVISIONS, hide))
    return function.with_body(body) if hidden else function
