"""``quake_tvm.compile``, the compiled model, its report, and its errors for bad input."""

import json

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

import quake_tvm
from quake_tvm import QuakeError
from quake_tvm.report import Report
from tests.helpers import module


def mlp(length="n"):
    """x -> softmax(gelu(x w)) with a symbolic batch. GELU has the form that exporters write."""
    w = np.random.default_rng(0).normal(size=(8, 16)).astype(np.float32)
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["h"]),
        helper.make_node("Div", ["h", "root"], ["d"]),
        helper.make_node("Erf", ["d"], ["e"]),
        helper.make_node("Add", ["e", "one"], ["a"]),
        helper.make_node("Mul", ["h", "a"], ["m"]),
        helper.make_node("Mul", ["m", "half"], ["g"]),
        helper.make_node("Softmax", ["g"], ["y"], axis=-1),
    ]
    constants = {"w": w, "root": np.float32(2**0.5), "one": np.float32(1), "half": np.float32(0.5)}
    graph = helper.make_graph(
        nodes,
        "mlp",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [length, 8])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [length, 16])],
        [onnx.numpy_helper.from_array(np.asarray(v), k) for k, v in constants.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


@pytest.fixture(scope="module")
def model():
    return quake_tvm.compile(mlp(), method="quake2", shapes={"x": (4, 8)})


X = np.random.default_rng(1).normal(size=(4, 8)).astype(np.float32)


def test_report_lists_every_site(model):
    found = {(s.operator, s.shape, s.method, s.schedule) for s in model.report.sites}
    assert found == {
        ("gelu", "4x16", "quake2", "matmul"),
        ("softmax", "4x16", "quake2", "rows"),
    }
    assert not model.report.exact
    gelu = next(s for s in model.report.sites if s.operator == "gelu")
    assert gelu.source == "divide+erf+add+multiply+multiply"
    assert gelu.relative == quake_tvm.bound("gelu", "quake2").relative
    assert "gelu" in str(model.report)


def test_report_counts_versions_of_kernels(model):
    report = quake_tvm.compile(mlp(), method="quake2").report
    gelu, softmax = sorted(report.sites, key=lambda s: s.operator)
    assert gelu.versions > 1
    assert f"{gelu.versions} versions, by size" in str(report)
    assert softmax.versions == 1
    raw = json.loads(report.to_json())["sites"]
    assert sorted(site.get("versions", 0) for site in raw) == [0, gelu.versions]
    assert Report.from_json(report.to_json()) == report


def test_report_of_static_shapes_says_nothing_of_versions(model):
    assert "versions" not in str(model.report)
    assert "versions" not in model.report.to_json()


def test_report_gives_the_reason_for_what_stays_exact():
    report = quake_tvm.compile(mlp(2), method="quake2", skip=["softmax"]).report
    assert [(s.operator, s.reason) for s in report.exact] == [("softmax", "in skip=")]
    report = quake_tvm.compile(mlp(2), max_error=1e-12).report
    assert {s.operator for s in report.exact} == {"softmax", "gelu"}
    assert all("max_error" in s.reason for s in report.exact)


def test_other_dtypes_stay_exact_and_say_so():
    from tvm import relax

    mod = module(relax.op.nn.softmax, (2, 3), dtype="float64")
    (site,) = quake_tvm.compile(mod).report.exact
    assert site.operator == "softmax"
    assert "float64" in site.reason


def test_inputs_by_name_by_position_and_as_a_list(model):
    (a,), (b,), (c,) = model.run({"x": X}), model.run(X), model.run([X])
    np.testing.assert_array_equal(a, b)
    np.testing.assert_array_equal(a, c)


def test_inputs_need_not_be_contiguous(model):
    (a,), (b,) = model.run(X), model.run(np.asfortranarray(X))
    (c,) = model.run(np.repeat(X, 2, axis=0)[::2])
    np.testing.assert_array_equal(a, b)
    np.testing.assert_array_equal(a, c)


def test_dynamic_batch():
    model = quake_tvm.compile(mlp(), method="quake3")
    assert model.inputs[0].shape == ("n", 8)
    (whole,) = model.run(X)
    for k in (1, 3):
        np.testing.assert_array_equal(model.run(X[:k])[0], whole[:k])


def test_benchmark_gives_seconds_a_call(model):
    seconds = model.benchmark({"x": X}, number=2, repeat=3)
    assert len(seconds) == 3
    assert all(0 < s < 1 for s in seconds)


def test_export_and_load(model, tmp_path):
    path = model.export(tmp_path / "model.so")
    loaded = quake_tvm.load(path)
    np.testing.assert_array_equal(loaded.run(X)[0], model.run(X)[0])
    assert loaded.inputs == model.inputs
    assert loaded.report == model.report
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ({"y": X}, "unknown input 'y'"),
        ({}, "'x' is missing"),
        ({"x": X[:, :7]}, r"must have shape \(4, 8\)"),
        ({"x": X[0]}, "must have shape"),
        ({"x": X.astype(np.float64)}, "must be float32, got float64"),
    ],
)
def test_bad_inputs(model, inputs, message):
    with pytest.raises(QuakeError, match=message) as error:
        model.run(inputs)
    assert "\n" not in str(error.value)


def test_wrong_number_of_inputs(model):
    with pytest.raises(QuakeError, match=r"takes 1 input \(x\), got 2"):
        model.run(X, X)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"method": "quake9"}, "unknown method"),
        ({"method": "quake1", "max_error": 0.1}, "not both"),
        ({"max_error": -1}, "must be positive"),
        ({"only": ["sofmax"]}, "unknown operator 'sofmax'"),
        ({"only": ["exp"], "skip": ["tanh"]}, "not both"),
        ({"skip": "softmax"}, "give a list"),
        ({"special_values": "none"}, "unknown special_values"),
        ({"target": "pentium"}, "unknown target 'pentium'"),
        ({"target": {"kind": "nope"}}, "targets are CPUs"),
        ({"shapes": {"z": (1, 2)}}, "no input 'z'"),
        ({"shapes": {"x": (1, 9)}}, "does not fit"),
        ({"shapes": {"x": ("n", "k")}}, "'k' of input 'x' cannot be dynamic: .* needs the size 8"),
    ],
    ids=str,
)
def test_bad_options(options, message):
    with pytest.raises(QuakeError, match=message) as error:
        quake_tvm.compile(mlp(), **options)
    assert "\n" not in str(error.value)


def test_files_that_are_not_what_they_should_be(tmp_path):
    text = tmp_path / "text.onnx"
    text.write_text("no model")
    for path, call in (
        (text, quake_tvm.compile),
        (tmp_path / "missing.onnx", quake_tvm.compile),
        (text, quake_tvm.load),
        (tmp_path / "missing.so", quake_tvm.load),
    ):
        with pytest.raises(QuakeError) as error:
            call(path)
        assert "\n" not in str(error.value)
        assert path.name in str(error.value)


def test_operator_that_tvm_cannot_import():
    node = helper.make_node("Det", ["x"], ["y"])
    graph = helper.make_graph(
        [node],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [2, 2])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    with pytest.raises(QuakeError, match="Det"):
        quake_tvm.compile(model)


def test_neither_model_nor_path():
    with pytest.raises(QuakeError, match="cannot compile a value of type int"):
        quake_tvm.compile(3)


@pytest.mark.parametrize("where", ["missing/model.so", "folder"])
def test_unwritable_output_leaves_nothing(model, tmp_path, where):
    (tmp_path / "folder").mkdir()
    with pytest.raises(QuakeError, match="cannot write"):
        model.export(tmp_path / where)
    assert [p.name for p in tmp_path.rglob("*")] == ["folder"]


def test_report_names_kernels_without_a_rule_of_their_own():
    report = Report(kernels={"a": "matmul", "b": "fallback", "c": "matmul", "d": "none"})
    text = str(report)
    assert "kernels: 2 matmul, 1 fallback, 1 none" in text
    assert "parallel and in vectors: b" in text
    assert "not scheduled: d" in text
