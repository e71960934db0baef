"""Nodes with everything set that is honoured, for tests/importers/onnx/test_operators.py.

A case is a node: arrays are inputs, ``K`` makes one an initializer, None leaves it out. Every
attribute, optional input and further output that quake_tvm.importers.onnx.operators honours is set
to something that shows.
"""

from . import (
    activations,
    contributed,
    elementwise,
    functions,
    gathers,
    normalizations,
    products,
    quantization,
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
    *normalizations.normalizations(),
    *quantization.quantization(),
    *functions.functions(),
    *functions.attention(),
    *contributed.contributed(),
]

__all__ = ["CASES", "Case", "K", "model_of"]
