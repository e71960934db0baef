"""A model's inputs and outputs: names, order, lists, torch's tensors, views in a notebook."""

import ml_dtypes
import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

import quake_tvm
from quake_tvm.errors import QuakeError
from quake_tvm.runtime.model_tensor import ModelTensor

X = np.linspace(-2, 2, 6, dtype=np.float32).reshape(2, 3)
N = np.arange(3)


@pytest.fixture(scope="module")
def model():
    """Softmax of x, and n twice as large, as two outputs."""
    rows = helper.make_tensor_value_info("x", TensorProto.FLOAT, ("rows", 3))
    n = helper.make_tensor_value_info("n", TensorProto.INT64, (3,))
    nodes = [helper.make_node("Softmax", ["x"], ["p"]), helper.make_node("Add", ["n", "n"], ["m"])]
    outputs = [helper.make_empty_tensor_value_info(name) for name in ("p", "m")]
    graph = helper.make_graph(nodes, "two", [rows, n], outputs)
    opsets = [helper.make_opsetid("", 13)]
    return quake_tvm.compile(onnx.shape_inference.infer_shapes(
        helper.make_model(graph, opset_imports=opsets, ir_version=8)
    ))  # fmt: skip


def test_outputs_have_names_shapes_and_dtypes(model, tmp_path):
    outputs = [ModelTensor("p", ("rows", 3), "float32"), ModelTensor("m", (3,), "int64")]
    assert model.outputs == outputs
    assert quake_tvm.load(model.export(tmp_path / "two.so")).outputs == outputs


def test_every_form_of_a_call_is_the_same(model):
    p, m = model.run({"x": X, "n": N})
    np.testing.assert_array_equal(m, 2 * N)
    for other in (model(X, N), model.run([X, N]), model(n=N, x=X), model.run(x=X, n=N)):
        np.testing.assert_array_equal(other[0], p)
        np.testing.assert_array_equal(other[1], m)


def test_lists_get_the_dtype_of_the_input(model):
    p, m = model(X.tolist(), [0, 1, 2])
    np.testing.assert_array_equal(p, model(X, N)[0])
    np.testing.assert_array_equal(m, 2 * N)
    np.testing.assert_array_equal(model(X, [0.0, 1.0, 2.0])[1], 2 * N)


@pytest.mark.parametrize(
    ("arrays", "named", "message"),
    [
        ((X,), {"n": N}, "by position or by name, not both"),
        ((X, [0.5, 1, 2]), {}, "'n' must be int64, got float64; convert it"),
        ((X.astype(np.float16), N), {}, "'x' must be float32, got float16; convert it"),
        (([[2**24 + 1, 0, 0]], N), {}, "'x' must be float32, got int64"),
        ((["a", "b"], N), {}, "'x' must be an array of float32, got a list"),
        ((None, N), {}, "'x' must be an array of float32, got a NoneType"),
        ((), {"x": X}, "input 'n' is missing"),
        ((), {"x": X, "n": N, "y": N}, "unknown input 'y'"),
    ],
)
def test_refused(model, arrays, named, message):
    with pytest.raises(QuakeError, match=message):
        model(*arrays, **named)


def test_tensors_of_torch(model):
    torch = pytest.importorskip("torch")
    x = torch.from_numpy(X).requires_grad_()
    np.testing.assert_array_equal(model(x, torch.from_numpy(N))[0], model(X, N)[0])
    half = torch.ones(2, dtype=torch.bfloat16)
    with pytest.raises(QuakeError, match="of float32, got a Tensor of bfloat16"):
        model(x.detach().bfloat16(), N)

    class Twice(torch.nn.Module):
        def forward(self, x):
            return {"twice": x + x, "pair": (x, None)}

    doubled = quake_tvm.compile(torch.export.export(Twice().eval(), (half,)))
    assert [o.name for o in doubled.outputs] == ["twice", "pair.0"]
    np.testing.assert_array_equal(doubled(half)[0], np.full(2, 2, ml_dtypes.bfloat16))


def test_a_notebook_shows_the_sites_as_a_table(model):
    page = model._repr_html_()
    assert page.startswith("<pre")
    assert "softmax" in page
    assert "n: int64[3]" in page
    assert "softmax" in model.report._repr_html_()
    assert (
        repr(model.report) == "<quake_tvm.Report: 1 lowered, 0 left exact; print it for the sites>"
    )


def test_a_notebook_shows_a_bound_as_a_table():
    page = quake_tvm.bound("gelu")._repr_html_()
    assert page.startswith("<table><tr><th>operator</th><td>gelu</td></tr>")
    assert "probability" not in page
