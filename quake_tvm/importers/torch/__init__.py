"""From a program of torch.export to a Relax module.

What torch states of every value in the program, its dtype and its shape, is the truth: operands are
cast to the dtypes in which torch computes, and every result is checked against it. Operators and
arguments that are not known are refused by name, none is ignored.
"""

from .program import to_relax

__all__ = ["to_relax"]
