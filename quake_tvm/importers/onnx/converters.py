"""The ONNX operators that have a converter here because TVM's importer gets them wrong."""

from . import (
    convolution,
    einsum,
    gathers,
    images,
    lookup,
    own_operators,
    pooling,
    recurrent,
    sequences,
)
from .expand import expand
from .filled import constant_of_shape
from .fitting import broadcast, concat, gemm, matmul, prelu
from .flatten import flatten
from .hardmax import hardmax
from .instance_norm import instance_norm
from .known_extents import batch_norm, row_norm
from .limits import clip, extreme
from .node import Converter
from .order import top_k
from .pad import pad
from .range import range_
from .reshape import reshape
from .resize import resize
from .reverse_sequence import reverse_sequence
from .running_products import cum_prod
from .slices import slice_
from .softplus import mish, softplus
from .split import split
from .squeeze import squeeze
from .tile import tile
from .triangle import trilu

CONVERTERS: dict[str, Converter] = {
    **dict.fromkeys(("Add", "And", "Div", "Equal", "Greater", "GreaterOrEqual"), broadcast),
    **dict.fromkeys(("Less", "LessOrEqual", "Max", "Mean", "Min", "Mod", "Mul"), broadcast),
    **dict.fromkeys(("Or", "Pow", "Sub", "Sum", "Where", "Xor"), broadcast),
    "AffineGrid": images.affine_grid,
    "AveragePool": pooling.average_pool,
    "BatchNormalization": batch_norm,
    "Clip": clip,
    "ConstantOfShape": constant_of_shape,
    "Concat": concat,
    "ConcatFromSequence": sequences.concat_from,
    "Conv": convolution.conv,
    "ConvInteger": convolution.conv_integer,
    "ConvTranspose": convolution.conv_transpose,
    "CumProd": cum_prod,
    "Einsum": einsum.einsum,
    "Expand": expand,
    "Flatten": flatten,
    "Gather": gathers.gather,
    **dict.fromkeys(("GRU", "LSTM", "RNN"), recurrent.layer),
    "GatherElements": gathers.gather_elements,
    "GatherND": gathers.gather_nd,
    "Gemm": gemm,
    "GlobalAveragePool": pooling.global_average_pool,
    "GlobalLpPool": pooling.global_lp_pool,
    "GlobalMaxPool": pooling.global_max_pool,
    "Hardmax": hardmax,
    "InstanceNormalization": instance_norm,
    own_operators.LOOKUP: lookup.lookup,
    own_operators.SCALED_LOOKUP: lookup.lookup,
    own_operators.CHOICE: lookup.choice,
    "LayerNormalization": row_norm,
    "LpPool": pooling.lp_pool,
    "MatMul": matmul,
    "Max": extreme,
    "MaxPool": pooling.max_pool,
    "MaxRoiPool": images.max_roi_pool,
    "MaxUnpool": pooling.max_unpool,
    "Min": extreme,
    "Mish": mish,
    "NonMaxSuppression": images.non_max_suppression,
    "PRelu": prelu,
    "Pad": pad,
    "RMSNormalization": row_norm,
    "Range": range_,
    "Reshape": reshape,
    "Resize": resize,
    "ReverseSequence": reverse_sequence,
    "RoiAlign": images.roi_align,
    "ScatterElements": gathers.scatter_elements,
    "ScatterND": gathers.scatter_nd,
    "SequenceAt": sequences.at,
    "SequenceErase": sequences.erase,
    "SequenceInsert": sequences.insert,
    "SequenceLength": sequences.length,
    "Slice": slice_,
    "Softplus": softplus,
    "Split": split,
    "SplitToSequence": sequences.split_to,
    "Squeeze": squeeze,
    "Tile": tile,
    "TopK": top_k,
    "Trilu": trilu,
    "Upsample": resize,
}

# The inputs that these take as numbers if they are known.
READ_AS_SIZES: dict[str, tuple[int, ...]] = {
    "ConstantOfShape": (0,),
    "Expand": (1,),
    "Pad": (1,),
    "Range": (0, 1, 2),
    "Reshape": (1,),
    "Resize": (3,),
    "Slice": (1, 2, 3, 4),
    "Split": (1,),
    "Tile": (1,),
}
