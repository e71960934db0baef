"""Sparse tensors against ONNX Runtime, and what is refused of them."""

import ml_dtypes
import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

import quake_tvm
from quake_tvm import QuakeError
from quake_tvm.importers.onnx.sparse import with_dense

from .models import make, node, ramp, value

VALUES = np.array([1.5, -2, 3], np.float32)
DENSE = np.array([[0, 1.5, 0, 0], [0, 0, 0, -2], [3, 0, 0, 0]], np.float32)
FLAT, PAIRS = [1, 7, 8], [[0, 1], [1, 3], [2, 0]]


def sparse(values=VALUES, indices=PAIRS, shape=(3, 4), name="w"):
    return helper.make_sparse_tensor(
        numpy_helper.from_array(values, name),
        numpy_helper.from_array(np.array(indices), f"{name}_indices"),
        list(shape),
    )


def constant(tensor, output="c"):
    return node("Constant", [], [output], sparse_value=tensor)


def with_weights(tensor):
    model = make([node("MatMul", ["x", "w"], ["y"])], {"x": [2, 3]}, {"y": None})
    model.graph.sparse_initializer.append(tensor)
    return model


@pytest.fixture(scope="module")
def model():
    """Sparse initializers and constants in the graph, in a branch and in a function."""
    branches = {}
    for name, indices in (("then_branch", FLAT), ("else_branch", PAIRS)):
        nodes = [constant(sparse(indices=indices), "d"), node("Add", ["d", "e"], [name])]
        branches[name] = helper.make_graph(nodes, name, [], [value(name, [3, 4])])
        branches[name].sparse_initializer.append(sparse(VALUES * 2, name="e"))
    nodes = [
        node("MatMul", ["x", "w"], ["m"]),
        constant(sparse(indices=FLAT)),
        node("If", ["test"], ["b"], **branches),
        node("Added", ["c", "b"], ["a"], domain="own"),
        node("MatMul", ["m", "t"], ["n"]),
        node("Add", ["n", "a"], ["y"]),
    ]
    function = helper.make_function(
        "own",
        "Added",
        ["p", "q"],
        ["r"],
        [
            constant(sparse(), "s"),
            node("Add", ["p", "q"], ["pq"]),
            node("Add", ["pq", "s"], ["r"]),
        ],
        [helper.make_opsetid("", 17)],
    )
    model = make(nodes, {"x": [3, 3]}, {"y": [3, 4]}, domains=["own"])
    model.functions.append(function)
    model.graph.input.append(value("test", [], TensorProto.BOOL))
    model.graph.sparse_initializer.append(sparse())
    model.graph.sparse_initializer.append(sparse(indices=[0, 5, 15], shape=(4, 4), name="t"))
    return model


@pytest.mark.parametrize("test", [False, True])
def test_sparse_tensors_wherever_they_are(model, test):
    before = model.SerializeToString(deterministic=True)
    given = {"x": ramp(3, 3), "test": np.array(test)}
    (y,) = quake_tvm.compile(model, method="exact").run(given)
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    np.testing.assert_allclose(y, session.run(None, given)[0], 1e-6)
    assert model.SerializeToString(deterministic=True) == before


def test_files_with_sparse_tensors(tmp_path, model):
    onnx.save(with_weights(sparse()), tmp_path / "model.onnx")
    compiled = quake_tvm.compile(tmp_path / "model.onnx", method="exact")
    np.testing.assert_allclose(compiled.run(ramp(2, 3))[0], ramp(2, 3) @ DENSE, 1e-6)
    outside = with_weights(sparse())
    for part in (outside.graph.sparse_initializer[0].values,
                 outside.graph.sparse_initializer[0].indices):  # fmt: skip
        (tmp_path / part.name).write_bytes(part.raw_data)
        onnx.external_data_helper.set_external_data(part, part.name)
        part.ClearField("raw_data")
    onnx.save(outside, tmp_path / "outside.onnx")
    compiled = quake_tvm.compile(tmp_path / "outside.onnx", method="exact")
    np.testing.assert_allclose(compiled.run(ramp(2, 3))[0], ramp(2, 3) @ DENSE, 1e-6)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float64", "int8", "int64", "bool"])
@pytest.mark.parametrize("indices", [FLAT, PAIRS], ids=["flat", "pairs"])
def test_types(dtype, indices):
    kind = ml_dtypes.bfloat16 if dtype == "bfloat16" else dtype
    model = with_dense(with_weights(sparse(VALUES.astype(kind), indices)))
    (found,) = model.graph.initializer
    assert not model.graph.sparse_initializer
    dense = numpy_helper.to_array(found)
    assert (found.name, dense.dtype) == ("w", np.dtype(kind))
    np.testing.assert_array_equal(dense, DENSE.astype(kind))


@pytest.mark.parametrize("indices", [np.zeros(0, np.int64), np.zeros((0, 2), np.int64), None])
def test_no_values(indices):
    tensor = sparse(VALUES[:0], np.zeros(0, np.int64) if indices is None else indices)
    if indices is None:
        tensor.ClearField("indices")
    (found,) = with_dense(with_weights(tensor)).graph.initializer
    np.testing.assert_array_equal(numpy_helper.to_array(found), np.zeros((3, 4)))


@pytest.mark.parametrize(
    ("tensor", "message"),
    [
        (sparse(indices=[1, 7, 12]), r"'w' has a value for the element 12, outside of .*\[3, 4\]"),
        (sparse(indices=[-1, 7, 8]), "'w' has a value for the element -1"),
        (sparse(indices=[[0, 1], [1, 4], [2, 0]]), r"for the element \[1, 4\], outside"),
        (sparse(indices=[1, 7, 7]), "has two values for one element"),
        (sparse(indices=[1, 7]), r"has indices int64\[2\], and needs int64\[3\] or int64\[3, 2\]"),
        (sparse(indices=[1.0, 7.0, 8.0]), r"has indices float64\[3\], and needs"),
        (sparse(shape=()), "has no dimensions"),
        (sparse(shape=(-3, 4)), "negative extent"),
        (sparse(shape=(2**20, 2**20)), "has 2 GB or more when dense"),
        (sparse(np.array(["a", "b", "c"], object)), "has strings"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_is_refused(tensor, message):
    with pytest.raises(QuakeError, match=f"^[^\\n]*{message}[^\\n]*$"):
        quake_tvm.compile(with_weights(tensor))
