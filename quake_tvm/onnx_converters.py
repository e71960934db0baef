"""Which ONNX operators have a converter of this library, for what TVM's importer gets wrong."""

from . import onnx_convolution, onnx_einsum, onnx_gathers, onnx_images, onnx_pooling
from .onnx_filled import constant_of_shape
from .onnx_importer import Converter
from .onnx_order import top_k
from .onnx_range import range_
from .onnx_reshape import reshape
from .onnx_resize import resize
from .onnx_slices import slice_
from .onnx_split import split

CONVERTERS: dict[str, Converter] = {
    "AffineGrid": onnx_images.affine_grid,
    "AveragePool": onnx_pooling.average_pool,
    "ConstantOfShape": constant_of_shape,
    "Conv": onnx_convolution.conv,
    "ConvTranspose": onnx_convolution.conv_transpose,
    "Einsum": onnx_einsum.einsum,
    "Gather": onnx_gathers.gather,
    "GatherElements": onnx_gathers.gather_elements,
    "GatherND": onnx_gathers.gather_nd,
    "GlobalAveragePool": onnx_pooling.global_average_pool,
    "GlobalLpPool": onnx_pooling.global_lp_pool,
    "GlobalMaxPool": onnx_pooling.global_max_pool,
    "LpPool": onnx_pooling.lp_pool,
    "MaxPool": onnx_pooling.max_pool,
    "MaxRoiPool": onnx_images.max_roi_pool,
    "MaxUnpool": onnx_pooling.max_unpool,
    "NonMaxSuppression": onnx_images.non_max_suppression,
    "Pad": onnx_images.pad,
    "Range": range_,
    "Reshape": reshape,
    "Resize": resize,
    "RoiAlign": onnx_images.roi_align,
    "ScatterElements": onnx_gathers.scatter_elements,
    "ScatterND": onnx_gathers.scatter_nd,
    "Slice": slice_,
    "Split": split,
    "TopK": top_k,
    "Upsample": resize,
}
