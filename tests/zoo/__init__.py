"""Architectures of `transformers` and `timm`, with random weights and small configurations.

`python -m tests.zoo` compiles them through torch.export and compares with eager; what is refused
goes through torch.onnx too. It writes the table of docs/torch_models.md. It needs the extra "zoo".
"""
