"""Targets: their names, the features of each, and this machine as LLVM describes it.

Knows no model and no operator.
"""
