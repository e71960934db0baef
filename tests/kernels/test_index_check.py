"""An index in the data never makes a model read or write foreign memory."""

import numpy as np
import onnx
import onnxruntime as ort
import pytest
import tvm
from onnx import TensorProto, helper
from tvm import relax

import quake_tvm
from quake_tvm.errors import QuakeError

INT, FLOAT = TensorProto.INT64, TensorProto.FLOAT
X = np.arange(40, dtype=np.float32).reshape(10, 4)


def node(operator, *inputs, output, **attributes):
    return helper.make_node(operator, list(inputs), [output], **attributes)


def model_of(nodes, inputs, shapes=None):
    """An ONNX model with these inputs. All values of its nodes are outputs."""
    shapes = shapes or {}
    given = [
        helper.make_tensor_value_info(
            name, helper.np_dtype_to_tensor_dtype(value.dtype), shapes.get(name, value.shape)
        )
        for name, value in inputs.items()
    ]
    outputs = [onnx.ValueInfoProto(name=n.output[0]) for n in nodes]
    graph = helper.make_graph(nodes, "graph", given, outputs)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)


NODES = [
    node("Gather", "x", "rows", output="a", axis=0),
    node("Gather", "x", "narrow", output="b", axis=1),
    node("Gather", "x", "one", output="c", axis=0),
    node("GatherND", "x", "places", output="d"),
    node("GatherElements", "x", "elements", output="e", axis=0),
    node("ScatterElements", "x", "written", "u", output="f", axis=0),
    node("ScatterND", "x", "blocks", "v", output="g", reduction="add"),
]
# The smallest and the largest indices that the standard allows.
INPUTS = {
    "x": X,
    "rows": np.int64([0, 9, -10, -1, 3]),
    "narrow": np.int32([[0, 3], [-4, -1]]),
    "one": np.array(-10),
    "places": np.int64([[0, 0], [9, 3], [-10, -4], [-1, -1]]),
    "elements": np.int64([[0, 9, -10, -1]]),
    "written": np.int64([[0, 9, -10, -1], [1, 1, 1, 1]]),
    "u": np.full((2, 4), 100, np.float32),
    "blocks": np.int64([[9], [-10], [9]]),
    "v": np.ones((3, 4), np.float32),
}
# For each index tensor: the operator, and the size of the dimension that its last number indexes.
USERS = {
    "rows": ("Gather", 10),
    "narrow": ("Gather", 4),
    "one": ("Gather", 10),
    "places": ("GatherND", 4),
    "elements": ("GatherElements", 10),
    "written": ("ScatterElements", 10),
    "blocks": ("ScatterND", 10),
}


def with_last(name, value):
    """The inputs, with the last number of one index tensor replaced."""
    changed = INPUTS[name].copy()
    changed.reshape(-1)[-1] = value
    return INPUTS | {name: changed}


def check_all(model):
    """Compare a model of the nodes with ONNX Runtime, and its error for each wrong index."""
    expected = ort.InferenceSession(model_of(NODES, INPUTS).SerializeToString()).run(None, INPUTS)
    for name, (operator, size) in USERS.items():
        for wrong in (size, -size - 1, 10**6, -(10**6), np.iinfo(INPUTS[name].dtype).min):
            with pytest.raises(
                QuakeError, match=rf"^{operator}: index out of range: '{name}' .*\)$"
            ):
                model.run(with_last(name, wrong))
        right = [wanted.copy() for wanted in expected]
        for found, wanted in zip(model.run(INPUTS), right, strict=True):
            np.testing.assert_array_equal(found, wanted)


def test_onnx(capfd, tmp_path):
    model = quake_tvm.compile(model_of(NODES, INPUTS), method="quake2")
    check_all(model)
    check_all(quake_tvm.load(model.export(tmp_path / "model.so")))
    assert "Fast mode" not in capfd.readouterr().err


def test_an_error_in_a_benchmark_is_one_too():
    model = quake_tvm.compile(model_of(NODES[:1], {"x": X, "rows": INPUTS["rows"]}))
    with pytest.raises(QuakeError, match="Gather"):
        model.benchmark({"x": X, "rows": np.full(5, 10)}, number=1, repeat=1)


DYNAMIC = {
    "x": ("n", "m"),
    "rows": ("k",),
    "elements": ("p", "q"),
    "written": ("r", "s"),
    "u": ("t", "w"),
    "blocks": ("b", 1),
    "v": ("b", "m"),
}


@pytest.fixture(scope="module")
def dynamic():
    names = ["x", "rows", "elements", "written", "u", "blocks", "v"]
    nodes = [n for n in NODES if n.input[1] in names]
    inputs = {name: INPUTS[name] for name in names}
    return quake_tvm.compile(model_of(nodes, inputs, DYNAMIC)), inputs


def test_extents_that_are_known_when_the_model_runs(dynamic):
    model, inputs = dynamic
    short = {"rows": np.int64([1]), "elements": np.int64([[1, -2, 0, 0]])}
    short |= {"written": np.int64([[1, -2, 0, 0]]), "u": np.zeros((1, 4), np.float32)}
    short |= {"blocks": np.int64([[1]]), "v": np.zeros((1, 4), np.float32)}
    gathered = model.run({**inputs, **short, "x": X[:2]})[0]
    np.testing.assert_array_equal(gathered, X[1:2])
    for name in ("rows", "elements", "written", "blocks"):
        wrong = np.full_like(short[name], 2)
        with pytest.raises(QuakeError, match=f"'{name}'"):
            model.run({**inputs, **short, "x": X[:2], name: wrong})


@pytest.mark.parametrize(
    ("name", "shape"),
    [("elements", (1, 5)), ("written", (2, 5)), ("u", (1, 4)), ("u", (2, 3))],
)
def test_sizes_that_do_not_fit_each_other(dynamic, name, shape):
    model, inputs = dynamic
    with pytest.raises(QuakeError, match=r"index out of range.* sizes"):
        model.run({**inputs, name: np.zeros(shape, inputs[name].dtype)})


def test_nothing_to_point_into(dynamic):
    model, inputs = dynamic
    none = {"rows": np.int64([]), "x": X[:0]}
    none |= {"elements": np.zeros((0, 4), np.int64), "written": np.zeros((0, 4), np.int64)}
    none |= {"u": X[:0], "blocks": np.zeros((0, 1), np.int64), "v": X[:0]}
    assert model.run({**inputs, **none})[0].shape == (0, 4)
    with pytest.raises(QuakeError, match="'rows'"):
        model.run({**inputs, **none, "rows": np.int64([0])})


def test_constant_indices_are_refused_when_compiling():
    for wrong in (10, -11):
        constant = helper.make_tensor("k", INT, [2], [0, wrong])
        nodes = [helper.make_node("Constant", [], ["k"], value=constant)]
        nodes.append(node("Gather", "x", "k", output="y"))
        with pytest.raises(QuakeError, match=rf"Gather: .* {wrong} is not in \[-10, 10\)"):
            quake_tvm.compile(model_of(nodes, {"x": X}))


def test_constant_sizes_that_do_not_fit_are_refused_when_compiling():
    """Elements are gathered from four columns, so five columns of indices do not fit."""
    nodes = [node("GatherElements", "x", "elements", output="y", axis=0)]
    fits = {"x": X, "elements": np.zeros((2, 4), np.int64)}
    (found,) = quake_tvm.compile(model_of(nodes, fits)).run(fits)
    np.testing.assert_array_equal(found, X[[0, 0]])
    with pytest.raises(QuakeError, match="a size of 5 where at most 4 fits"):
        quake_tvm.compile(model_of(nodes, {"x": X, "elements": np.zeros((2, 5), np.int64)}))


def test_computed_shapes():
    inputs = {"x": X, "s": np.int64([10, 4]), "step": np.int64([1, 1])}
    inputs |= {"start": np.int64([0, 1]), "end": np.int64([9, 3])}
    nodes = [
        node("Expand", "x", "s", output="a"),
        node("Slice", "x", "start", "end", "", "step", output="b"),
    ]
    model = quake_tvm.compile(model_of(nodes, inputs))
    for given in ({}, {"start": np.int64([50, 3])}, {"end": np.int64([0, 0])}):
        starts, ends = (INPUTS | inputs | given)["start"], (inputs | given)["end"]
        cut = X[starts[0] : ends[0], starts[1] : ends[1]]
        np.testing.assert_array_equal(model.run(inputs | given)[1], cut)
    with pytest.raises(QuakeError, match="does not fit"):
        model.run(inputs | {"s": np.int64([10, 9])})
    with pytest.raises(QuakeError, match="step is 0"):
        model.run(inputs | {"step": np.int64([1, 0])})


def relax_module():
    """A user's module with every Relax operator that reads indices."""
    op, builder = relax.op, relax.BlockBuilder()
    x, u = (relax.Var(n, relax.TensorType(s)) for n, s in (("x", (10, 4)), ("u", (2, 4))))
    i, e = (relax.Var(n, relax.TensorType(s, "int64")) for n, s in (("i", (2,)), ("e", (2, 4))))
    v = relax.Var("v", relax.TensorType((2,)))
    with builder.function("main", [x, u, v, i, e]):
        with builder.dataflow():
            column = builder.emit(op.reshape(i, [2, 1]))
            values = [
                op.take(x, i, 0),
                op.gather_elements(x, e, 0),
                op.gather_nd(x, column),
                op.index_tensor(x, [i]),
                op.scatter_elements(x, e, u),
                op.scatter_nd(x, column, u),
                op.index_put(x, (i, relax.const([0, 1], "int64")), v),
            ]
            result = builder.emit_output(relax.Tuple([builder.emit(value) for value in values]))
        builder.emit_func_output(result)
    return builder.get()


def test_modules_by_the_pipeline():
    target = quake_tvm.target("native")
    pipeline = quake_tvm.pipeline(target, method="quake2")
    executable = tvm.compile(relax_module(), target, relax_pipeline=pipeline)
    main = relax.VirtualMachine(executable, tvm.cpu())["main"]
    u, v, e = np.ones((2, 4), np.float32), np.ones(2, np.float32), np.zeros((2, 4), np.int64)

    def run(i, e=e):
        given = [X, u, v, np.int64(i), e]
        return [y.numpy() for y in main(*map(tvm.runtime.tensor, given))]

    taken, elements, *_ = run([9, 0])
    np.testing.assert_array_equal(taken, X[[9, 0]])
    np.testing.assert_array_equal(elements, X[[0, 0]])
    for wrong in (10, -11, 10**7):
        with pytest.raises(IndexError, match="'i'"):
            run([0, wrong])
        with pytest.raises(IndexError, match="'e'"):
            run([0, 1], e + wrong)


def test_indices_that_are_clamped_or_wrapped():
    """In these modes of take no index is outside, whether it is constant or in the data."""
    given = np.int64([-1, 0, 12, -25, 10])
    builder = relax.BlockBuilder()
    x = relax.Var("x", relax.TensorType((10, 4)))
    i = relax.Var("i", relax.TensorType((5,), "int64"))
    with builder.function("main", [x, i]):
        with builder.dataflow():
            values = [
                builder.emit(relax.op.take(x, index, 0, mode=mode))
                for mode in ("clip", "wrap")
                for index in (i, relax.const(given))
            ]
            result = builder.emit_output(relax.Tuple(values))
        builder.emit_func_output(result)
    clamped, clamped_constants, wrapped, wrapped_constants = quake_tvm.compile(builder.get()).run(
        [X, given]
    )
    for found in (clamped, clamped_constants):
        np.testing.assert_array_equal(found, X[[0, 0, 9, 0, 9]])
    for found in (wrapped, wrapped_constants):
        np.testing.assert_array_equal(found, X[[9, 0, 2, 5, 0]])


def test_products_of_matrices_that_do_not_fit():
    inputs = {"x": X, "y": np.ones((4, 3), np.float32)}
    nodes = [node("MatMul", "x", "y", output="z")]
    model = quake_tvm.compile(model_of(nodes, inputs, {"x": ("a", "k"), "y": ("l", "b")}))
    np.testing.assert_allclose(model.run(inputs)[0], X @ inputs["y"])
    with pytest.raises(QuakeError, match="'y' has 2 in dimension 'k'"):
        model.run({"x": X, "y": inputs["y"][:2]})


def test_letters_of_einsum_that_may_differ():
    inputs = {"x": X, "y": np.ones((4, 3), np.float32)}
    nodes = [node("Einsum", "x", "y", output="z", equation="ij,jk->ik")]
    with pytest.raises(QuakeError, match="'j' stands for"):
        quake_tvm.compile(model_of(nodes, inputs, {"x": ("a", "k"), "y": ("l", "b")}))
    model = quake_tvm.compile(model_of(nodes, inputs, {"x": ("a", "k"), "y": ("k", "b")}))
    np.testing.assert_allclose(model.run(inputs)[0], X @ inputs["y"])


def test_indices_that_are_constant_when_folded():
    builder = relax.BlockBuilder()
    x = relax.Var("x", relax.TensorType((10, 4)))
    with builder.function("main", [x]):
        with builder.dataflow():
            index = builder.emit(relax.op.arange(0, 20, 1, "int64"))
            result = builder.emit_output(relax.op.take(x, index, 0))
        builder.emit_func_output(result)
    with pytest.raises(QuakeError, match="take: index out of range"):
        quake_tvm.compile(builder.get())
