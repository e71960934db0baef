"""Random quantized operators, byte for byte as ONNX Runtime without graph optimizations.

The other random graphs are judged with noise, so they leave out bytes that rounding decides.
"""
