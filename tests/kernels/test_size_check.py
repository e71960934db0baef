"""Sizes that do not fit at run time end the run, before a wrong value or foreign memory is used."""

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import helper

import quake_tvm
from quake_tvm.errors import QuakeError
from quake_tvm.importers.onnx.module import to_relax
from quake_tvm.passes.relax.check_sizes import SHAPED, WINDOWED, CheckSizes
from tests.importers.onnx.cases import K, model_of
from tests.importers.onnx.cases.case import a, c, f, k

ROIS = np.float32([[0, 0, 0, 4, 5], [1, 1, 1, 5, 6]])
# Nodes, with shapes of their first input that do not fit, and the text of the error.
NODES = [
    (c("Split", f(6, 2), k(2, 4), outputs=2), [(5, 2), (7, 2)], "Split: .* 6 elements"),
    (c("Split", f(4, 2), num_outputs=3, outputs=3), [(1, 2)], "Split: .* few elements for 3"),
    (c("Reshape", f(8, 3), k(-1, 4)), [(7, 3), (1, 3)], "Reshape: .* elements"),
    (c("Reshape", f(2, 3, 4), k(0, -1, 2)), [(2, 3, 5)], "Reshape: .* elements"),
    (c("Reshape", f(4, 6), k(2, 12)), [(4, 5), (0, 6)], "Reshape: .* elements"),
    (c("Reshape", f(0, 3), k(3, 0), allowzero=1), [(1, 3), (4, 1)], "Reshape: .* elements"),
    (c("Reshape", f(1), K(a())), [(2,), (0,)], "Reshape: .* elements"),
    (c("Pad", f(5, 6), k(2, 3, 1, 2), mode="reflect"), [(2, 6), (5, 3)], "Pad: .* reflect"),
    (c("Pad", f(5, 6), k(2, 3, 1, 2), mode="wrap"), [(1, 6), (5, 2)], "Pad: .* wrap"),
    (c("Pad", f(5, 6), k(2, 3, 1, 2), mode="edge"), [(0, 6), (5, 0)], "Pad: .* edge"),
    (c("Pad", f(5, 6), k(-2, 3, -1, 2)), [(2, 6)], "Pad: .* constant"),
    (c("TopK", f(7, 4), k(5), outputs=2, axis=0), [(4, 4), (0, 4)], "topk: .* fewer than 5"),
    (c("ArgMax", f(4, 3), axis=0), [(0, 3)], "argmax: .* no elements"),
    (c("Conv", f(1, 4, 7), K(f(4, 2, 3)), group=2), [(1, 3, 7)], "Conv: the sizes of input"),
    (c("Conv", f(1, 4, 7), K(f(4, 2, 3)), group=2), [(1, 4, 2)], "conv1d: .* smaller"),
    (c("ConvTranspose", f(1, 3, 5), K(f(3, 4, 3))), [(1, 2, 5)], "ConvTranspose: the sizes of"),
    (c("MaxPool", f(1, 2, 6), kernel_shape=[3]), [(1, 2, 2)], "max_pool1d: .* window"),
    (c("GatherND", f(3, 4), K(a(0, 1, 3).reshape(3, 1)), batch_dims=1), [(4, 4), (2, 4)], "Gath"),
    (
        c("Resize", f(1, 1, 3, 4), None, None, k(6, 8), mode="linear", axes=[2, 3]),
        [(1, 1, 0, 4)],
        "Resize: there is no",
    ),
    (c("MaxRoiPool", f(2, 1, 7, 6), K(ROIS), pooled_shape=[2, 2]), [(1, 1, 7, 6)], "MaxRoiPool: i"),
    (c("GridSample", f(2, 1, 4, 4), f(2, 3, 3, 2)), [(1, 1, 4, 4)], "grid_sample: grids"),
]


def dynamic(cases):
    """One model of the nodes with a separate name for each dimension, and its inputs."""
    model, feeds = model_of(cases, 19)
    for value in model.graph.input:
        for axis, dim in enumerate(value.type.tensor_type.shape.dim):
            dim.dim_param = f"{value.name}_{axis}"
    return model, feeds


@pytest.fixture(scope="module")
def fitting():
    model, feeds = dynamic([case for case, _, _ in NODES])
    session = ort.InferenceSession(model.SerializeToString())
    return quake_tvm.compile(model, method="exact"), session, feeds


def test_sizes_that_fit(fitting):
    model, session, feeds = fitting
    for got, wanted in zip(model.run(feeds), session.run(None, feeds), strict=True):
        np.testing.assert_allclose(got, wanted, rtol=1e-5, atol=1e-5)


def refused(model, feeds):
    """Check that the model raises an error for every shape that does not fit."""
    for number, (_, shapes, message) in enumerate(NODES):
        for shape in shapes:
            wrong = feeds | {f"c{number}_x0": np.ones(shape, np.float32)}
            with pytest.raises(QuakeError, match=f"^{message}") as error:
                model.run(wrong)
            assert "\n" not in str(error.value)


def test_sizes_that_do_not_fit(fitting, tmp_path):
    model, _, feeds = fitting
    refused(model, feeds)
    refused(quake_tvm.load(model.export(tmp_path / "model.so")), feeds)


def test_a_split_of_before_opset_18_is_into_equal_parts():
    node = helper.make_node("Split", ["x"], ["a", "b"], axis=0)
    given = helper.make_tensor_value_info("x", 1, ("n", 2))
    outputs = [onnx.ValueInfoProto(name=name) for name in "ab"]
    graph = helper.make_graph([node], "split", [given], outputs)
    opsets = [helper.make_opsetid("", 13)]
    model = quake_tvm.compile(helper.make_model(graph, opset_imports=opsets, ir_version=8))
    assert [y.shape for y in model.run({"x": f(4, 2)})] == [(2, 2), (2, 2)]
    with pytest.raises(QuakeError, match=r"^Split: .* 2 equal parts"):
        model.run({"x": f(5, 2)})


def test_a_shape_that_data_decide():
    model, feeds = model_of([c("ConstantOfShape", a(2, 3))], 19)
    compiled = quake_tvm.compile(model, method="exact")
    np.testing.assert_array_equal(compiled.run(feeds)[0], np.zeros((2, 3), np.float32))
    assert compiled.run({"c0_x0": a(0, 4)})[0].shape == (0, 4)


def test_a_range_that_data_decide():
    low, high = np.iinfo(np.int64).min, np.iinfo(np.int64).max
    ranges = [[np.array(n, dtype) for n in (0, 4, 2)] for dtype in ("int64", "float32")]
    model, feeds = model_of([c("Range", *numbers) for numbers in ranges], 19)
    compiled = quake_tvm.compile(model, method="exact")

    def run(case, *numbers):
        given = {f"c{case}_x{k}": ranges[case][k].dtype.type(n) for k, n in enumerate(numbers)}
        return compiled.run(feeds | given)[case]

    for numbers in [(3, 11, 3), (5, 0, -2), (5, 0, 2), (low, high, 2**62), (high, low, low)]:
        np.testing.assert_array_equal(run(0, *numbers), np.array(range(*numbers)))
    np.testing.assert_array_equal(run(1, 1, -2, -0.5), np.arange(1, -2, -0.5))
    for case, *numbers in [(0, 0, 5, 0), (0, 5, 0, 0), (0, low, high, 2), (1, 0, 0, 0)]:
        with pytest.raises(QuakeError, match=r"^Range: a step of 0, or more"):
            run(case, *numbers)


def test_sums_over_nothing():
    model, feeds = model_of([c("MatMul", f(3), f(3))], 19)
    for value in model.graph.input:
        value.type.tensor_type.shape.dim[0].dim_param = "n"
    compiled = quake_tvm.compile(model, method="exact")
    np.testing.assert_allclose(compiled.run(feeds)[0], feeds["c0_x0"] @ feeds["c0_x1"], rtol=1e-5)
    assert compiled.run({name: x[:0] for name, x in feeds.items()})[0] == 0


def test_sizes_that_are_known_to_fit_are_not_checked():
    cases = [
        c("Reshape", f(2, 3, 8), k(0, 0, 2, 4)),
        c("Reshape", f(2, 3, 8), k(0, -1, 4)),
        c("Reshape", f(2, 3, 8), k(-1, 8)),
        c("Conv", f(1, 3, 5, 5), K(f(4, 3, 3, 3)), pads=[1, 1, 1, 1]),
    ]
    model, _ = model_of(cases, 19)
    for value in model.graph.input:
        for axis in (0, -2):
            value.type.tensor_type.shape.dim[axis].dim_param = f"{value.name}_{axis % 3}"
    mod = to_relax(model)
    assert "quake_tvm.index" not in mod.script()
    assert CheckSizes({**SHAPED, **WINDOWED})(mod).same_as(mod)


def test_exported_programs():
    torch = pytest.importorskip("torch")

    class Program(torch.nn.Module):
        def forward(self, x, y):
            padded = torch.nn.functional.pad(x, (3, 2), mode="reflect")
            return padded, torch.nn.functional.avg_pool1d(y, 4, 1)

    given = torch.randn(1, 2, 6), torch.randn(1, 2, 7)
    dims = tuple({t.dim() - 1: torch.export.Dim.DYNAMIC} for t in given)
    model = quake_tvm.compile(torch.export.export(Program(), given, dynamic_shapes=dims))
    wanted = Program()(*given)
    for got, want in zip(model.run(*(t.numpy() for t in given)), wanted, strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-6)
    for place, length in enumerate((3, 3)):
        wrong = [t.numpy() for t in given]
        wrong[place] = wrong[place][..., :length]
        with pytest.raises(QuakeError, match="takes 4 or more"):
            model.run(*wrong)
