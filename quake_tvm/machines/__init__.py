"""Targets: by name, by what each can do, and this machine in LLVM's words.

Knows no model and no operator.
"""
