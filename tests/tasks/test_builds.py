"""Ways to build on a small model: each has its own rounding, and ONNX Runtime's files are int8."""

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from tasks import builds
from tasks.features import features

RNG = np.random.default_rng(0)
INPUTS = {"x": RNG.normal(size=(7, 2, 6, 6)).astype(np.float32)}


def network() -> onnx.ModelProto:
    """A convolution, and a matrix product of all that it gives, for any batch."""
    constants = {
        "kernel": RNG.normal(size=(8, 2, 3, 3)).astype(np.float32),
        "weight": RNG.normal(size=(128, 32)).astype(np.float32),
    }
    nodes = [
        helper.make_node("Conv", ["x", "kernel"], ["c"], "c"),
        helper.make_node("Sigmoid", ["c"], ["s"], "s"),
        helper.make_node("Flatten", ["s"], ["f"], "f"),
        helper.make_node("MatMul", ["f", "weight"], ["y"], "y"),
    ]
    shapes = {"x": ["n", 2, 6, 6], "y": ["n", 32]}
    x, y = (
        helper.make_tensor_value_info(k, TensorProto.FLOAT, shape) for k, shape in shapes.items()
    )
    weights = [numpy_helper.from_array(array, name) for name, array in constants.items()]
    graph = helper.make_graph(nodes, "network", [x], [y], weights)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)])


@pytest.fixture(scope="module")
def model():
    return network()


def rows(model, way, typical=None):
    return features("test", model, builds.FORMATS[way], INPUTS, 4, typical)


def test_every_format_rounds_in_its_own_way(model):
    exact = rows(model, "exact")
    errors = [
        np.linalg.norm(rows(model, way) - exact) / np.linalg.norm(exact)
        for way in ("float16", "bfloat16", "int8", "ONNX Runtime int8")
    ]
    assert exact.shape == (7, 32)
    assert 1e-6 < errors[0] < errors[1] < errors[2] < 0.05
    assert errors[1] < errors[3] < 0.05


def test_typical_inputs_make_one_file_for_both(model):
    found = [rows(model, way, INPUTS) for way in ("int8", "ONNX Runtime int8")]
    assert not np.array_equal(found[0], rows(model, "int8"))
    np.testing.assert_allclose(found[0], found[1], atol=0.05 * np.abs(found[0]).max())


def test_calibration_on_full_batches(model, tmp_path):
    made = builds.calibrated(model, {"x": (4, 2, 6, 6)}, INPUTS, tmp_path)
    operators = {node.op_type for node in onnx.load(made).graph.node}
    assert {"Conv", "QuantizeLinear"} <= operators


def test_dynamic_has_a_scale_for_each_column(model, tmp_path):
    made = onnx.load(builds.dynamic(model, tmp_path))
    constants = {c.name: numpy_helper.to_array(c) for c in made.graph.initializer}
    (product,) = (node for node in made.graph.node if node.op_type == "MatMulInteger")
    weight = constants[product.input[1]]
    assert weight.dtype == np.int8
    assert np.abs(weight.astype(int)).max(axis=0).min() == 127  # all bits, in every column
    assert any(node.op_type == "Conv" for node in made.graph.node)
    onnxruntime.InferenceSession(made.SerializeToString())


def test_onnx_file_of_a_torch_program(tmp_path):
    torch = pytest.importorskip("torch")
    pytest.importorskip("onnxscript")
    program = torch.export.export(torch.nn.Linear(3, 2), (torch.ones(4, 3),))
    (name,) = (i.name for i in onnx.load(builds.onnx_file(program, tmp_path)).graph.input)
    assert name == "input"
    assert builds.onnx_file(tmp_path / "a.onnx", tmp_path) == tmp_path / "a.onnx"
