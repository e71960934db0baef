"""The attributes, inputs and outputs of each operator of the standard that are honoured.

:mod:`check` refuses all others. ``STANDARD`` names, for each operator, the attributes, the optional
inputs and the outputs after the first. Knows no model and no TVM.
"""

from functools import cache

import onnx

# The newest opset whose changes are taken into account.
OPSET = 28
# The oldest opset: forms that had been replaced before it are refused.
OLDEST = 7

_UNARY = (
    "Abs Acos Acosh Asin Asinh Atan Atanh BitwiseNot Ceil Cos Cosh Erf Exp Floor HardSwish Identity"
    " IsNaN Log Mish Neg NonZero Not Reciprocal Relu Round Sigmoid Sign Sin Sinh Size Softplus"
    " Softsign Sqrt Tan Tanh GlobalAveragePool GlobalMaxPool"
)
_BINARY = (
    "Add And BitwiseAnd BitwiseOr BitwiseXor Div Equal Expand Greater GreaterOrEqual Less"
    " LessOrEqual MatMul Mul Or PRelu Pow Range Sub Tile Where Xor Max Mean Min Sum"
)
_REDUCTIONS = (
    "ReduceL1 ReduceL2 ReduceLogSum ReduceLogSumExp ReduceMax ReduceMean ReduceMin ReduceProd"
    " ReduceSum ReduceSumSquare"
)
_RECURRENT = (
    "B Y_h activation_alpha activation_beta activations clip direction hidden_size initial_h layout"
    " sequence_lens"
)
_WINDOW = "auto_pad ceil_mode dilations kernel_shape pads strides"

STANDARD: dict[str, frozenset[str]] = {
    name: frozenset(honoured.split())
    for name, honoured in {
        **dict.fromkeys(_UNARY.split(), ""),
        **dict.fromkeys(_BINARY.split(), ""),
        **dict.fromkeys(_REDUCTIONS.split(), "axes keepdims noop_with_empty_axes"),
        "ReduceLogSum": "axes keepdims",  # ONNX Runtime differs from the standard
        "AffineGrid": "align_corners",
        "ArgMax": "axis keepdims select_last_index",
        "ArgMin": "axis keepdims select_last_index",
        "Attention": "attn_mask is_causal kv_num_heads left_window_size nonpad_kv_seqlen past_key"
        " past_value present_key present_value q_num_heads qk_matmul_output qk_matmul_output_mode"
        " right_window_size scale softcap softmax_precision",
        "AveragePool": f"{_WINDOW} count_include_pad",
        "BatchNormalization": "epsilon momentum",
        "BitShift": "direction",
        "BlackmanWindow": "output_datatype periodic",
        "Cast": "to",
        "CastLike": "",
        "CausalConvWithState": "activation bias past_state present_state",
        "Celu": "alpha",
        "CenterCropPad": "axes",
        "Clip": "max min",
        "Col2Im": "dilations pads strides",
        "Compress": "axis",
        "Concat": "axis",
        "ConcatFromSequence": "axis new_axis",
        "Constant": "sparse_value value value_float value_floats value_int value_ints",
        "ConstantOfShape": "value",
        "Conv": "B auto_pad dilations group kernel_shape pads strides",
        "ConvInteger": "auto_pad dilations group kernel_shape pads strides w_zero_point"
        " x_zero_point",
        "ConvTranspose": "B auto_pad dilations group kernel_shape output_padding output_shape pads"
        " strides",
        "CumProd": "exclusive reverse",
        "CumSum": "exclusive reverse",
        "DFT": "axis dft_length inverse onesided",
        "DeformConv": "B dilations group kernel_shape mask offset_group pads strides",
        "DepthToSpace": "blocksize mode",
        "DequantizeLinear": "axis block_size output_dtype x_zero_point",
        "Dropout": "mask ratio seed training_mode",
        "DynamicQuantizeLinear": "y_scale y_zero_point",
        "Einsum": "equation",
        "Elu": "alpha",
        "EyeLike": "dtype k",
        "Flatten": "axis",
        "GRU": f"{_RECURRENT} linear_before_reset",
        "Gather": "axis",
        "GatherElements": "axis",
        "GatherND": "batch_dims",
        "Gelu": "approximate",
        "Gemm": "C alpha beta transA transB",
        "GlobalLpPool": "p",
        "GridSample": "align_corners mode padding_mode",
        "GroupNormalization": "epsilon num_groups",
        "HammingWindow": "output_datatype periodic",
        "HannWindow": "output_datatype periodic",
        "HardSigmoid": "alpha beta",
        "Hardmax": "axis",
        "If": "else_branch then_branch",
        "InstanceNormalization": "epsilon",
        "IsInf": "detect_negative detect_positive",
        "LRN": "alpha beta bias size",
        "LSTM": f"{_RECURRENT} P Y_c initial_c input_forget",
        "LayerNormalization": "B InvStdDev Mean axis epsilon",
        "LeakyRelu": "alpha",
        "LinearAttention": "beta chunk_size decay kv_num_heads past_state present_state q_num_heads"
        " scale update_rule",
        "LogSoftmax": "axis",
        "LpPool": f"{_WINDOW} p",
        "Loop": "M body cond",
        "LpNormalization": "axis p",
        "MatMulInteger": "a_zero_point b_zero_point",
        "MaxPool": f"{_WINDOW} storage_order",
        "MaxRoiPool": "pooled_shape spatial_scale",
        "MaxUnpool": "kernel_shape output_shape pads strides",
        "MeanVarianceNormalization": "axes",
        "Mod": "fmod",
        "NegativeLogLikelihoodLoss": "ignore_index reduction weight",
        "NonMaxSuppression": "center_point_box iou_threshold max_output_boxes_per_class"
        " score_threshold",
        "OneHot": "axis",
        "Optional": "input type",
        "OptionalGetElement": "",
        "OptionalHasElement": "input",
        "Pad": "axes constant_value mode pads value",
        "QLinearConv": "B auto_pad dilations group kernel_shape pads strides",
        "QLinearMatMul": "",
        "QuantizeLinear": "axis block_size output_dtype y_zero_point",
        "RNN": _RECURRENT,
        "RMSNormalization": "axis epsilon stash_type",
        "Reshape": "allowzero",
        "Resize": "antialias axes coordinate_transformation_mode cubic_coeff_a exclude_outside"
        " extrapolation_value keep_aspect_ratio_policy mode nearest_mode roi scales sizes",
        "ReverseSequence": "batch_axis time_axis",
        "RoiAlign": "coordinate_transformation_mode mode output_height output_width sampling_ratio"
        " spatial_scale",
        "RotaryEmbedding": "interleaved num_heads position_ids rotary_embedding_dim",
        "STFT": "frame_length onesided window",
        "Scan": "body num_scan_inputs scan_input_axes scan_input_directions scan_output_axes"
        " scan_output_directions",
        "Scatter": "axis",
        "ScatterElements": "axis reduction",
        "ScatterND": "reduction",
        "Selu": "alpha gamma",
        "SequenceAt": "",
        "SequenceConstruct": "",
        "SequenceEmpty": "dtype",
        "SequenceErase": "position",
        "SequenceInsert": "position",
        "SequenceLength": "",
        "Shape": "end start",
        "Shrink": "bias lambd",
        "Slice": "axes ends starts steps",
        "Softmax": "axis",
        "SoftmaxCrossEntropyLoss": "ignore_index log_prob reduction weights",
        "SpaceToDepth": "blocksize",
        "Split": "axis num_outputs split",
        "SplitToSequence": "axis keepdims split",
        "Squeeze": "axes",
        "SwiGLU": "alpha",
        "Swish": "alpha",
        "TensorScatter": "axis mode write_indices",
        "ThresholdedRelu": "alpha",
        "TopK": "Indices axis k largest",
        "Transpose": "perm",
        "Trilu": "k upper",
        "Unique": "axis counts indices inverse_indices sorted",
        "Unsqueeze": "axes",
        "Upsample": "mode scales",
    }.items()
}


@cache
def _history() -> dict[str, list[onnx.defs.OpSchema]]:
    """All forms of the standard's operators, oldest first."""
    found: dict[str, list[onnx.defs.OpSchema]] = {}
    for form in onnx.defs.get_all_schemas_with_history():
        if not form.domain:
            found.setdefault(form.name, []).append(form)
    return {name: sorted(f, key=lambda s: s.since_version) for name, f in found.items()}


@cache
def forms(operator: str) -> tuple[onnx.defs.OpSchema, ...]:
    """The operator's schemas in the supported opsets, oldest first."""
    history = _history().get(operator, [])
    ends = [form.since_version for form in history[1:]] + [OPSET + 1]
    if history and history[-1].deprecated:  # the last schema only marks the operator as removed
        history, ends = history[:-1], ends[:-1]
    return tuple(
        form
        for form, end in zip(history, ends, strict=False)
        if end > OLDEST and form.since_version <= OPSET
    )


@cache
def versions(operator: str) -> frozenset[int]:
    """The opsets in which the operator's supported schemas begin."""
    return frozenset(form.since_version for form in forms(operator))


def honours(operator: str, form: onnx.defs.OpSchema) -> dict[str, bool]:
    """Whether each attribute, optional input and further output of a schema is honoured."""
    optional = onnx.defs.OpSchema.FormalParameterOption.Optional
    names = [*form.attributes]
    names += [i.name for i in form.inputs if i.option == optional]
    names += [o.name for o in form.outputs[1:]]
    return {n: n in STANDARD[operator] for n in names}
