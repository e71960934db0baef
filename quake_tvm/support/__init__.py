"""Helpers for all parts: files, processes, checks of arguments.

Knows no part of this library but its exception.
"""
