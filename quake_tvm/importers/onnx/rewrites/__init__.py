"""Rewrite ONNX graphs into forms that TVM's importer converts correctly.

There is one rewrite per module; ``STANDARD`` and ``MICROSOFT`` map operators to rewrites. A rewrite
gets a node and the :class:`graph.Graph` around it, and emits the nodes that replace the node.
``rewrite`` applies the rewrites everywhere, in branches too, and raises the model's opset to
``OPSET``, the opset of the emitted nodes. So the importer meets one form of each operator. Knows no
TVM.
"""

from collections.abc import Callable

import onnx

from ..nodes import errors_of, graphs
from . import (
    attention,
    bit_shift,
    block_gathers,
    bnb4_products,
    columns_to_image,
    constants,
    deformed_convolution,
    dequantize,
    distances,
    dropout,
    dynamic_quantize,
    dynamic_quantize_lstm,
    embeddings,
    empty_axes,
    equality,
    equivalents,
    exponential_linear,
    eye_like,
    fourier,
    fused_convolution,
    fused_products,
    gelus,
    group_norm,
    group_query_attention,
    infinities,
    inputs_for_attributes,
    layer_normalization,
    legacy_softmax,
    local_response,
    lp_normalization,
    mean_variance,
    modulo,
    multi_head_attention,
    nbits_products,
    old_resize,
    old_scan,
    one_hot,
    powers,
    quantized_attention,
    quantized_blocks,
    quantized_functions,
    quantized_products,
    reductions,
    roi_align,
    rotary_embedding,
    scalar_prelu,
    scaled_products,
    scatter,
    shrink,
    sign,
    simplified_normalizations,
    skip_layer_normalization,
    sums,
    tensor_scatter,
    thresholds,
    unique,
)
from .graph import OPSET, Graph

Rewriting = Callable[[onnx.NodeProto, Graph], None]

STANDARD: dict[str, Rewriting] = {
    "BitShift": bit_shift.rewrite,
    "Celu": exponential_linear.celu,
    "Col2Im": columns_to_image.rewrite,
    "Constant": constants.rewrite,
    "DFT": fourier.dft,
    "DeformConv": deformed_convolution.rewrite,
    "DequantizeLinear": dequantize.rewrite,
    "Dropout": dropout.rewrite,
    "DynamicQuantizeLinear": dynamic_quantize.rewrite,
    "Elu": exponential_linear.elu,
    "Equal": equality.rewrite,
    "EyeLike": eye_like.rewrite,
    "Gemm": scaled_products.rewrite,
    "GroupNormalization": group_norm.standard,
    "Hardmax": legacy_softmax.rewrite,
    "IsInf": infinities.rewrite,
    "LpNormalization": lp_normalization.rewrite,
    "LRN": local_response.rewrite,
    "LayerNormalization": layer_normalization.rewrite,
    "MeanVarianceNormalization": mean_variance.rewrite,
    "LogSoftmax": legacy_softmax.rewrite,
    "Mod": modulo.rewrite,
    "OneHot": one_hot.rewrite,
    "PRelu": scalar_prelu.rewrite,
    "Pow": powers.rewrite,
    "QLinearConv": quantized_products.conv,
    "QLinearMatMul": quantized_products.mat_mul,
    "QuantizeLinear": quantized_blocks.quantize,
    "RMSNormalization": layer_normalization.rms,
    "Resize": old_resize.rewrite,
    "RoiAlign": roi_align.rewrite,
    "STFT": fourier.stft,
    "Scan": old_scan.rewrite,
    "Scatter": scatter.rewrite,
    "Shrink": shrink.rewrite,
    "Selu": exponential_linear.selu,
    "Sign": sign.rewrite,
    "Softmax": legacy_softmax.rewrite,
    "Sum": sums.rewrite,
    "TensorScatter": tensor_scatter.rewrite,
    "ThresholdedRelu": thresholds.rewrite,
    "Unique": unique.rewrite,
    **dict.fromkeys(inputs_for_attributes.MOVED, inputs_for_attributes.rewrite),
    **dict.fromkeys(reductions.OPERATORS, reductions.rewrite),
    "Squeeze": empty_axes.rewrite,
}
MICROSOFT: dict[str, Rewriting] = {
    "Attention": attention.rewrite,
    "BiasAdd": sums.rewrite,
    "BiasGelu": gelus.bias_gelu,
    "BiasSplitGelu": gelus.bias_split_gelu,
    "CDist": distances.rewrite,
    "DequantizeLinear": dequantize.rewrite,
    "DynamicQuantizeMatMul": quantized_products.dynamic_mat_mul,
    "DynamicQuantizeLSTM": dynamic_quantize_lstm.rewrite,
    "EmbedLayerNormalization": embeddings.rewrite,
    "ExpandDims": equivalents.expand_dims,
    "FastGelu": gelus.fast_gelu,
    "FusedConv": fused_convolution.fused_conv,
    "FusedGemm": fused_products.fused_gemm,
    "FusedMatMul": fused_products.fused_mat_mul,
    "GatherBlockQuantized": block_gathers.rewrite,
    "Gelu": gelus.gelu,
    "GroupNorm": group_norm.rewrite,
    "GroupQueryAttention": group_query_attention.rewrite,
    "LayerNormalization": layer_normalization.rewrite,
    "MatMulIntegerToFloat": quantized_products.mat_mul_to_float,
    "MatMulBnb4": bnb4_products.rewrite,
    "MatMulNBits": nbits_products.rewrite,
    "MultiHeadAttention": multi_head_attention.rewrite,
    "NhwcConv": fused_convolution.nhwc_conv,
    "NhwcFusedConv": fused_convolution.nhwc_fused_conv,
    "NhwcMaxPool": equivalents.max_pool,
    "Pad": equivalents.pad,
    "QAttention": quantized_attention.rewrite,
    "QEmbedLayerNormalization": embeddings.quantized,
    "QGemm": quantized_products.gemm,
    "QLinearConcat": quantized_functions.concat,
    "QLinearConv": quantized_products.conv,
    "QLinearMul": quantized_functions.multiply,
    "QLinearSoftmax": quantized_functions.softmax,
    "QLinearWhere": quantized_functions.where,
    "QuickGelu": gelus.quick_gelu,
    "Range": equivalents.range_,
    "RotaryEmbedding": rotary_embedding.rewrite,
    "SimplifiedLayerNormalization": simplified_normalizations.simplified,
    "SkipGroupNorm": group_norm.skip,
    "SkipLayerNormalization": skip_layer_normalization.rewrite,
    "SkipSimplifiedLayerNormalization": simplified_normalizations.skip_simplified,
    "TransposeMatMul": fused_products.fused_mat_mul,
    **dict.fromkeys(equivalents.SAME, equivalents.same),
    **dict.fromkeys(quantized_functions.OPERATORS, quantized_functions.rewrite),
}
_DOMAINS = {"": STANDARD, "com.microsoft": MICROSOFT}


def rewrite(model: onnx.ModelProto) -> onnx.ModelProto:
    """Rewrite the model in place, and return it.

    Raises
    ------
    QuakeError
        For a node that a rewrite refuses.
    """
    around = Graph(model)
    rewritten = []
    for graph in graphs(model.graph):
        around.nodes = []
        for node in graph.node:
            first = len(around.nodes)
            rule = _DOMAINS.get(node.domain, {}).get(node.op_type, _keep)
            with errors_of(node):
                rule(_without_unused(node, around), around)
            for made in around.nodes[first:]:  # errors name the node that the user knows
                made.name = made.name or node.name or node.output[0]
        rewritten.append((graph, around.nodes))
    # branches first, because their nodes are copied into the outer graph
    for graph, nodes in reversed(rewritten):
        del graph.node[:]
        graph.node.extend(nodes)
    for imported in model.opset_import:
        if not imported.domain:
            imported.version = max(imported.version, OPSET)
    return model


def _keep(node: onnx.NodeProto, graph: Graph) -> None:
    graph.keep(node)


def _without_unused(node: onnx.NodeProto, graph: Graph) -> onnx.NodeProto:
    """The node, changed in place, without trailing optional outputs that nothing reads."""
    optional = graph.optional_outputs(node)
    while len(node.output) > 1 and len(node.output) - 1 in optional:
        if node.output[-1] in graph.used:
            break
        node.output.pop()
    return node
