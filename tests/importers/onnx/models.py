"""Small ONNX models, and their comparison with ONNX's own evaluation."""

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

import quake_tvm
from quake_tvm.importers.onnx import module as onnx_import
from quake_tvm.passes.relax.graph import op_name

FLOAT, INT64 = TensorProto.FLOAT, TensorProto.INT64
node, constant = helper.make_node, numpy_helper.from_array


def value(name, shape=None, dtype=FLOAT):
    return helper.make_tensor_value_info(name, dtype, shape)


def make(nodes, inputs, outputs, constants=(), opset=17, domains=(), **graph):
    """A model; inputs and outputs by name and shape."""
    graph = helper.make_graph(
        nodes,
        "test",
        [value(*i) for i in inputs.items()],
        [value(*o) for o in outputs.items()],
        list(constants),
        **graph,
    )
    opsets = [helper.make_opsetid("", opset), *(helper.make_opsetid(d, 1) for d in domains)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=9)


def exp(shape, name="x"):
    return make([node("Exp", [name], ["y"])], {name: shape}, {"y": None})


def two_inputs():
    nodes = [node("Add", ["x", "y"], ["s"]), node("Exp", ["s"], ["z"])]
    return make(nodes, {"x": ["batch", 4], "y": ["batch", 4]}, {"z": ["batch", 4]})


def operators(model, **options):
    """The Relax operators of the imported model."""
    main = onnx_import.to_relax(model, **options)["main"]
    return [op_name(b.value) for block in main.body.blocks for b in block.bindings]


def kinds(model):
    return [n.op_type for n in model.graph.node]


def compare(model, *inputs, **options):
    """Compare with ONNX's own evaluation; returns the compiled model."""
    compiled = quake_tvm.compile(model, method="exact", **options)
    names = [i.name for i in compiled.inputs]
    expected = ReferenceEvaluator(model).run(None, dict(zip(names, inputs, strict=True)))
    for q, y in zip(compiled.run(list(inputs)), expected, strict=True):
        assert q.shape == y.shape
        np.testing.assert_allclose(q, y, rtol=8 * np.finfo(np.float32).eps)
    return compiled


def ramp(*shape):
    return np.linspace(-2, 2, int(np.prod(shape)), dtype=np.float32).reshape(shape)


def alone(node: onnx.NodeProto, opset: int) -> onnx.ModelProto:
    """A model of one node, without shapes."""
    outputs = [onnx.ValueInfoProto(name=o) for o in node.output if o]
    inputs = [onnx.ValueInfoProto(name=i) for i in node.input if i]
    graph = helper.make_graph([node], "alone", inputs, outputs)
    opsets = [helper.make_opsetid("", opset), helper.make_opsetid("com.microsoft", 1)]
    return helper.make_model(graph, opset_imports=opsets)
