"""Convert a program of torch.export to a Relax module.

The dtype and the shape that torch states for every value are authoritative. Operands are cast to
the dtypes in which torch computes, and every result is checked against torch's dtype and shape.
Unknown operators and arguments are refused by name; none is ignored.
"""

from .program import to_relax

__all__ = ["to_relax"]
