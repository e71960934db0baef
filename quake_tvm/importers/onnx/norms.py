"""ONNX's InstanceNormalization as the norm of groups of one channel, which has a kernel.

TVM's importer spells it out as means.
"""

from tvm import relax

from .node import Node


def instance_normalization(builder: relax.BlockBuilder, node: Node) -> relax.Expr | None:
    """Convert InstanceNormalization. None, for TVM's own converter, if channels are symbolic."""
    shape = node.shape()
    if not isinstance(shape[1], int):
        return None
    x, scale, shift = node.inputs[:3]
    return relax.op.nn.group_norm(
        x, scale, shift, num_groups=shape[1], channel_axis=1,
        axes=list(range(2, len(shape))), epsilon=float(node.attributes.get("epsilon", 1e-5)),
    )  # fmt: skip
