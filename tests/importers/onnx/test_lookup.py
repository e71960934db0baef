"""Look-ups in ONNX files, against ONNX Runtime, and operands that do not fit."""

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

import quake_tvm
from quake_tvm import QuakeError
from quake_tvm.lookup.layer import LookupLayer
from quake_tvm.lookup.onnx_function import choice, declare, node

TABLES, BITS, WIDTH = 5, 3, 7


def model(form="float32", opset=17, bits=BITS, width=TABLES * BITS):
    random = np.random.default_rng(0)
    tables = random.standard_normal((TABLES << BITS, WIDTH)).astype(np.float32)
    bias = random.standard_normal(WIDTH).astype(np.float32)
    stored = LookupLayer(np.empty((1, 0)), bias, tables, bias, BITS).stored(form)
    arrays = dict(zip(("tables", "scales"), stored, strict=False)) | {"bias": bias}
    graph = helper.make_graph(
        [node(["z", *arrays], "y", bits)],
        "look-up",
        [helper.make_tensor_value_info("z", TensorProto.FLOAT, ["a", "b", width])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["a", "b", WIDTH])],
        [numpy_helper.from_array(array, name) for name, array in arrays.items()],
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)
    declare(made)
    return made


@pytest.mark.parametrize(
    ("form", "opset"), [("float32", 13), ("bfloat16", 18), ("int8", 17), ("int8", 21)]
)
def test_as_in_onnx_runtime(form, opset):
    given = model(form, opset)
    onnx.checker.check_model(given)
    session = onnxruntime.InferenceSession(
        given.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    built = quake_tvm.compile(given, method="quake5")
    for sizes in ((2, 3), (1, 1), (0, 4)):
        z = np.random.default_rng(1).standard_normal((*sizes, TABLES * BITS)).astype(np.float32)
        (expected,) = session.run(None, {"z": z})
        np.testing.assert_allclose(built.run(z)[0], expected, atol=5e-6)


@pytest.mark.parametrize(
    ("options", "problem"),
    [({"bits": 2}, r"z of shape \(\.\., 2 H\)"), ({"width": 16}, r"z of shape \(\.\., 3 H\)")],
)
def test_operands_that_do_not_fit(options, problem):
    with pytest.raises(QuakeError, match=problem):
        quake_tvm.compile(model(**options))


@pytest.mark.parametrize(
    ("other", "number", "problem"),
    [("ReduceSum", True, "give the same shape and type"), ("Abs", False, "no attribute number")],
)
def test_a_choice_that_is_none(other, number, problem):
    nodes = [
        helper.make_node("Identity", ["x"], ["a"]),
        helper.make_node(other, ["x"], ["b"], **({"keepdims": 0} if other == "ReduceSum" else {})),
        choice("a", "b", "y", 0),
    ]
    if not number:
        del nodes[-1].attribute[:]
    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [3]) for name in ("x", "y")]
    graph = helper.make_graph(nodes, "choice", values[:1], values[1:])
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    declare(made)
    with pytest.raises(QuakeError, match=problem):
        quake_tvm.compile(made)


def test_an_opset_that_is_too_old():
    with pytest.raises(QuakeError, match="opset is 12: convert it to 13 or later"):
        model(opset=12)
