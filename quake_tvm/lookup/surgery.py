"""Change an ONNX graph for a conversion: cut it at a layer, or put a look-up in a layer's place.

Knows no TVM and no training.
"""

import numpy as np
import onnx
from onnx import helper, numpy_helper

from ..importers.onnx.nodes import read_by
from .blocks import Block
from .layer import LookupLayer
from .onnx_function import choice, declare, node


def cut(model: onnx.ModelProto, block: Block) -> onnx.ModelProto:
    """The part of a model that gives a layer's x, y and residual, in this order."""
    names = list(dict.fromkeys([block.x, block.y, *([block.residual] if block.residual else [])]))
    result = _copy(model)
    wanted, kept = set(names), []
    for each in reversed(result.graph.node):
        if wanted & set(each.output):
            kept.append(each)
            wanted |= read_by(each)
    nodes = [onnx.NodeProto.FromString(n.SerializeToString()) for n in reversed(kept)]
    del result.graph.node[:], result.graph.output[:]
    result.graph.node.extend(nodes)
    result.graph.output.extend(helper.make_empty_tensor_value_info(name) for name in names)
    for value in result.graph.output:
        value.type.tensor_type.elem_type = onnx.TensorProto.FLOAT
    return _without_unused(result)


def replaced(
    model: onnx.ModelProto, block: Block, layer: LookupLayer, form: str
) -> onnx.ModelProto:
    """The model with a look-up in the layer's place.

    Parameters
    ----------
    model : onnx.ModelProto
        The model in which the layer was found, or one in which others were replaced since.
    block : Block
    layer : LookupLayer
    form : {"float32", "bfloat16", "int8"}
        What the tables are stored in.
    """
    result = _copy(model)
    new = _look_up(result, block, block.y, layer, form)
    gone = {name for each in block.nodes for name in each.output}
    nodes: list[onnx.NodeProto] = []
    for each in result.graph.node:
        if gone & set(each.output):
            if block.y in each.output:
                nodes += new
        else:
            nodes.append(each)
    return _with_nodes(result, nodes)


def beside(model: onnx.ModelProto, block: Block, layer: LookupLayer, form: str) -> onnx.ModelProto:
    """The model with a look-up beside the layer, and the choice between both.

    Without a plan the model computes what it did. The parameters are those of :func:`replaced`.
    """
    result = _copy(model)
    before, behind = f"{block.y}_layer", f"{block.y}_look_up"
    new = _look_up(result, block, behind, layer, form)
    nodes: list[onnx.NodeProto] = []
    for each in result.graph.node:
        nodes.append(each)
        if block.y in each.output:
            each.output[list(each.output).index(block.y)] = before
            nodes += [*new, choice(before, behind, block.y, block.number)]
    return _with_nodes(result, nodes)


def _look_up(
    model: onnx.ModelProto, block: Block, y: str, layer: LookupLayer, form: str
) -> list[onnx.NodeProto]:
    """The nodes of a look-up from the block's x to y; its constants are added to the model."""
    prefix = f"{block.y}_look_up"
    arrays = dict(zip(("tables", "scales"), layer.stored(form), strict=False))
    arrays |= {"projection": layer.projection, "offset": layer.offset, "bias": layer.bias}
    model.graph.initializer.extend(
        numpy_helper.from_array(np.ascontiguousarray(array), f"{prefix}_{name}")
        for name, array in arrays.items()
    )
    given = [name for name in ("tables", "scales", "bias") if name in arrays]
    operands = [f"{prefix}_{name}" for name in ("z", *given)]
    return [
        helper.make_node("MatMul", [block.x, f"{prefix}_projection"], [f"{prefix}_product"]),
        helper.make_node("Add", [f"{prefix}_product", f"{prefix}_offset"], [f"{prefix}_z"]),
        node(operands, y, layer.bits),
    ]


def _with_nodes(result: onnx.ModelProto, nodes: list[onnx.NodeProto]) -> onnx.ModelProto:
    """The model with these nodes, in place."""
    nodes = [onnx.NodeProto.FromString(n.SerializeToString()) for n in nodes]
    del result.graph.node[:]
    result.graph.node.extend(nodes)
    declare(result)
    return _without_unused(result)


def alone(model: onnx.ModelProto, block: Block, rows: int) -> onnx.ModelProto:
    """A layer of a model, or the look-up in its place, as a model from x (rows, width) to y."""
    result = cut(model, block)
    needed, nodes = {block.y}, []
    for each in reversed(result.graph.node):
        if needed & set(each.output):
            nodes.append(onnx.NodeProto.FromString(each.SerializeToString()))
            needed |= {name for name in each.input if name != block.x}
    del result.graph.node[:], result.graph.input[:], result.graph.output[:]
    result.graph.node.extend(reversed(nodes))
    shapes = {block.x: block.widths[0], block.y: block.widths[2]}
    for values, name in ((result.graph.input, block.x), (result.graph.output, block.y)):
        kind = onnx.TensorProto.FLOAT
        values.append(helper.make_tensor_value_info(name, kind, [rows, shapes[name]]))
    del result.graph.value_info[:]
    return _without_unused(result)


def _copy(model: onnx.ModelProto) -> onnx.ModelProto:
    result = onnx.ModelProto()
    result.CopyFrom(model)
    return result


def _without_unused(model: onnx.ModelProto) -> onnx.ModelProto:
    """Drop, in place, the constants and the types that nothing reads."""
    used = {name for each in model.graph.node for name in read_by(each)}
    used |= {output.name for output in model.graph.output}
    constants = [c for c in model.graph.initializer if c.name in used]
    del model.graph.initializer[:], model.graph.value_info[:]
    model.graph.initializer.extend(constants)
    return model
