"""Module to module: recognise nonlinearities, fold what is affine, lower to bit manipulation.

One pass a file. Nothing here knows a target.
"""
