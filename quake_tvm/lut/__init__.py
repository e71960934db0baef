"""Piecewise-linear tables of 8 or 16 entries, after GQA-LUT (arXiv 2403.19591).

Slopes and intercepts are integers, scales powers of two. Two searches place the breakpoints: the
paper's genetic one, and a dynamic programme that finds the best. Knows no graph and no target.
"""
