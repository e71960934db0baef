"""Passes on modules: recognise nonlinearities, fold affine steps, lower to bit manipulation.

Each file holds one pass. ``relax/`` and ``relay/`` hold what only one of the dialects needs.
"""
