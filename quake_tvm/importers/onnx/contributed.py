"""What is honoured of ONNX Runtime's own operators, which have no schema in onnx.

Its optimiser and its tools write them. :mod:`check` refuses everything else. Knows no model and no
TVM.
"""

from dataclasses import dataclass

DOMAIN = "com.microsoft"
# Operators that ONNX Runtime writes into the standard's domain, with the opset since which the
# standard has them too.
MISPLACED = {"LayerNormalization": 17, "SimplifiedLayerNormalization": None}


@dataclass(frozen=True)
class Contributed:
    """What is honoured of an operator in ONNX Runtime's domain."""

    inputs: frozenset[int]
    outputs: frozenset[int] = frozenset({0})
    attributes: frozenset[str] = frozenset()
    # Whether any number of inputs may follow.
    variadic: bool = False
    # Attribute values that a node may have because they change nothing.
    defaults: tuple[tuple[str, object], ...] = ()


def _of(
    inputs: str,
    attributes: str = "",
    outputs: str = "0",
    variadic: bool = False,
    **defaults: object,
) -> Contributed:
    """The numbers of inputs and outputs, and the names of attributes, with spaces between them."""
    given, made = (frozenset(int(n) for n in text.split()) for text in (inputs, outputs))
    return Contributed(
        given, made, frozenset(attributes.split()), variadic, tuple(defaults.items())
    )


_CONV = "auto_pad dilations group kernel_shape pads strides"
_GROUPS = "activation channels_last epsilon groups"
_POOL = "auto_pad ceil_mode count_include_pad kernel_shape pads strides"
_FUSED = f"{_CONV} activation activation_params"

MICROSOFT: dict[str, Contributed] = {
    "Attention": _of(
        "0 1 2 3 5",
        "mask_filter_value num_heads qkv_hidden_sizes scale unidirectional",
        do_rotary=0,
        past_present_share_buffer=0,
    ),
    "BiasAdd": _of("0 1 2"),
    "BiasGelu": _of("0 1"),
    "BiasSplitGelu": _of("0 1"),
    "CDist": _of("0 1", "metric"),
    "DequantizeLinear": _of("0 1 2", "axis"),
    "DynamicQuantizeLSTM": _of(
        "0 1 2 3 4 5 6 7 8 9 10 11",
        "activation_alpha activation_beta activations clip direction hidden_size input_forget",
        "0 1 2",
    ),
    "DynamicQuantizeMatMul": _of("0 1 2 3 4"),
    "EmbedLayerNormalization": _of("0 1 2 3 4 5 6 7 8", "epsilon", "0 1 2", mask_index_type=1),
    "ExpandDims": _of("0 1"),
    "FastGelu": _of("0 1"),
    "FusedConv": _of("0 1 2 3", _FUSED),
    "FusedGemm": _of(
        "0 1 2",
        "activation activation_alpha activation_beta activation_gamma alpha beta transA transB",
    ),
    "FusedMatMul": _of("0 1", "alpha transA transB transBatchA transBatchB"),
    "GatherBlockQuantized": _of("0 1 2 3", "bits block_size gather_axis quantize_axis"),
    "Gelu": _of("0"),
    "GridSample": _of("0 1", "align_corners mode padding_mode"),
    "GroupNorm": _of("0 1 2", _GROUPS),
    "GroupQueryAttention": _of(
        "0 1 2 3 4 5 6 7 8 9 10 11",
        "do_rotary kv_num_heads local_window_size num_heads rotary_interleaved scale softcap",
        "0 1 2",
        causal=1,
        k_quant_type=b"NONE",
        qk_output=0,
        sliding_window_cache=0,
        smooth_softmax=0,
        v_quant_type=b"NONE",
    ),
    "LayerNormalization": _of("0 1 2", "axis epsilon", "0 1 2", stash_type=1),
    "MatMulIntegerToFloat": _of("0 1 2 3 4 5 6"),
    "MatMulBnb4": _of("0 1 2", "K N block_size quant_type", training_mode=0, transB=1),
    "MatMulNBits": _of("0 1 2 3 4 5", "K N bits block_size accuracy_level", weight_prepacked=0),
    "MultiHeadAttention": _of(
        "0 1 2 3 4 5 6 7", "mask_filter_value num_heads scale unidirectional", "0 1 2 3"
    ),
    "NhwcConv": _of("0 1 2", _CONV),
    "NhwcFusedConv": _of("0 1 2 3", _FUSED),
    "NhwcMaxPool": _of("0", "auto_pad ceil_mode dilations kernel_shape pads strides"),
    "Pad": _of("0 1 2", "mode"),
    "QAttention": _of(
        "0 1 2 3 4 5 6 7",
        "mask_filter_value num_heads scale unidirectional",
        do_rotary=0,
        past_present_share_buffer=0,
    ),
    "QEmbedLayerNormalization": _of(
        "0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17", "epsilon", "0 1"
    ),
    "QGemm": _of("0 1 2 3 4 5 6 7 8", "alpha transA transB"),
    "QLinearAdd": _of("0 1 2 3 4 5 6 7"),
    "QLinearAveragePool": _of("0 1 2 3 4", f"{_POOL} channels_last"),
    "QLinearConcat": _of("0 1 2 3 4", "axis", variadic=True),
    "QLinearConv": _of("0 1 2 3 4 5 6 7 8", f"{_CONV} channels_last"),
    "QLinearGlobalAveragePool": _of("0 1 2 3 4", "channels_last"),
    "QLinearLeakyRelu": _of("0 1 2 3 4", "alpha"),
    "QLinearMul": _of("0 1 2 3 4 5 6 7"),
    "QLinearSigmoid": _of("0 1 2 3 4"),
    "QLinearSoftmax": _of("0 1 2 3 4", "axis opset"),
    "QLinearWhere": _of("0 1 2 3 4 5 6 7 8"),
    "QuantizeLinear": _of("0 1 2", "axis"),
    "QuickGelu": _of("0", "alpha"),
    "Range": _of("0 1 2"),
    "RotaryEmbedding": _of(
        "0 1 2 3", "interleaved is_packed_batching num_heads rotary_embedding_dim", scale=1.0
    ),
    "SimplifiedLayerNormalization": _of("0 1", "axis epsilon", "0 1", stash_type=1),
    "SkipGroupNorm": _of("0 1 2 3 4", _GROUPS, "0 1"),
    "SkipLayerNormalization": _of("0 1 2 3 4", "epsilon", "0 1 2 3"),
    "SkipSimplifiedLayerNormalization": _of("0 1 2 3", "epsilon", "0 2 3"),
    "TransposeMatMul": _of("0 1", "alpha transA transB"),
    "Trilu": _of("0 1", "upper"),
}
