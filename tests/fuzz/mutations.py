"""Small changes to valid files: bytes, and the fields of ONNX models. Knows no model by name."""

from collections.abc import Callable
from contextlib import suppress
from random import Random

import onnx
from onnx import AttributeProto, TensorProto, helper

NAMES = [
    "../../x", "a b", 'a"b', "a\nb", "$(id)", "日本語", "%s%n", "", "main", "quake_description",
    "x" * 5000, "lv", "R", "return", "{0}", "2*x", "-1", "if",
]  # fmt: skip
EXTENTS = [-1, 0, 1, 2, 3, 7, 65536, 2**31 - 1, 2**31, 2**32, 2**40, 2**62, 2**63 - 1, -(2**63)]
_VALUES = [1, -5, 2**40, 1.5, float("nan"), "SAME_UPPER", "x" * 1000, [1, 2], [-1, 2**40], [0.5]]
_ATTRIBUTES = [
    *("axis", "alpha", "epsilon", "group", "dilations", "keepdims", "axes", "mode", "to"),
    *("transA", "auto_pad", "odd"),
]

Mutation = Callable[[onnx.ModelProto, Random], None]


def mutated_bytes(content: bytes, random: Random) -> bytes:
    """The content with flipped bits, a cut-off end, or a part copied elsewhere."""
    kind = random.choice(["bits", "head", "cut", "splice"])
    if kind == "cut":
        return content[: random.randrange(len(content))]
    if kind == "splice":
        start, end = sorted(random.randrange(len(content)) for _ in range(2))
        place = random.randrange(len(content))
        return content[:place] + content[start:end] + content[place:]
    changed = bytearray(content)
    for _ in range(random.choice([1, 2, 4])):
        place = random.randrange(min(len(changed), 400 if kind == "head" else len(changed)))
        changed[place] ^= 1 << random.randrange(8)
    return bytes(changed)


def _input_extent(model: onnx.ModelProto, random: Random) -> None:
    value = random.choice([*model.graph.input, *model.graph.output])
    dims = value.type.tensor_type.shape.dim
    if dims:
        random.choice(dims).dim_value = random.choice(EXTENTS)
    else:
        dims.add().dim_value = random.choice(EXTENTS)


def _dimension_name(model: onnx.ModelProto, random: Random) -> None:
    for dim in random.choice(model.graph.input).type.tensor_type.shape.dim:
        if random.random() < 0.6:
            dim.dim_param = random.choice(NAMES)


def _no_shape(model: onnx.ModelProto, random: Random) -> None:
    value = random.choice([*model.graph.input, *model.graph.output])
    value.type.tensor_type.ClearField("shape")


def _tensor_extent(model: onnx.ModelProto, random: Random) -> None:
    tensor = random.choice(model.graph.initializer)
    if tensor.dims:
        tensor.dims[random.randrange(len(tensor.dims))] = random.choice(EXTENTS)
    else:
        tensor.dims.append(random.choice(EXTENTS))


def _tensor_data(model: onnx.ModelProto, random: Random) -> None:
    tensor = random.choice(model.graph.initializer)
    data = tensor.raw_data
    same = random.randbytes(len(data))
    tensor.raw_data = random.choice([data[: len(data) // 2], b"", data + b"\xff" * 4, same])


def _element_type(model: onnx.ModelProto, random: Random) -> None:
    kind = random.randrange(30)
    value = random.choice([*model.graph.input, *model.graph.output, *model.graph.initializer])
    if isinstance(value, TensorProto):
        value.data_type = kind
    else:
        value.type.tensor_type.elem_type = kind


def _every_input_type(model: onnx.ModelProto, random: Random) -> None:
    kind = random.choice([1, 2, 3, 6, 7, 9, 10, 11, 16])
    for value in (*model.graph.input, *model.graph.output):
        value.type.tensor_type.elem_type = kind


def _rename(model: onnx.ModelProto, random: Random) -> None:
    graph, new = model.graph, random.choice(NAMES)
    old = random.choice([name for n in graph.node for name in (*n.input, *n.output) if name])
    for n in graph.node:
        for field in (n.input, n.output):
            field[:] = [new if name == old else name for name in field]
    for value in (*graph.input, *graph.output, *graph.initializer):
        if value.name == old:
            value.name = new


def _node_names(model: onnx.ModelProto, random: Random) -> None:
    for n in model.graph.node:
        n.name = random.choice(NAMES)


def _drop_node(model: onnx.ModelProto, random: Random) -> None:
    del model.graph.node[random.randrange(len(model.graph.node))]


def _double_node(model: onnx.ModelProto, random: Random) -> None:
    model.graph.node.add().CopyFrom(random.choice(model.graph.node))


def _cycle(model: onnx.ModelProto, random: Random) -> None:
    n, other = random.choice(model.graph.node), random.choice(model.graph.node)
    n.input[random.randrange(len(n.input))] = other.output[0]


def _rewire(model: onnx.ModelProto, random: Random) -> None:
    names = [name for n in model.graph.node for name in (*n.input, *n.output)]
    n = random.choice(model.graph.node)
    n.input[random.randrange(len(n.input))] = random.choice([*names, "nowhere", ""])


def _inputs(model: onnx.ModelProto, random: Random) -> None:
    n = random.choice(model.graph.node)
    if random.random() < 0.5:
        del n.input[random.randrange(len(n.input))]
    else:
        n.input.append(random.choice(n.input))


def _outputs(model: onnx.ModelProto, random: Random) -> None:
    n = random.choice(model.graph.node)
    kind = random.choice(["none", "of a node", "more"])
    if kind == "none":
        del model.graph.output[:]
    elif kind == "of a node":
        del n.output[:]
    else:
        n.output.append("more")


def _drop_constant(model: onnx.ModelProto, random: Random) -> None:
    del model.graph.initializer[random.randrange(len(model.graph.initializer))]


def _constant_input(model: onnx.ModelProto, random: Random) -> None:
    tensor = random.choice(model.graph.initializer)
    value = helper.make_tensor_value_info(tensor.name, tensor.data_type, tensor.dims)
    model.graph.input.append(value)


def _operator(model: onnx.ModelProto, random: Random) -> None:
    names = sorted({s.name for s in onnx.defs.get_all_schemas() if not s.domain})
    random.choice(model.graph.node).op_type = random.choice([*names, "", "../x", "__class__"])


def _domain(model: onnx.ModelProto, random: Random) -> None:
    domains = ["com.microsoft", "ai.onnx", "ai.onnx.ml", "else"]
    random.choice(model.graph.node).domain = random.choice(domains)


def _opset(model: onnx.ModelProto, random: Random) -> None:
    versions = [-1, 0, 1, 6, 7, 9, 11, 13, 18, 21, 24, 99, 2**62]
    random.choice(model.opset_import).version = random.choice(versions)


def _version(model: onnx.ModelProto, random: Random) -> None:
    model.ir_version = random.choice([-1, 0, 1, 3, 4, 99, 2**60])


def _attribute(model: onnx.ModelProto, random: Random) -> None:
    n = random.choice([n for n in model.graph.node if n.attribute] or list(model.graph.node))
    if not n.attribute or random.random() < 0.3:
        name = random.choice(_ATTRIBUTES)
        n.attribute.append(helper.make_attribute(name, random.choice(_VALUES)))
        return
    attribute = random.choice(n.attribute)
    if attribute.type == AttributeProto.INT:
        attribute.i = random.choice([*EXTENTS, -5, 99])
    elif attribute.type == AttributeProto.INTS and attribute.ints:
        attribute.ints[random.randrange(len(attribute.ints))] = random.choice(EXTENTS)
    elif attribute.type != AttributeProto.GRAPH:
        attribute.CopyFrom(helper.make_attribute(attribute.name, random.choice(_VALUES)))


def _external(model: onnx.ModelProto, random: Random) -> None:
    tensor = random.choice(model.graph.initializer)
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    places = ["../../etc/passwd", "/etc/passwd", "", ".", "none", "/dev/zero", "a\nb"]
    tensor.external_data.add(key="location", value=random.choice(places))
    tensor.external_data.add(key="offset", value=random.choice(["0", "-1", "9" * 20, "x"]))


def _function(model: onnx.ModelProto, random: Random) -> None:
    n = random.choice(model.graph.node)
    body = [helper.make_node(random.choice(["Tanh", "F"]), ["a"], ["b"], domain="own")]
    body[0].domain = random.choice(["", "own"])
    imports = [helper.make_opsetid("", random.choice([7, 17, 20])), helper.make_opsetid("own", 1)]
    model.functions.append(helper.make_function("own", "F", ["a"], ["b"], body, imports))
    model.opset_import.append(helper.make_opsetid("own", 1))
    n.op_type, n.domain = "F", "own"
    del n.attribute[:]


def _no_tensor(model: onnx.ModelProto, random: Random) -> None:
    value = random.choice([*model.graph.input, *model.graph.output])
    element = helper.make_tensor_type_proto(TensorProto.FLOAT, [2])
    kinds = [helper.make_sequence_type_proto, helper.make_optional_type_proto]
    value.type.CopyFrom(random.choice(kinds)(element))


MUTATIONS: tuple[Mutation, ...] = (
    *(_input_extent, _dimension_name, _no_shape, _tensor_extent, _tensor_data, _element_type),
    *(_every_input_type, _rename, _node_names, _drop_node, _double_node, _cycle, _rewire),
    *(_inputs, _outputs, _drop_constant, _constant_input, _operator, _domain, _opset),
    *(_version, _attribute, _external, _function, _no_tensor),
)


def mutate(model: onnx.ModelProto, random: Random) -> bytes:
    """The file of a changed copy: one to three fields are changed, or its bytes."""
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    if random.random() < 0.15:
        return mutated_bytes(copy.SerializeToString(), random)
    for _ in range(random.choice([1, 1, 2, 3])):
        with suppress(IndexError, ValueError, TypeError):  # an earlier change may prevent this
            random.choice(MUTATIONS)(copy, random)
    return copy.SerializeToString()
