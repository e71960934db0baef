"""Nodes that set everything that is honoured, for tests/importers/onnx/test_operators.py.

A case is a node. An array is an input, ``K`` makes it an initializer, and None omits the input.
Every attribute, optional input and further output that quake_tvm.importers.onnx.operators honours
is set to a value that changes the result.
"""

from . import (
    activations,
    contributed,
    elementwise,
    fourier,
    functions,
    fused,
    gathers,
    normalizations,
    products,
    quantization,
    quantized_operators,
    recurrent,
    reductions,
    shapes,
)
from .case import Case, K, model_of

CASES: list[Case] = [
    *elementwise.elementwise(),
    *activations.activations(),
    *shapes.shapes(),
    *reductions.reductions(),
    *gathers.gathers(),
    *products.products(),
    *products.deformed(),
    *normalizations.normalizations(),
    *quantization.quantization(),
    *quantized_operators.quantized_operators(),
    *recurrent.recurrent(),
    *fourier.fourier(),
    *functions.functions(),
    *functions.attention(),
    *contributed.contributed(),
    *fused.fused(),
]

__all__ = ["CASES", "Case", "K", "model_of"]
