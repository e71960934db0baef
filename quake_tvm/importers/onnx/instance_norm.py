"""ONNX's InstanceNormalization as one norm. TVM's importer spells it out."""

from tvm import relax

from ...kernels.size_check import equal
from .node import Node


def instance_norm(builder: relax.BlockBuilder, node: Node) -> relax.Expr:
    """Convert InstanceNormalization: each channel of each sample is normalized.

    Raises
    ------
    QuakeError
        For a tensor without spatial axes, and for weights that do not match the channels.
    """
    shape = node.shape()
    if len(shape) < 3:
        raise node.refuse(f"a tensor of {len(shape)} dimensions has no axis to normalize along")
    weights = [pair for k in (1, 2) for pair in equal(node.shape(k)[0], shape[1])]
    node.require(builder, weights, "the weights do not match the channels")
    return relax.op.nn.instance_norm(
        *node.inputs,
        channel_axis=1,
        axes=list(range(2, len(shape))),
        epsilon=node.attributes.get("epsilon", 1e-5),
    )
