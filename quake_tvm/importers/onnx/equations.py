"""Read the equation of ONNX's Einsum. Knows no TVM."""

import re

import onnx

from .nodes import place

_TERM = re.compile(r"[A-Za-z]*(\.\.\.)?[A-Za-z]*")


def read(equation: str) -> tuple[list[str], str | None]:
    """The terms of the inputs, and that of the result; None if the equation has no arrow."""
    left, arrow, result = equation.replace(" ", "").partition("->")
    return left.split(","), result if arrow else None


def problem(node: onnx.NodeProto) -> str | None:
    """One line if the terms of an Einsum node's equation are malformed, else None.

    To be asked before any inference of shapes: for two dots that are no ellipsis onnx's inference
    does not end.
    """
    equation = next((a.s for a in node.attribute if a.name == "equation"), b"").decode()
    terms, result = read(equation)
    if all(_TERM.fullmatch(term) for term in (*terms, result or "")):
        return None
    what = "a term may have letters and one ellipsis only"
    return f"cannot import Einsum: the equation {equation!r}: {what} ({place(node)})"
