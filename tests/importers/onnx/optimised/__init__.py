"""Models that ONNX Runtime's optimiser and its tool for transformers have rewritten.

`python -m tests.importers.onnx.optimised` compiles each form of each model and writes
docs/optimised_models.md. It needs the extra "torch".
"""
