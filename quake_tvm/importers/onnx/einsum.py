"""ONNX's Einsum: check that the equation fits the inputs, and that extents of one letter are equal.

TVM ends the process for some equations that are wrong. It takes an extent from one operand, and
would read past the end of a shorter operand. It would also sum half precision in half precision.
"""

from collections.abc import Sequence

import tvm
from tvm import relax, topi

from ...numerics.number_formats import COMPUTED, HALVES
from . import equations
from .node import Node


def einsum(builder: relax.BlockBuilder, node: Node) -> relax.Expr | None:
    """Check Einsum, and convert it for half precision. TVM's importer converts all else.

    Raises
    ------
    QuakeError
        For an equation that is wrong or does not fit the inputs, and if the dimensions of a letter
        may differ.
    """
    equation = node.attributes["equation"]
    terms, result = equations.read(equation)
    ranks = [len(node.shape(k)) for k in range(len(node.inputs))]
    if wrong := _wrong(terms, result, ranks):
        raise node.refuse(f"the equation {equation!r}: {wrong}")
    analyzer = tvm.sym.Analyzer()
    extents: dict[str, int | tvm.ir.Expr] = {}
    for k, term in enumerate(terms):
        shape = node.shape(k)
        front, _, back = term.partition("...")
        pairs = [*zip(front, shape, strict=False), *zip(back[::-1], shape[::-1], strict=False)]
        for letter, size in pairs:
            first = extents.setdefault(letter, size)
            fixed = isinstance(first, int) and isinstance(size, int)
            if not fixed and not analyzer.can_prove_equal(first, size):
                raise node.refuse(
                    f"{letter!r} stands for {first} and {size}; give both dimensions one name, or "
                    "give shapes for the model's inputs"
                )
    if node.dtype() not in HALVES:
        return None
    wide = [builder.emit(relax.op.astype(x, COMPUTED)) for x in node.inputs]
    found = builder.emit_te(topi.einsum, equation, *wide)
    return relax.op.astype(found, node.dtype())


def _wrong(terms: Sequence[str], result: str | None, ranks: Sequence[int]) -> str | None:
    """What is wrong with an equation of these terms for inputs of these ranks, if anything."""
    if len(terms) != len(ranks):
        return f"{len(terms)} terms for {len(ranks)} inputs"
    for term, rank in zip(terms, ranks, strict=True):
        named = len(term.replace("...", ""))
        if named > rank or (named < rank and "..." not in term):
            return f"{term!r} for an input of {rank} dimensions"
    if result is None:
        return None
    letters = result.replace("...", "")
    if len(set(letters)) < len(letters):
        return "the result has a letter twice"
    if unknown := set(letters).difference(*terms):
        return f"the result has {min(unknown)!r}, which no input has"
    if "..." not in result and any("..." in term for term in terms):
        return "the result lacks the dimensions of the ellipsis"
    return None
