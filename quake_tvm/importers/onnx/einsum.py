"""ONNX's Einsum: check that all dimensions of one letter have the same extent.

TVM takes the extent from one operand, and would read past the end of a shorter operand. It would
also sum half precision in half precision.
"""

import tvm
from tvm import relax, topi

from ...numerics.number_formats import COMPUTED, HALVES
from .node import Node


def einsum(builder: relax.BlockBuilder, node: Node) -> relax.Expr | None:
    """Check Einsum, and convert it for half precision. TVM's importer converts all else.

    Raises
    ------
    QuakeError
        If the dimensions of a letter may differ.
    """
    terms = node.attributes["equation"].replace(" ", "").partition("->")[0].split(",")
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
    found = builder.emit_te(topi.einsum, node.attributes["equation"], *wide)
    return relax.op.astype(found, node.dtype())
