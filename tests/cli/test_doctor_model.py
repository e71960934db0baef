"""``quake-tvm doctor MODEL``: what of a model can be compiled, and how it ends."""

import json

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from tests.shell import quake


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("doctor")
    for name, kind, operators in [
        ("good", TensorProto.FLOAT, ["Relu", "Sigmoid"]),
        ("double", TensorProto.DOUBLE, ["Sigmoid"]),
        ("bad", TensorProto.FLOAT, ["Sigmoid", "Multinomial"]),
    ]:
        names = ["x", *(f"v{k}" for k in range(1, len(operators))), "y"]
        nodes = [
            helper.make_node(op, [a], [b])
            for op, a, b in zip(operators, names[:-1], names[1:], strict=True)
        ]
        given, made = (
            helper.make_tensor_value_info(n, kind, ["rows", 8] if n == "x" else None)
            for n in ("x", "y")
        )
        graph = helper.make_graph(nodes, name, [given], [made])
        opsets = [helper.make_opsetid("", 18)]
        onnx.save(
            helper.make_model(graph, opset_imports=opsets, ir_version=9), folder / f"{name}.onnx"
        )
    (folder / "text.onnx").write_text("no model")
    return folder


def test_a_model_that_is_taken(folder):
    done = quake("doctor", folder / "good.onnx", "--json")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["taken"]
    assert found["inputs"] == [{"name": "x", "dtype": "float32", "shape": ["rows", 8]}]
    assert [(o["operator"], o["fate"], o["nodes"]) for o in found["operators"]] == [
        ("Relu", "taken", 1),
        ("Sigmoid", "taken", 1),
    ]
    assert [(n["operator"], n["exact"]) for n in found["nonlinearities"]] == [("sigmoid", "")]
    done = quake("doctor", folder / "good.onnx")
    assert "can be compiled: quake-tvm compile" in done.stdout


def test_names_and_sizes_may_be_given(folder):
    done = quake("doctor", folder / "good.onnx", "--shape", "x=2,width", "--json")
    assert json.loads(done.stdout)["inputs"][0]["shape"] == [2, "width"]


def test_what_stays_exact_has_a_reason(folder):
    found = json.loads(quake("doctor", folder / "double.onnx", "--json").stdout)
    (site,) = found["nonlinearities"]
    assert site["exact"].startswith("dtype float64: ")


def test_a_model_that_is_refused(folder):
    done = quake("doctor", folder / "bad.onnx", "--json")
    found = json.loads(done.stdout)
    assert (done.returncode, found["taken"]) == (1, False)
    (refused,) = found["operators"]
    assert (refused["operator"], refused["fate"]) == ("Multinomial", "refused")
    done = quake("doctor", folder / "bad.onnx")
    assert done.returncode == 1
    lacking = (
        "refused: TVM cannot import these ONNX operators: Multinomial; replace the node of 'y' in"
    )
    assert lacking in done.stdout
    assert done.stdout.endswith("bad.onnx cannot be compiled as it is\n")


def test_sizes_are_asked_for_where_they_may_help(folder):
    count = onnx.parser.parse_model("""
        <ir_version: 9, opset_import: ["": 18]>
        g (float[rows, 8] x, int64 count) => (float[rows, 8] y) {
            y = Loop (count, , x) <body = b (int64 i, bool c, float[rows, 8] a) =>
                (bool d, float[rows, 8] z) { d = Identity (c) z = Relu (a) }>
        }""")
    onnx.save(count, folder / "loop.onnx")
    done = quake("doctor", "loop.onnx", cwd=folder)
    assert done.returncode == 1
    assert "refused: Loop is supported only if" in done.stdout
    assert "cannot be compiled as it is; whether it can for fixed sizes" in done.stdout
    assert done.stdout.endswith(": quake-tvm doctor loop.onnx --shape x=rows,8\n")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["text.onnx"], "error: text.onnx is not a valid ONNX model: "),
        (["missing.onnx"], "error: no such file: missing.onnx"),
        (["good.onnx", "--shape", "z=1,8"], "error: the model has no input 'z'"),
        (["--shape", "x=1,8"], "error: --shape and --range are for a model"),
    ],
    ids=["text", "missing", "input", "installation"],
)
def test_errors_are_one_line(folder, arguments, message):
    done = quake("doctor", *arguments, cwd=folder)
    assert (done.returncode, done.stdout) == (2, "")
    (line,) = done.stderr.splitlines()
    assert line.startswith(message)


def test_the_functions_of_recurrent_layers_are_nonlinearities(folder):
    layer = onnx.parser.parse_model("""
        <ir_version: 9, opset_import: ["": 18]>
        g (float[steps, 2, 4] x) => (float[steps, 1, 2, 3] y)
            <float[1, 9, 4] w = {0}, float[1, 9, 3] r = {0}>
            { y = GRU <hidden_size = 3> (x, w, r) }
        """)
    for constant in layer.graph.initializer:
        constant.CopyFrom(
            onnx.numpy_helper.from_array(np.zeros(constant.dims, np.float32), constant.name)
        )
    onnx.save(layer, folder / "gru.onnx")
    found = json.loads(quake("doctor", folder / "gru.onnx", "--json").stdout)
    assert [(n["operator"], n["shape"], n["exact"]) for n in found["nonlinearities"]] == [
        ("sigmoid", "stepsx2x3", ""),
        ("tanh", "stepsx2x3", ""),
    ]


@pytest.mark.parametrize(
    ("of", "said", "status"),
    [
        (helper.make_sequence_type_proto(helper.make_tensor_type_proto(1, None)), "sequence", 1),
        (helper.make_optional_type_proto(helper.make_tensor_type_proto(1, None)), "optional", 1),
        (helper.make_tensor_type_proto(TensorProto.UNDEFINED, [2]), "unknown", 0),
    ],
    ids=["sequence", "optional", "undefined"],
)
def test_an_input_that_is_no_tensor(tmp_path, of, said, status):
    nodes = [helper.make_node("Identity", ["x"], ["y"])]
    values = [helper.make_value_info(name, of) for name in "xy"]
    graph = helper.make_graph(nodes, "graph", values[:1], values[1:])
    opsets = [helper.make_opsetid("", 18)]
    path = tmp_path / "model.onnx"
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=9), path)
    done = quake("doctor", path)
    assert done.returncode == status, done.stderr
    assert said in done.stdout
