"""What of each ONNX operator is honoured. A node that asks for anything else is refused.

``STANDARD`` names, for each operator, the attributes, optional inputs and outputs after the first
that are honoured; ``MICROSOFT`` does so for the operators of ONNX Runtime's domain, which have no
schema. ``check`` refuses the rest: an operator that is not listed, an attribute that is not listed
unless its value is the default, an input or output that is not listed, a form newer than ``OPSET``.
Knows no TVM.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

import onnx
from onnx import helper

from .errors import QuakeError
from .onnx_fold import all_nodes

# The newest opset whose changes were read.
OPSET = 28
# The oldest: a form that no opset from this one on has is refused.
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
_WINDOW = "auto_pad ceil_mode dilations kernel_shape pads strides"

STANDARD: dict[str, frozenset[str]] = {
    name: frozenset(honoured.split())
    for name, honoured in {
        **dict.fromkeys(_UNARY.split(), ""),
        **dict.fromkeys(_BINARY.split(), ""),
        **dict.fromkeys(_REDUCTIONS.split(), "axes keepdims noop_with_empty_axes"),
        "ReduceLogSum": "axes keepdims",  # ONNX Runtime is at odds with the standard
        "AffineGrid": "align_corners",
        "ArgMax": "axis keepdims select_last_index",
        "ArgMin": "axis keepdims select_last_index",
        "Attention": "attn_mask is_causal kv_num_heads past_key past_value present_key"
        " present_value q_num_heads qk_matmul_output qk_matmul_output_mode scale softcap"
        " softmax_precision",
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
        "Compress": "axis",
        "Concat": "axis",
        "ConcatFromSequence": "axis new_axis",
        "Constant": "value value_float value_floats value_int value_ints",
        "ConstantOfShape": "value",
        "Conv": "B auto_pad dilations group kernel_shape pads strides",
        "ConvTranspose": "B auto_pad dilations group kernel_shape output_padding output_shape pads"
        " strides",
        "CumSum": "exclusive reverse",
        "DepthToSpace": "blocksize mode",
        "DequantizeLinear": "axis output_dtype x_zero_point",
        "Dropout": "mask ratio seed training_mode",
        "DynamicQuantizeLinear": "y_scale y_zero_point",
        "Einsum": "equation",
        "Elu": "alpha",
        "EyeLike": "dtype k",
        "Flatten": "axis",
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
        "LayerNormalization": "B InvStdDev Mean axis epsilon",
        "LeakyRelu": "alpha",
        "LogSoftmax": "axis",
        "LpPool": f"{_WINDOW} p",
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
        "QuantizeLinear": "axis output_dtype y_zero_point",
        "RMSNormalization": "axis epsilon stash_type",
        "Reshape": "allowzero",
        "Resize": "antialias axes coordinate_transformation_mode cubic_coeff_a exclude_outside"
        " extrapolation_value keep_aspect_ratio_policy mode nearest_mode roi scales sizes",
        "RoiAlign": "coordinate_transformation_mode mode output_height output_width sampling_ratio"
        " spatial_scale",
        "RotaryEmbedding": "interleaved num_heads position_ids rotary_embedding_dim",
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
        "ThresholdedRelu": "alpha",
        "TopK": "Indices axis k largest",
        "Transpose": "perm",
        "Trilu": "k upper",
        "Unique": "axis counts indices inverse_indices sorted",
        "Unsqueeze": "axes",
        "Upsample": "mode scales",
    }.items()
}


@dataclass(frozen=True)
class Contributed:
    """What is honoured of an operator of ONNX Runtime's domain."""

    inputs: frozenset[int]
    outputs: frozenset[int] = frozenset({0})
    attributes: frozenset[str] = frozenset()
    # What a node may say because it changes nothing.
    defaults: tuple[tuple[str, object], ...] = ()


MICROSOFT: dict[str, Contributed] = {
    "Attention": Contributed(
        frozenset({0, 1, 2}),
        attributes=frozenset({"num_heads", "qkv_hidden_sizes"}),
        defaults=(
            ("do_rotary", 0),
            ("past_present_share_buffer", 0),
            ("scale", 0.0),
            ("unidirectional", 0),
        ),
    ),
    "BiasGelu": Contributed(frozenset({0, 1})),
    "DequantizeLinear": Contributed(frozenset({0, 1, 2}), attributes=frozenset({"axis"})),
    "EmbedLayerNormalization": Contributed(
        frozenset({0, 1, 2, 3, 4, 5, 6, 8}), attributes=frozenset({"epsilon"})
    ),
    "FastGelu": Contributed(frozenset({0, 1})),
    "Gelu": Contributed(frozenset({0})),
    "QuantizeLinear": Contributed(frozenset({0, 1, 2}), attributes=frozenset({"axis"})),
    "SkipLayerNormalization": Contributed(
        frozenset({0, 1, 2, 3, 4}),
        outputs=frozenset({0, 1, 2, 3}),
        attributes=frozenset({"epsilon"}),
    ),
}


def check(model: onnx.ModelProto) -> None:
    """Refuse what would be ignored.

    Raises
    ------
    QuakeError
        For a node whose operator, form, attribute, input or output is not honoured.
    """
    for value in (*model.graph.input, *model.graph.output):
        kind = value.type.WhichOneof("value")
        if kind not in (None, "tensor_type"):
            raise QuakeError(
                f"{value.name!r} is a {kind.removesuffix('_type').replace('_', ' ')}: "
                "a model's inputs and outputs must be tensors"
            )
    unknown = sorted({name(n) for n in all_nodes(model.graph) if not _known(n)})
    if unknown:
        raise QuakeError(
            f"TVM cannot import these ONNX operators: {', '.join(unknown)}; "
            "replace them in the model, or import it yourself and pass the IRModule"
        )
    for node in _nodes_of_branches(model.graph):
        if sum(map(bool, node.output)) > 1:
            raise QuakeError(
                f"{name(node)} has several outputs, which TVM cannot plan in a branch of If: take "
                "the node out of the branch"
            )
    used = {i for n in all_nodes(model.graph) for i in n.input} | _graph_outputs(model.graph)
    for node in all_nodes(model.graph):
        for what in (_not_honoured if node.domain == "" else _not_honoured_of_microsoft)(
            model, node, used
        ):
            raise QuakeError(
                f"{what} of the ONNX operator {name(node)} is not supported"
                f"{f' (node {node.name!r})' if node.name else ''}; "
                "write the node without it, or import the model yourself and pass the IRModule"
            )


def name(node: onnx.NodeProto) -> str:
    """The operator with its domain, if that is not the standard's."""
    return f"{node.domain}.{node.op_type}" if node.domain else node.op_type


def schema(
    model: onnx.ModelProto | onnx.FunctionProto, node: onnx.NodeProto
) -> onnx.defs.OpSchema | None:
    """The node's form in the standard, as of the model's or function's opset."""
    version = next((o.version for o in model.opset_import if o.domain == node.domain), 0)
    try:
        return onnx.defs.get_schema(node.op_type, version, node.domain)
    except onnx.defs.SchemaError:
        return None


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
    """The operator's forms, oldest first, in the opsets that are supported."""
    history = _history().get(operator, [])
    ends = [form.since_version for form in history[1:]] + [OPSET + 1]
    if history and history[-1].deprecated:  # by its last form the operator ends
        history, ends = history[:-1], ends[:-1]
    return tuple(
        form
        for form, end in zip(history, ends, strict=False)
        if end > OLDEST and form.since_version <= OPSET
    )


def honours(operator: str, form: onnx.defs.OpSchema) -> dict[str, bool]:
    """Whether each attribute, optional input and further output of a form is honoured."""
    optional = onnx.defs.OpSchema.FormalParameterOption.Optional
    names = [*form.attributes]
    names += [i.name for i in form.inputs if i.option == optional]
    names += [o.name for o in form.outputs[1:]]
    return {n: n in STANDARD[operator] for n in names}


@cache
def _supported(operator: str) -> frozenset[int]:
    return frozenset(form.since_version for form in forms(operator))


def _known(node: onnx.NodeProto) -> bool:
    return node.op_type in {"": STANDARD, "com.microsoft": MICROSOFT}.get(node.domain, ())


def _nodes_of_branches(graph: onnx.GraphProto) -> Iterator[onnx.NodeProto]:
    for node in graph.node:
        for attribute in node.attribute:
            yield from all_nodes(attribute.g)


def _graph_outputs(graph: onnx.GraphProto) -> set[str]:
    """The outputs of the graph and of those inside it."""
    inner = (a.g for node in all_nodes(graph) for a in node.attribute if a.HasField("g"))
    return {o.name for g in (graph, *inner) for o in g.output}


def _not_honoured(model: onnx.ModelProto, node: onnx.NodeProto, used: set[str]) -> Iterator[str]:
    form = schema(model, node)
    if form is None or form.since_version not in _supported(node.op_type):
        version = next((o.version for o in model.opset_import if not o.domain), 0)
        yield f"the form in opset {version}"
        return
    honoured = STANDARD[node.op_type]
    for attribute in node.attribute:
        known = form.attributes.get(attribute.name)
        if known is None:
            yield f"attribute {attribute.name}, unknown in this opset,"
        elif attribute.name not in honoured and not _same(attribute, known.default_value):
            yield f"attribute {attribute.name}={_shown(attribute)}"
    for given, formal in zip(node.input, form.inputs, strict=False):
        optional = formal.option == onnx.defs.OpSchema.FormalParameterOption.Optional
        if given and optional and formal.name not in honoured:
            yield f"input {formal.name}"
    for given, formal in list(zip(node.output, form.outputs, strict=False))[1:]:
        if given in used and formal.name not in honoured:
            yield f"output {formal.name}"


def _not_honoured_of_microsoft(
    model: onnx.ModelProto, node: onnx.NodeProto, used: set[str]
) -> Iterator[str]:
    honoured = MICROSOFT[node.op_type]
    for attribute in node.attribute:
        value = helper.get_attribute_value(attribute)
        if (
            attribute.name not in honoured.attributes
            and (attribute.name, value) not in honoured.defaults
        ):
            yield f"attribute {attribute.name}={_shown(attribute)}"
    for k, given in enumerate(node.input):
        if given and k not in honoured.inputs:
            yield f"input {k}"
    for k, given in enumerate(node.output):
        if given in used and k not in honoured.outputs:
            yield f"output {k}"


def _same(attribute: onnx.AttributeProto, default: onnx.AttributeProto) -> bool:
    return default.type == attribute.type and helper.get_attribute_value(
        attribute
    ) == helper.get_attribute_value(default)


def _shown(attribute: onnx.AttributeProto) -> str:
    value = helper.get_attribute_value(attribute)
    if isinstance(value, bytes):
        return value.decode(errors="replace")[:40]
    return str(value)[:40] if isinstance(value, int | float | list) else "..."
