"""``torch.compile`` with this library beside inductor, on ten models with random weights.

``python -m tests.torch_compile`` measures them and writes the table of docs/torch_compile.md.
"""
