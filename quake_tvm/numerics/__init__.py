"""The mathematics: polynomials of each rung, formulas of each operator, their proven bounds.

Knows no graph, no schedule and no machine.
"""
