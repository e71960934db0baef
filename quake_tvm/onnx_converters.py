"""Which ONNX operators have a converter of this library, for what TVM's importer gets wrong."""

from . import onnx_images, onnx_windows
from .onnx_importer import Converter
from .onnx_resize import resize

CONVERTERS: dict[str, Converter] = {
    "AffineGrid": onnx_images.affine_grid,
    "AveragePool": onnx_windows.average_pool,
    "Conv": onnx_windows.conv,
    "ConvTranspose": onnx_windows.conv_transpose,
    "GlobalAveragePool": onnx_windows.global_average_pool,
    "GlobalLpPool": onnx_windows.global_lp_pool,
    "GlobalMaxPool": onnx_windows.global_max_pool,
    "LpPool": onnx_windows.lp_pool,
    "MaxPool": onnx_windows.max_pool,
    "MaxUnpool": onnx_windows.max_unpool,
    "NonMaxSuppression": onnx_images.non_max_suppression,
    "Pad": onnx_images.pad,
    "Resize": resize,
    "RoiAlign": onnx_images.roi_align,
    "Upsample": resize,
}
