"""Module to module: recognise nonlinearities, fold what is affine, lower to bit manipulation.

One pass a file. ``relax/`` and ``relay/`` have what only one of the dialects needs.
"""
