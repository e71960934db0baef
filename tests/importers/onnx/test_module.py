"""The import of ONNX models: shapes, folding, functions, and what is refused and how."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

import quake_tvm
from quake_tvm import QuakeError
from quake_tvm.importers.onnx import module as onnx_import
from quake_tvm.passes.relax.graph import op_name

FLOAT, INT64 = TensorProto.FLOAT, TensorProto.INT64
node, constant = helper.make_node, numpy_helper.from_array


def value(name, shape, dtype=FLOAT):
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


def operators(model, **options):
    """The Relax operators of the imported model."""
    main = onnx_import.to_relax(model, **options)["main"]
    return [op_name(b.value) for block in main.body.blocks for b in block.bindings]


def kinds(model):
    return [n.op_type for n in model.graph.node]


def check(model, *inputs, **options):
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


# Shapes of inputs


@pytest.mark.parametrize(
    ("shapes", "expected"),
    [
        (None, ("batch", "length", 3)),
        ({}, ("batch", "length", 3)),
        ({"x": (2, 5, 3)}, (2, 5, 3)),
    ],
    ids=["none", "empty", "static"],
)
def test_shapes_of_dynamic_inputs(shapes, expected):
    compiled = check(exp(["batch", "length", 3]), ramp(2, 5, 3), shapes=shapes)
    assert compiled.inputs[0].shape == expected


def two_inputs():
    nodes = [node("Add", ["x", "y"], ["s"]), node("Exp", ["s"], ["z"])]
    return make(nodes, {"x": ["batch", 4], "y": ["batch", 4]}, {"z": ["batch", 4]})


def test_a_named_dimension_is_one_in_all_inputs():
    compiled = check(two_inputs(), ramp(3, 4), ramp(3, 4), shapes={"x": (3, 4)})
    assert [i.shape for i in compiled.inputs] == [(3, 4), (3, 4)]
    with pytest.raises(QuakeError, match=r"shape \(5, 4\) does not fit input 'y' \(3, 4\)"):
        quake_tvm.compile(two_inputs(), shapes={"x": (3, 4), "y": (5, 4)})


def test_some_inputs_static_others_dynamic():
    nodes = [node("Exp", ["x"], ["u"]), node("Tanh", ["y"], ["v"])]
    model = make(nodes, {"x": ["n", 3], "y": ["m"]}, {"u": None, "v": None})
    compiled = check(model, ramp(2, 3), ramp(5), shapes={"x": (2, 3)})
    assert [i.shape for i in compiled.inputs] == [(2, 3), ("m",)]


def test_dimensions_without_a_name_are_not_one():
    for shape in ([None, None], ["?", "?"]):
        compiled = check(exp(shape), ramp(2, 3))
        assert len(set(compiled.inputs[0].shape)) == 2


@pytest.mark.parametrize("shape", [(0, 3), (2, 0)], ids=str)
def test_static_empty_inputs(shape):
    compiled = check(exp(shape), ramp(*shape))
    assert compiled.inputs[0].shape == shape


def test_numbers_that_stand_for_any():
    assert check(exp([-1, 3]), ramp(2, 3)).inputs[0].shape == ("x_0", 3)
    assert check(exp([-1, 3]), ramp(2, 3), shapes={"x": (2, 3)}).inputs[0].shape == (2, 3)
    assert check(exp([0, 3]), ramp(2, 3), shapes={"x": (2, 3)}).inputs[0].shape == (2, 3)
    old = exp([0, 3])
    old.ir_version = 3
    assert check(old, ramp(2, 3)).inputs[0].shape == ("x_0", 3)


def test_names_of_dimensions_that_mean_nothing_else():
    nodes = [node("Concat", ["x", "z"], ["y"], axis=0)]
    shapes = {"x": ["batch-size", "日本"], "z": ["2*N", "日本"]}
    compiled = check(make(nodes, shapes, {"y": None}), ramp(2, 3), ramp(5, 3))
    assert [i.shape for i in compiled.inputs] == [("batch_size", "__"), ("d_2_N", "__")]


@pytest.mark.parametrize("taken", [True, False])
def test_the_branch_that_shapes_choose(taken):
    """The branches are those that torch writes for squeeze. The other branch has another rank."""
    inner = helper.make_graph([node("Squeeze", ["x", "none"], ["t"])], "t", [], [value("t", None)])
    outer = node("If", ["same"], ["t"], then_branch=inner, else_branch=exp([4]).graph)
    del outer.attribute[1].g.input[:]
    then = helper.make_graph([outer, node("Neg", ["t"], ["u"])], "u", [], [value("u", None)])
    other = helper.make_graph([node("Identity", ["x"], ["e"])], "e", [], [value("e", None)])
    nodes = [
        node("Shape", ["x"], ["s"]),
        node("Gather", ["s", "zero"], ["rows"]),
        node("Equal", ["rows", "one"], ["same"]),
        node("If", ["same"], ["t"], then_branch=then, else_branch=other),
        node("Exp", ["t"], ["y"]),
    ]
    constants = {"zero": np.array(0), "one": np.array(1), "none": np.array([0])}
    model = make(
        nodes, {"x": ["n", 4]}, {"y": None}, [constant(v, k) for k, v in constants.items()]
    )
    rows = 1 if taken else 2
    x = ramp(rows, 4)
    (y,) = quake_tvm.compile(model, method="exact", shapes={"x": x.shape}).run(x)
    np.testing.assert_allclose(y, np.exp(-x[0] if taken else x), rtol=1e-6)
    del nodes[:3]
    inputs = {"x": [1, 4]}
    at_run_time = make(nodes, inputs, {"y": None}, [constant(constants["none"], "none")])
    at_run_time.graph.input.append(value("same", [], TensorProto.BOOL))
    with pytest.raises(QuakeError, match="If has branches of the types"):
        quake_tvm.compile(at_run_time)


def test_an_output_needs_no_type(tmp_path):
    model = exp([2, 3])
    model.graph.output[0].ClearField("type")
    onnx.save(model, tmp_path / "model.onnx")
    assert quake_tvm.compile(tmp_path / "model.onnx").run(ramp(2, 3))[0].shape == (2, 3)


@pytest.mark.parametrize("op", ["Celu", "PRelu"])
def test_scalars_stay_scalars(op):
    inputs = ["x", "slope"] if op == "PRelu" else ["x"]
    slope = [constant(np.float32(0.25), "slope")]
    check(make([node(op, inputs, ["y"])], {"x": []}, {"y": None}, slope), np.array(-0.5, "f4"))


@pytest.mark.parametrize(
    "shapes", [(2, 3), {"x": 2}, {"x": (2.5, 3)}, {"x": "23"}, [("x", (2, 3))]], ids=str
)
def test_shapes_are_a_mapping(shapes):
    with pytest.raises(QuakeError, match=r"as (shapes=\{'x': )?\(1, 128\)"):
        quake_tvm.compile(exp(["n", 3]), shapes=shapes)


def test_an_unknown_rank_needs_a_shape():
    with pytest.raises(QuakeError, match="does not say input 'x'"):
        quake_tvm.compile(exp(None))
    assert check(exp(None), ramp(2, 3), shapes={"x": (2, 3)}).inputs[0].shape == (2, 3)


@pytest.mark.parametrize(
    ("shapes", "message"),
    [
        ({"z": (2, 3)}, "no input 'z'; (its|the) inputs: x"),
        ({"x": (2,)}, r"shape \(2,\) does not fit input 'x' \((\?|n), 3\)"),
        ({"x": (2, 4)}, r"shape \(2, 4\) does not fit input 'x' \((\?|n), 3\)"),
        ({"x": (-1, 3)}, r"shape \(-1, 3\) of 'x' has a negative size"),
    ],
    ids=["name", "rank", "size", "negative"],
)
@pytest.mark.parametrize("source", ["onnx", "relax"])
def test_wrong_shapes(source, shapes, message):
    model = exp(["n", 3])
    if source == "relax":
        model = onnx_import.to_relax(model)
    with pytest.raises(QuakeError, match=message):
        quake_tvm.compile(model, shapes=shapes)


def two_lengths():
    nodes = [node("Add", ["x", "y"], ["s"]), node("Exp", ["s"], ["z"])]
    return make(nodes, {"x": ["n", 3], "y": ["m", 3]}, {"z": None})


def test_extents_of_two_names_must_be_equal():
    compiled = check(two_lengths(), ramp(2, 3), ramp(2, 3))
    with pytest.raises(QuakeError, match="Add: the sizes of the operands differ"):
        compiled.run([ramp(1, 3), ramp(2, 3)])
    check(two_lengths(), ramp(1, 3), ramp(2, 3), shapes={"x": (1, 3), "y": (2, 3)})


def test_dynamic_models_that_tvm_cannot_compile_ask_for_shapes():
    nodes = [
        node("Size", ["x"], ["size"]),
        node("OneHot", ["k", "size", "values"], ["z"]),
    ]
    values = constant(np.array([0, 1], np.float32), "values")
    graph = helper.make_graph(
        nodes, "test", [value("x", ["n"]), value("k", [3], INT64)], [value("z", None)], [values]
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    with pytest.raises(QuakeError, match=r"give shapes for: x=..."):
        quake_tvm.compile(model)
    check(model, ramp(4), np.array([0, 2, 1]), shapes={"x": (4,)})


@pytest.mark.parametrize("name", ["input.1", "0", "x:0", "onnx::Exp_1", "a/b c"])
def test_inputs_keep_their_names(name):
    model = quake_tvm.compile(exp([2, 3], name), shapes={name: (2, 3)})
    assert [i.name for i in model.inputs] == [name]
    assert model.run({name: ramp(2, 3)})[0].shape == (2, 3)


# Folding


def flatten(batch):
    """The nodes that exporters write for x.reshape(x.shape[0], -1)."""
    nodes = [
        node("Exp", ["x"], ["e"]),
        node("Shape", ["e"], ["shape"]),
        node("Gather", ["shape", "zero"], ["batch"]),
        node("Unsqueeze", ["batch", "axes"], ["first"]),
        node("Concat", ["first", "rest"], ["target"], axis=0),
        node("Reshape", ["e", "target"], ["y"]),
    ]
    constants = [
        constant(np.array(0), "zero"),
        constant(np.array([0]), "axes"),
        constant(np.array([-1]), "rest"),
    ]
    return make(nodes, {"x": [batch, 3, 4]}, {"y": None}, constants)


def expand(batch):
    """The nodes that exporters write for an additive mask: ConstantOfShape, Expand, Where."""
    nodes = [
        node("Shape", ["x"], ["shape"]),
        node("ConstantOfShape", ["shape"], ["ones"], value=constant(np.ones(1, np.int64), "v")),
        node("Mul", ["ones", "minus"], ["negative"]),
        node("Equal", ["shape", "negative_shape"], ["never"]),
        node("Where", ["never", "shape", "shape"], ["target"]),
        node("Expand", ["row", "target"], ["mask"]),
        node("Add", ["x", "mask"], ["masked"]),
        node("Softmax", ["masked"], ["y"], axis=-1),
    ]
    constants = [
        constant(np.array(-1), "minus"),
        constant(np.array([-1]), "negative_shape"),
        constant(ramp(1, 4), "row"),
    ]
    return make(nodes, {"x": [batch, 3, 4]}, {"y": None}, constants)


@pytest.mark.parametrize(
    ("build", "wanted"),
    [(flatten, ["relax.exp", "relax.reshape"]), (expand, ["relax.add", "relax.nn.softmax"])],
)
def test_shape_subgraphs_are_folded(build, wanted):
    assert operators(build(2)) == wanted
    assert operators(build("n"), shapes={"x": (2, 3, 4)}) == wanted
    check(build("n"), ramp(2, 3, 4), shapes={"x": (2, 3, 4)})


def test_the_slice_of_a_shape_is_folded():
    nodes = [
        node("Shape", ["x"], ["shape"], start=1, end=-1),
        node("Concat", ["shape", "rest"], ["target"], axis=0),
        node("Reshape", ["x", "target"], ["y"]),
    ]
    model = make(nodes, {"x": [2, 3, 4]}, {"y": None}, [constant(np.array([8]), "rest")])
    assert kinds(onnx_import.fold_shapes(model)) == ["Reshape"]
    check(model, ramp(2, 3, 4))


@pytest.mark.parametrize(
    ("random", "inputs", "attributes"),
    [
        ("RandomNormal", [], {"shape": [2, 3]}),
        ("RandomUniform", [], {"shape": [2, 3]}),
        ("RandomNormalLike", ["c"], {}),
        ("RandomUniformLike", ["c"], {}),
        ("Multinomial", ["c"], {}),
        ("Bernoulli", ["c"], {}),
        ("Dropout", ["c", "", "training"], {}),
    ],
    ids=lambda v: v if isinstance(v, str) else "",
)
def test_random_operators_are_not_folded(random, inputs, attributes):
    constants = [constant(ramp(2, 3), "c"), constant(np.array(True), "training")]
    nodes = [node(random, inputs, ["r"], **attributes), node("Exp", ["r"], ["y"])]
    model = make(nodes, {}, {"y": None}, constants)
    assert kinds(onnx_import.fold_shapes(model)) == [random, "Exp"]


@pytest.mark.parametrize("side", [8, 1 << 30])
def test_large_constants_are_not_made(side):
    # The larger constant would not fit into memory.
    nodes = [node("ConstantOfShape", ["shape"], ["c"]), node("Exp", ["c"], ["y"])]
    model = make(nodes, {}, {"y": None}, [constant(np.array([side, side]), "shape")])
    folded = onnx_import.fold_shapes(model)
    assert kinds(folded) == (["ConstantOfShape", "Exp"] if side > 8 else ["Exp"])


def test_outputs_are_not_folded():
    nodes = [node("Shape", ["x"], ["y"]), node("Exp", ["x"], ["z"])]
    model = make(nodes, {"x": [2, 3]}, {"z": None})
    model.graph.output.append(value("y", [2], INT64))
    assert kinds(onnx_import.fold_shapes(model)) == ["Shape", "Exp"]


def test_what_a_branch_uses_is_kept():
    def branch(operator):
        nodes = [node(operator, ["x", "c"], [operator])]
        return helper.make_graph(nodes, operator, [], [value(operator, [2, 3])])

    nodes = [
        node("Neg", ["two"], ["c"]),
        node("If", ["condition"], ["y"], then_branch=branch("Add"), else_branch=branch("Mul")),
    ]
    constants = [constant(np.float32(2), "two")]
    model = make(nodes, {"x": [2, 3]}, {"y": None}, constants)
    model.graph.input.append(value("condition", [], TensorProto.BOOL))
    folded = onnx_import.fold_shapes(model)
    assert kinds(folded) == ["If"]
    assert {c.name for c in folded.graph.initializer} >= {"c"}


# Functions and constants


def test_initializers_may_be_inputs_too():
    model = make(
        [node("Add", ["x", "b"], ["s"]), node("Exp", ["s"], ["y"])],
        {"x": [2, 3], "b": [3]},
        {"y": None},
        [constant(ramp(3), "b")],
    )
    compiled = quake_tvm.compile(model, method="exact")
    assert [i.name for i in compiled.inputs] == ["x"]
    np.testing.assert_allclose(compiled.run(ramp(2, 3))[0], np.exp(ramp(2, 3) + ramp(3)), 1e-6)


def test_the_models_own_functions_are_inlined():
    imports = [helper.make_opsetid("", 17), helper.make_opsetid("local", 1)]
    inner = helper.make_function(
        "local", "Inner", ["a"], ["b"], [node("Celu", ["a"], ["b"])], imports
    )
    outer = helper.make_function(
        "local",
        "Softmax",  # not an operator of the standard
        ["a"],
        ["c"],
        [node("Inner", ["a"], ["b"], domain="local"), node("Exp", ["b"], ["c"])],
        imports,
    )
    nodes = [node("Softmax", ["x"], ["y"], domain="local")]
    model = make(nodes, {"x": ["n", 3]}, {"y": None}, domains=["local"])
    model.functions.extend([inner, outer])
    compiled = check(model, ramp(2, 3))
    assert not compiled.report.sites


def test_attributes_left_out_have_their_defaults_in_functions():
    model = make([node("Swish", ["x"], ["y"])], {"x": [5]}, {"y": None}, opset=24)
    (result,) = quake_tvm.compile(model, method="exact").run(ramp(5))
    np.testing.assert_allclose(result, ramp(5) / (1 + np.exp(-ramp(5))), 1e-6)


def test_sums_are_additions():
    model = make([node("Sum", ["x", "x", "c", "x"], ["y"])], {"x": [2, 3]}, {"y": None},
                 [constant(ramp(3), "c")])  # fmt: skip
    assert operators(model) == ["relax.add"] * 3
    check(model, ramp(2, 3))


def test_the_standards_domain_has_two_names():
    model = make([node("Celu", ["x"], ["y"], domain="ai.onnx")], {"x": [5]}, {"y": None})
    model.opset_import[0].domain = "ai.onnx"
    assert len(quake_tvm.compile(model).report.sites) == 1


def test_the_model_given_stays_as_it_is():
    model = two_inputs()
    before = model.SerializeToString(deterministic=True)
    quake_tvm.compile(model, shapes={"x": (3, 4)})
    assert model.SerializeToString(deterministic=True) == before


# What is refused


@pytest.mark.parametrize(
    ("made", "named"),
    [
        (node("Det", ["x"], ["y"]), "Det"),
        (node("Exp", ["x"], ["y"], domain="acme"), "acme.Exp"),
        (node("FFT", ["x"], ["y"], domain="acme"), "acme.FFT"),
        (node("LSTM", ["x", "x", "x"], ["y"], hidden_size=3), "LSTM"),
    ],
    ids=["standard", "known_name", "unknown_name", "lstm"],
)
def test_operators_tvm_cannot_import(made, named, capsys):
    model = make([made], {"x": [3, 3]}, {"y": None}, domains=["acme"])
    with pytest.raises(QuakeError, match=f"cannot import these ONNX operators: {named};"):
        quake_tvm.compile(model)
    assert capsys.readouterr().out == ""


def test_what_the_importer_raises_is_one_line(capsys):
    nodes = [node("ReduceSum", ["x", "axes"], ["y"])]
    model = make(nodes, {"x": [2, 3]}, {"y": [None, None]})
    model.graph.input.append(value("axes", [1], INT64))
    with pytest.raises(QuakeError, match=r"^TVM's ONNX importer failed: [^\n]*$"):
        quake_tvm.compile(model)
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    "content",
    [b"", b"not a model", exp([2]).SerializeToString()[:20], onnx.ModelProto().SerializeToString()],
    ids=["empty", "text", "cut", "blank"],
)
def test_invalid_files(tmp_path, content):
    path = tmp_path / "model.onnx"
    path.write_bytes(content)
    with pytest.raises(QuakeError, match=r"is not a valid ONNX model: [^\n]*$"):
        quake_tvm.compile(path)


def test_no_such_file(tmp_path):
    for path in (tmp_path / "model.onnx", tmp_path):
        with pytest.raises(QuakeError, match="no such file"):
            quake_tvm.compile(path)


def test_weights_in_a_file_of_their_own(tmp_path):
    path = tmp_path / "model.onnx"
    nodes = [node("MatMul", ["x", "w"], ["h"]), node("Exp", ["h"], ["y"])]
    weights = ramp(64, 64) / 64
    model = make(nodes, {"x": [2, 64]}, {"y": [2, 64]}, [constant(weights, "w")])
    onnx.save(model, path, save_as_external_data=True, location="weights", size_threshold=0)
    result = quake_tvm.compile(str(path), method="exact").run(ramp(2, 64))[0]
    np.testing.assert_allclose(result, np.exp(ramp(2, 64) @ weights), 1e-5)
    blobs, links = tmp_path / "blobs", tmp_path / "snapshots" / "0a1b"  # as in caches of model hubs
    blobs.mkdir()
    links.mkdir(parents=True)
    for name, blob in (("model.onnx", "aa"), ("weights", "bb")):
        (blobs / blob).write_bytes((tmp_path / name).read_bytes())
        (links / name).symlink_to(f"../../blobs/{blob}")
    np.testing.assert_array_equal(
        quake_tvm.compile(links / "model.onnx", method="exact").run(ramp(2, 64))[0], result
    )
    (tmp_path / "weights").unlink()
    with pytest.raises(QuakeError, match=r"is not a valid ONNX model: .*weights"):
        quake_tvm.compile(path)
