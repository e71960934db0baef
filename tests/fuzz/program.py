"""A graph as a Python program that builds it, runs it on both runtimes and prints differences."""

import numpy as np
import onnx
from onnx import helper, numpy_helper

from .generate import Case


def program(case: Case, method: str) -> str:
    """The program's text. The program needs only numpy, onnx, onnxruntime and quake_tvm."""
    graph = case.model.graph
    opsets = ", ".join(
        f"helper.make_opsetid({o.domain!r}, {o.version})" for o in case.model.opset_import
    )
    lines = [
        "import numpy as np",
        "import onnxruntime",
        "from numpy import array, float16, float32, float64, inf, int8, int32, int64, nan, uint8",
        "from onnx import TensorProto, helper, numpy_helper",
        "",
        "import quake_tvm",
        "",
        "bool = np.bool_",
        "nodes = [",
        *(f"    {_node(node)}," for node in graph.node),
        "]",
        "inputs = [",
        *(f"    {_value_info(i)}," for i in graph.input),
        "]",
        "outputs = [",
        *(f"    {_value_info(o)}," for o in graph.output),
        "]",
        "constants = {",
        *(f"    {c.name!r}: {_array(numpy_helper.to_array(c))}," for c in graph.initializer),
        "}",
        "feeds = {",
        *(f"    {name!r}: {_array(value)}," for name, value in case.feeds[-1].items()),
        "}",
        "initializers = [numpy_helper.from_array(v, k) for k, v in constants.items()]",
        'graph = helper.make_graph(nodes, "graph", inputs, outputs, initializers)',
        f"model = helper.make_model(graph, opset_imports=[{opsets}], ir_version=10)",
        "options = onnxruntime.SessionOptions()",
        "options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL",
        "session = onnxruntime.InferenceSession(model.SerializeToString(), options)",
        "print('onnxruntime', *session.run(None, feeds), sep='\\n')",
        f"print('quake_tvm', *quake_tvm.compile(model, method={method!r}).run(feeds), sep='\\n')",
    ]
    return "\n".join(lines)


def _node(node: onnx.NodeProto) -> str:
    options = "".join(f", {a.name}={_attribute(a)}" for a in node.attribute)
    domain = f", domain={node.domain!r}" if node.domain else ""
    return (
        f"helper.make_node({node.op_type!r}, {list(node.input)}, {list(node.output)}"
        f"{domain}{options})"
    )


def _attribute(attribute: onnx.AttributeProto) -> str:
    value = helper.get_attribute_value(attribute)
    if attribute.type == onnx.AttributeProto.TENSOR:
        return f"numpy_helper.from_array({_array(numpy_helper.to_array(value))})"
    if attribute.type == onnx.AttributeProto.GRAPH:
        nodes = ", ".join(_node(n) for n in value.node)
        outputs = ", ".join(_value_info(o) for o in value.output)
        return f"helper.make_graph([{nodes}], {value.name!r}, [], [{outputs}])"
    if isinstance(value, bytes):
        return repr(value.decode())
    return repr(list(value)) if attribute.type > onnx.AttributeProto.GRAPH else repr(value)


def _value_info(value: onnx.ValueInfoProto) -> str:
    ty = value.type.tensor_type
    shape = None
    if ty.HasField("shape"):
        shape = [d.dim_param or d.dim_value for d in ty.shape.dim]
    kind = onnx.TensorProto.DataType.Name(ty.elem_type)
    return f"helper.make_tensor_value_info({value.name!r}, TensorProto.{kind}, {shape})"


def _array(value: np.ndarray) -> str:
    value = np.asarray(value)
    name = value.dtype.name
    if 0 in value.shape:
        return f"np.zeros({value.shape}, {name!r})"
    flat = value.reshape(-1)
    same = np.array_equal(flat, np.full_like(flat, flat[0]), equal_nan=value.dtype.kind == "f")
    if value.size > 4 and same:
        return f"np.full({value.shape}, {flat[0].item()!r}, {name!r})"
    if value.size > 4 and np.array_equal(flat, np.arange(value.size)):
        return f"np.arange({value.size}, dtype={name!r}).reshape({value.shape})"
    return f"np.array({value.tolist()!r}, {name!r})"
