"""The compiled model when it runs: arrays in and out, threads, memory, files.

Knows no compiler.
"""
