"""ONNX's Einsum: check that all dimensions of one letter have the same extent.

TVM takes the extent from one operand, and would read past the end of a shorter operand.
"""

import tvm
from tvm import relax

from .node import Node


def einsum(builder: relax.BlockBuilder, node: Node) -> None:
    """Check Einsum, which TVM's importer converts.

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
