"""The ONNX operators that have a converter here because TVM's importer gets them wrong."""

from . import convolution, einsum, gathers, images, pooling
from .filled import constant_of_shape
from .importer import Converter
from .limits import clip, extreme
from .order import top_k
from .range import range_
from .reshape import reshape
from .resize import resize
from .slices import slice_
from .split import split

CONVERTERS: dict[str, Converter] = {
    "AffineGrid": images.affine_grid,
    "AveragePool": pooling.average_pool,
    "Clip": clip,
    "ConstantOfShape": constant_of_shape,
    "Conv": convolution.conv,
    "ConvTranspose": convolution.conv_transpose,
    "Einsum": einsum.einsum,
    "Gather": gathers.gather,
    "GatherElements": gathers.gather_elements,
    "GatherND": gathers.gather_nd,
    "GlobalAveragePool": pooling.global_average_pool,
    "GlobalLpPool": pooling.global_lp_pool,
    "GlobalMaxPool": pooling.global_max_pool,
    "LpPool": pooling.lp_pool,
    "Max": extreme,
    "MaxPool": pooling.max_pool,
    "MaxRoiPool": images.max_roi_pool,
    "MaxUnpool": pooling.max_unpool,
    "Min": extreme,
    "NonMaxSuppression": images.non_max_suppression,
    "Pad": images.pad,
    "Range": range_,
    "Reshape": reshape,
    "Resize": resize,
    "RoiAlign": images.roi_align,
    "ScatterElements": gathers.scatter_elements,
    "ScatterND": gathers.scatter_nd,
    "Slice": slice_,
    "Split": split,
    "TopK": top_k,
    "Upsample": resize,
}
