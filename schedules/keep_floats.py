"""Keep TVM's simplifier from rewriting floats as if there were no NaN and no rounding.

The simplifier rewrites (a + b) - b to a, a - a to 0, a == a to true, and not a < b to b <= a. Where
a < b does not hold, it takes b <= a for true. It makes a != b false if either operand is NaN. This
pass hides each such expression from the simplifier: by a fence around an operand, or by an
exclusive or with a constant. LLVM removes both without adding an instruction. Knows floats, no
operator.

TVM 0.27 also gives a name to a quotient of sizes that occurs several times, and then fails to build
the kernel. A fence around the divisor keeps it from that.
"""

from collections.abc import Callable
from functools import partial

import tvm
import tvm_ffi

from quake_tvm.tvm_version import dtype_of, tir

from .tiles import mentions

_COMPARISONS = (tir.LT, tir.LE, tir.GT, tir.GE, tir.EQ, tir.NE)
# The same comparison with swapped operands, and the one that the simplifier takes for the opposite.
_TURNED = {tir.LT: tir.GT, tir.GT: tir.LT, tir.LE: tir.GE, tir.GE: tir.LE, tir.EQ: tir.EQ}
_OPPOSITE = {tir.LT: tir.GE, tir.GT: tir.LE, tir.LE: tir.GT, tir.GE: tir.LT}
same = tvm_ffi.structural_equal


def _float(value: tir.Expr) -> bool:
    """Whether LLVM's fence accepts this type. TVM lowers bfloat16 only later."""
    return dtype_of(value) in ("float16", "float32", "float64")


def fenced(value: tir.Expr) -> tir.Expr:
    """The same float, which TVM's simplifier cannot relate to the expression that computes it."""
    return tir.call_llvm_pure_intrin(dtype_of(value), "llvm.arithmetic.fence", value)


def _xor(condition: tir.Expr, other: bool) -> tir.Expr:
    return tir.bitwise_xor(condition, tir.const(other, "bool"))


def _compares(value: tir.Expr) -> bool:
    return isinstance(value, _COMPARISONS) and "float" in dtype_of(value.a)


def _any(value: tir.Expr, wanted: Callable[[tir.Expr], bool]) -> bool:
    """Whether an expression contains a comparison that satisfies ``wanted``."""
    found: list[bool] = []

    def see(comparison: tir.Expr) -> None:
        found.append(wanted(comparison))

    tvm_ffi.structural_walk(value, (_COMPARISONS, see))
    return any(found)


def _cancels(whole: tir.Expr, part: tir.Expr) -> bool:
    """Whether ``whole`` equals ``part``, or is a sum or a selection with it as an operand."""
    operands = [whole]
    if isinstance(whole, tir.Add):
        operands += [whole.a, whole.b]
    if isinstance(whole, tir.Select):
        operands += [whole.true_value, whole.false_value]
    return any(same(operand, part) for operand in operands)


def _subtract(node: tir.Sub) -> tir.Expr:
    if not _float(node):
        return node
    if _cancels(node.a, node.b):
        return tir.Sub(fenced(node.a), node.b)
    if _cancels(node.b, node.a):
        return tir.Sub(node.a, fenced(node.b))
    return node


def _equal(node: tir.EQ) -> tir.Expr:
    return tir.EQ(fenced(node.a), node.b) if _float(node.a) and same(node.a, node.b) else node


def _not_equal(node: tir.NE) -> tir.Expr:
    return _xor(_equal(tir.EQ(node.a, node.b)), True) if _compares(node) else node


def _negated(value: tir.Expr) -> tir.Expr:
    """The negation, pushed down to the comparisons.

    Only comparisons get an exclusive or. Truth values that are loaded into a vector are bytes, not
    bits.
    """
    if isinstance(value, tir.And):
        return tir.Or(_negated(value.a), _negated(value.b))
    if isinstance(value, tir.Or):
        return tir.And(_negated(value.a), _negated(value.b))
    return _xor(value, True) if _compares(value) else tir.Not(value)


def _not(node: tir.Not) -> tir.Expr:
    return _negated(node.a) if _any(node.a, _compares) else node


def _excludes(one: tir.Expr, other: tir.Expr) -> bool:
    """Whether exactly one of two float comparisons holds, unless an operand is NaN."""
    if not (_compares(one) and _compares(other) and type(one) in _OPPOSITE):
        return False
    opposite = _OPPOSITE[type(one)]
    if isinstance(other, opposite) and same(one.a, other.a) and same(one.b, other.b):
        return True
    return isinstance(other, _TURNED[opposite]) and same(one.a, other.b) and same(one.b, other.a)


def _or(node: tir.Or) -> tir.Expr:
    return tir.Or(_xor(node.a, False), node.b) if _excludes(node.a, node.b) else node


def _select(node: tir.Select) -> tir.Expr:
    """Hide the condition if the branch for false compares the opposite."""
    if not _compares(node.condition):
        return node
    if not _any(node.false_value, partial(_excludes, node.condition)):
        return node
    return tir.Select(_xor(node.condition, False), node.true_value, node.false_value)


def _divide(node: tir.Div) -> tir.Expr:
    """Hide the divisor of a quotient of whole numbers, unless it divides what is loaded."""
    whole = isinstance(node.b, tir.Cast) and "int" in dtype_of(node.b.value)
    if not whole or not _float(node) or mentions(node, tvm.ir.TensorLoad, lambda _: True):
        return node
    return tir.Div(node.a, fenced(node.b))


def keep_floats(function: tir.PrimFunc) -> tir.PrimFunc:
    """The function with all expressions hidden that the simplifier would rewrite wrongly."""
    rules = (
        (tir.Div, _divide),
        (tir.Sub, _subtract),
        (tir.EQ, _equal),
        (tir.NE, _not_equal),
        (tir.Not, _not),
        (tir.Or, _or),
        (tir.Select, _select),
    )
    return function.with_body(tvm_ffi.structural_map(function.body, rules))
