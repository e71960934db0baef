"""What is found out about a model without compiling it."""

import numpy as np
import onnx
import pytest
import tvm
from onnx import TensorProto, helper, numpy_helper

from quake_tvm import QuakeError
from quake_tvm.build import import_model
from quake_tvm.importers.onnx.converters import CONVERTERS
from quake_tvm.importers.onnx.examine import FOLDED, REFUSED, REWRITTEN, TAKEN, Finding, examine

node = helper.make_node


def model(*nodes, **constants):
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 4])
    given = [numpy_helper.from_array(value, name) for name, value in constants.items()]
    graph = helper.make_graph(nodes, "g", [x], [onnx.ValueInfoProto(name="y")], given)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)


def test_every_node_has_a_fate():
    findings, module = examine(
        model(
            node("Gemm", ["x", "w"], ["g"], alpha=2.0),
            node("Shape", ["w"], ["s"]),
            node("ReduceProd", ["s"], ["p"], keepdims=0),
            node("Cast", ["p"], ["f"], to=TensorProto.FLOAT),
            node("Mul", ["g", "f"], ["m"]),
            node("Relu", ["m"], ["r"]),
            node("Relu", ["r"], ["y"]),
            w=np.ones((4, 4), np.float32),
        )
    )
    assert module is not None
    assert findings == [
        Finding("Cast", FOLDED, 1),
        Finding("Gemm", REWRITTEN, 1),
        Finding("Mul", TAKEN, 1),
        Finding("ReduceProd", FOLDED, 1),
        Finding("Relu", TAKEN, 2),
        Finding("Shape", FOLDED, 1),
    ]


def test_nodes_of_an_unrolled_loop_are_computed_in_a_run():
    given = onnx.parser.parse_model("""
        <ir_version: 9, opset_import: ["": 18]>
        g (float[n, 4] x) => (float[n, 4] y) <int64 three = {3}> {
            y = Loop (three, , x) <body = b (int64 i, bool c, float[n, 4] a) =>
                (bool d, float[n, 4] z) { d = Identity (c) z = Relu (a) }>
        }""")
    findings, module = examine(given)
    assert module is not None
    assert Finding("Relu", TAKEN, 1) in findings


def test_all_that_is_refused_is_found():
    findings, module = examine(
        model(
            node("Multinomial", ["x"], ["a"]),
            node("Multinomial", ["a"], ["b"]),
            node("Det", ["b"], ["c"]),
            node("Softmax", ["c"], ["y"], name="rows", flavour=1),
        )
    )
    assert module is None
    assert [(f.operator, f.fate, f.nodes) for f in findings] == [
        ("Det", REFUSED, 1),
        ("Multinomial", REFUSED, 2),
        ("Softmax", REFUSED, 1),
    ]
    assert all("replace" in f.what or "without it" in f.what for f in findings)
    assert "'rows'" in findings[-1].what


@pytest.mark.parametrize(
    ("nodes", "what"),
    [
        (
            [
                node("ReduceMax", ["x"], ["m"], keepdims=0),
                node("Cast", ["m"], ["s"], to=TensorProto.INT64),
                node("Unsqueeze", ["s", "axes"], ["t"]),
                node("Reshape", ["x", "t"], ["y"], name="turn"),
            ],
            "cannot import Reshape: input 1 must be a constant (node 'turn')",
        ),
        (
            [
                node("Transpose", ["x"], ["t"]),
                node("Hardmax", ["t"], ["y"], name="most"),
            ],
            "TVM cannot take Hardmax (node 'most'): ",
        ),
    ],
    ids=["by_this_library", "by_tvm"],
)
def test_a_refusal_names_the_node(nodes, what, monkeypatch):
    monkeypatch.delitem(CONVERTERS, "Hardmax")  # TVM's own needs rows of known length
    (finding,), module = examine(model(*nodes, axes=np.array([0])))
    assert module is None
    assert finding.what.startswith(what)
    assert "\n" not in finding.what


@pytest.mark.parametrize(
    "given",
    [
        model(node("Relu", ["x"], ["y"])),
        model(node("Elu", ["x"], ["e"]), node("Gelu", ["e"], ["y"])),
        model(node("Det", ["x"], ["y"])),
        model(node("Softmax", ["x"], ["y"], flavour=1)),
        model(node("TopK", ["x", "k"], ["y", "places"]), k=np.array([-1])),
        model(node("Reshape", ["x", "s"], ["y"]), s=np.array([3, 5])),
        model(node("Cast", ["x"], ["y"], to=TensorProto.FLOAT8E5M2)),
    ],
    ids=["taken", "functions", "operator", "attribute", "number", "sizes", "type"],
)
def test_the_verdict_is_that_of_an_import(given):
    before = given.SerializeToString()
    findings, module = examine(given)
    assert given.SerializeToString() == before
    refused = [finding.what for finding in findings if finding.fate == REFUSED]
    if module is not None:
        assert refused == []
        tvm.ir.assert_structural_equal(module, import_model(given), map_free_vars=True)
        return
    with pytest.raises(QuakeError) as error:
        import_model(given)
    assert refused == [str(error.value)]
