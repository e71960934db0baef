"""From ONNX files and PyTorch programs to Relax modules.

Knows no pass and no schedule.
"""
