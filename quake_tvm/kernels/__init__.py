"""Operators as loops and as tensor computations, ready to become PrimFuncs.

Knows no graph and no rule that schedules them.
"""
