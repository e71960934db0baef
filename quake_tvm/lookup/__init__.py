"""LookupFFN (arXiv 2403.07221): feed-forward layers as hashed look-ups, by distillation."""

from .conversion import Converted, ConvertedLayer, convert
from .distil import Settings
from .paper_layout import to_onnx

__all__ = ["Converted", "ConvertedLayer", "Settings", "convert", "to_onnx"]
