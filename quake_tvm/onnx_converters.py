"""Which ONNX operators have a converter of this library, for what TVM's importer gets wrong.

``HONOURED`` names the attributes, optional inputs and outputs after the first that they and TVM's
converters of the other operators on images honour, of every opset; what is not named has to be
refused. A value that cannot be honoured is refused by the converter.
"""

from . import onnx_convolution, onnx_images, onnx_pooling
from .onnx_importer import Converter
from .onnx_resize import resize

CONVERTERS: dict[str, Converter] = {
    "AffineGrid": onnx_images.affine_grid,
    "AveragePool": onnx_pooling.average_pool,
    "Conv": onnx_convolution.conv,
    "ConvTranspose": onnx_convolution.conv_transpose,
    "GlobalAveragePool": onnx_pooling.global_average_pool,
    "GlobalLpPool": onnx_pooling.global_lp_pool,
    "GlobalMaxPool": onnx_pooling.global_max_pool,
    "LpPool": onnx_pooling.lp_pool,
    "MaxPool": onnx_pooling.max_pool,
    "MaxUnpool": onnx_pooling.max_unpool,
    "NonMaxSuppression": onnx_images.non_max_suppression,
    "Pad": onnx_images.pad,
    "Resize": resize,
    "RoiAlign": onnx_images.roi_align,
    "Upsample": resize,
}

_WINDOW = "auto_pad dilations kernel_shape pads strides"

HONOURED: dict[str, str] = {
    "AffineGrid": "align_corners",
    "AveragePool": f"{_WINDOW} ceil_mode count_include_pad",
    "CenterCropPad": "axes",
    "Conv": f"{_WINDOW} B group",
    "ConvTranspose": f"{_WINDOW} B group output_padding output_shape",
    "DepthToSpace": "blocksize mode",
    "GlobalAveragePool": "",
    "GlobalLpPool": "p",
    "GlobalMaxPool": "",
    "GridSample": "align_corners mode padding_mode",
    "LpPool": f"{_WINDOW} ceil_mode p",
    "MaxPool": f"{_WINDOW} ceil_mode storage_order",
    "MaxRoiPool": "pooled_shape spatial_scale",
    "MaxUnpool": "kernel_shape output_shape pads strides",
    "NonMaxSuppression": "center_point_box iou_threshold max_output_boxes_per_class"
    " score_threshold",
    "Pad": "axes constant_value mode pads value",
    "Resize": "antialias axes coordinate_transformation_mode cubic_coeff_a exclude_outside"
    " extrapolation_value keep_aspect_ratio_policy mode nearest_mode roi scales sizes",
    "RoiAlign": "coordinate_transformation_mode mode output_height output_width sampling_ratio"
    " spatial_scale",
    "SpaceToDepth": "blocksize",
    "Upsample": "mode scales",
}
