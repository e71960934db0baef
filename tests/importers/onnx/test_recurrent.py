"""ONNX's LSTM, GRU and RNN, against the standard's node tests, float64 and ONNX Runtime."""

import warnings
from dataclasses import replace

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import helper, numpy_helper

import quake_tvm
from quake_tvm.errors import QuakeError
from quake_tvm.numerics.ladder import METHODS
from tests import recurrent
from tests.recurrent import DEFAULTS, Layer, random_layer

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from onnx.backend.test.case.node import collect_testcases

    NODES = [c for c in collect_testcases(None) if c.name.startswith(("test_gru", "test_lstm"))]
    NODES += [c for c in collect_testcases(None) if "_rnn_" in c.name]

# quake5's largest error in a test, in units of the largest output. A few steps add up their errors.
HIGHEST = 2e-6


def run(layers, method="quake5", opset=14, constant=True, **options):
    model, feeds = recurrent.model(layers, opset, constant)
    return quake_tvm.compile(model, method=method, **options).run(feeds)


def assert_right(results, expected, tolerance=HIGHEST):
    for q, y in zip(results, expected, strict=True):
        assert q.shape == y.shape
        assert q.dtype == np.float32
        scale = max(1.0, np.abs(y).max(initial=0))
        np.testing.assert_allclose(q, y, 0, tolerance * scale)


def layers(seed, count):
    rng = np.random.default_rng(seed)
    return [random_layer(rng) for _ in range(count)]


def of(operator, steps=5, batch=3, hidden=19, features=7, directions=1, seed=0):
    """A plain layer, with biases."""
    rng, gates = np.random.default_rng(seed), recurrent.GATES[operator]

    def normal(*shape):
        return (rng.normal(size=shape) / np.sqrt(hidden)).astype(np.float32)

    return Layer(
        operator,
        rng.normal(size=(steps, batch, features)).astype(np.float32),
        normal(directions, gates * hidden, features),
        normal(directions, gates * hidden, hidden),
        normal(directions, 2 * gates * hidden),
        attributes={
            "hidden_size": hidden,
            "direction": "bidirectional" if directions == 2 else "forward",
        },
    )


@pytest.mark.parametrize("case", NODES, ids=lambda case: case.name)
def test_the_standards_nodes(case):
    compiled = quake_tvm.compile(case.model, method="quake5")
    for inputs, outputs in case.data_sets:
        assert_right(compiled.run(list(inputs)), outputs)


def test_random_layers():
    made = layers(0, 6)
    assert_right(run(made), recurrent.expected(made))


def by_onnx_runtime(made):
    model, feeds = recurrent.model(made)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    return session.run(None, feeds)


@pytest.mark.sweep
@pytest.mark.parametrize("seed", range(20))
def test_more_random_layers(seed):
    made = layers(seed + 1, 10)
    expected, conditions = recurrent.expected(made), recurrent.conditions(made)
    for q, other, y, condition in zip(
        run(made), by_onnx_runtime(made), expected, conditions, strict=True
    ):
        if np.abs(y).max() > np.finfo(np.float32).max:
            continue
        tolerance = HIGHEST * max(1.0, condition)
        assert_right([q], [y], tolerance)
        if np.isfinite(other).all():  # ONNX Runtime's Softplus overflows
            assert_right([other], [y], tolerance)


@pytest.mark.parametrize("method", [*METHODS, "exact"])
def test_every_rung(method):
    made = [of(operator) for operator in DEFAULTS]
    # Each step multiplies the error of the one before by less than 2 in these layers.
    bound = 0 if method == "exact" else quake_tvm.bound("sigmoid", method).error
    assert_right(run(made, method), recurrent.expected(made), 8 * bound + HIGHEST)


def test_weights_that_are_inputs():
    made = layers(3, 3)
    np.testing.assert_array_equal(run(made, constant=False)[0], run(made)[0])


def test_an_old_opset():
    made = [of("LSTM", directions=2), of("GRU")]
    assert_right(run(made, opset=7), recurrent.expected(made))


def with_layout(layer):
    return replace(layer, attributes={**layer.attributes, "layout": 1})


def test_rows_before_steps():
    made = [with_layout(of("LSTM", directions=2)), with_layout(layers(5, 1)[0])]
    assert_right(run(made), recurrent.expected(made))


def of_size(layer, steps, batch):
    """The layer on other inputs."""
    rng = np.random.default_rng([steps, batch])

    def normal(*shape):
        return rng.normal(size=shape).astype(np.float32)

    lengths = None if layer.lengths is None else rng.integers(0, steps + 1, batch).astype(np.int32)
    states = [None if s is None else normal(s.shape[0], batch, s.shape[2]) for s in layer.states]
    x = normal(steps, batch, layer.x.shape[2])
    return replace(layer, x=x, lengths=lengths, states=states)


@pytest.fixture(scope="module")
def open_layers():
    made = [of_size(layer, 3, 2) for layer in [of("LSTM"), of("GRU", hidden=1), *layers(11, 1)]]
    model, _ = recurrent.model(made, dims=True)
    return made, quake_tvm.compile(model, method="quake5")


@pytest.mark.parametrize(("steps", "batch"), [(1, 1), (4, 3), (0, 2), (3, 0), (5, 17), (60, 4)])
def test_any_number_of_steps_and_rows(open_layers, steps, batch):
    made, compiled = open_layers
    made = [of_size(layer, steps, batch) for layer in made]
    results = compiled.run(recurrent.model(made)[1])
    assert_right(results, recurrent.expected(made))


@pytest.mark.parametrize(("steps", "batch"), [(4, 3), (1, 17)])
def test_open_sizes_change_no_bit(open_layers, steps, batch):
    made, compiled = open_layers
    made = [of_size(layer, steps, batch) for layer in made]
    for q, static in zip(compiled.run(recurrent.model(made)[1]), run(made), strict=True):
        np.testing.assert_array_equal(q, static)


def test_nothing_to_do():
    made = [of_size(of("LSTM"), 0, 2), of_size(of("GRU"), 3, 0)]
    assert_right(run(made), recurrent.expected(made))


def test_an_initial_state_of_unknown_sizes():
    """Its directions and units are those of the weights, whatever the file says."""
    layer = replace(of("GRU"), states=[np.ones((1, 3, 19), np.float32)])
    model, feeds = recurrent.model([layer])
    (state,) = (i for i in model.graph.input if i.name == "x0_5")
    for axis, dim in enumerate(state.type.tensor_type.shape.dim):
        dim.dim_param = f"d{axis}"
    compiled = quake_tvm.compile(model, method="quake5")
    assert_right(compiled.run(feeds), recurrent.expected([layer]))
    with pytest.raises(QuakeError, match="initial state does not fit"):
        compiled.run(feeds | {"x0_5": np.ones((1, 3, 18), np.float32)})


def of_lengths(*lengths):
    """A model of 4 steps, whose steps and rows are open, and its inputs."""
    return recurrent.model([replace(of("GRU", steps=4), lengths=np.int32(lengths))], dims=True)


def test_lengths_that_no_row_can_have_end_a_run():
    model, feeds = of_lengths(4, 0, 2)
    compiled = quake_tvm.compile(model, method="quake5")
    compiled.run(feeds)
    for wrong in (5, -1):
        with pytest.raises(QuakeError, match="GRU: sequence_lens: a length that is negative or a"):
            compiled.run({**feeds, "x0_4": np.int32([4, wrong, 2])})


def test_constant_lengths_that_no_row_can_have_are_refused():
    model, feeds = of_lengths(4, 0, 5)
    model.graph.initializer.append(numpy_helper.from_array(feeds["x0_4"], "x0_4"))
    del model.graph.input[1]
    with pytest.raises(QuakeError, match=r"sequence_lens: .* 5 is not in \[0, 5\)"):
        quake_tvm.compile(model, shapes={"x0_0": (4, 3, 7)})


@pytest.mark.parametrize("index", range(8))
def test_an_input_of_another_rank_is_refused(index):
    ones = [np.ones((1, 3, 19), np.float32)] * 2
    peepholes = np.ones((1, 57), np.float32)
    layer = replace(of("LSTM"), lengths=np.ones(3, np.int32), states=ones, peepholes=peepholes)
    model, _ = recurrent.model([layer], constant=False)
    model.graph.input[index].type.tensor_type.shape.dim.add().dim_value = 1
    with pytest.raises(QuakeError, match=rf"cannot import LSTM: input {index} has .* of rank \d"):
        quake_tvm.compile(model)


def test_features_of_unknown_number():
    """They are those of the weights, whatever the file says."""
    layer = of("LSTM", directions=2)
    model, feeds = recurrent.model([layer])
    model.graph.input[0].type.tensor_type.shape.dim[2].dim_param = "features"
    compiled = quake_tvm.compile(model, method="quake5")
    assert_right(compiled.run(feeds), recurrent.expected([layer]))
    with pytest.raises(QuakeError, match="LSTM: input 0 must have 7 features"):
        compiled.run({"x0_0": feeds["x0_0"][..., :6]})


def test_states_that_do_not_fit_are_refused(open_layers):
    made, compiled = open_layers
    feeds = recurrent.model(made)[1]
    name = next(n for n, array in feeds.items() if n.endswith("_5"))
    feeds[name] = feeds[name][:, :1]
    with pytest.raises(quake_tvm.QuakeError):
        compiled.run(feeds)


def test_special_values_stay_in_their_row():
    layer = of("LSTM")
    plain = run([layer], "quake2")
    layer.x[1, 1, 0], layer.x[2, 2, 0] = np.nan, np.inf
    y = run([layer], "quake2")[0]
    np.testing.assert_array_equal(y[:, 0, 0], plain[0][:, 0, 0])
    assert np.isnan(y[1:, 0, 1]).all()
    assert np.isfinite(y[:1, 0]).all()
    assert np.isfinite(y[2, 0, 2]).all()


def test_functions_are_sites():
    report = quake_tvm.compile(recurrent.model([of("GRU")])[0]).report
    assert {(s.operator, s.source, s.schedule) for s in report.sites} == {
        ("sigmoid", "gru", "recurrent"),
        ("tanh", "gru", "recurrent"),
    }
    assert {s.shape for s in report.sites} == {"5x3x19"}
    skipped = quake_tvm.compile(recurrent.model([of("GRU")])[0], skip=["tanh"]).report
    assert [s.operator for s in skipped.sites] == ["sigmoid"]
    assert [(s.operator, s.reason) for s in skipped.exact] == [("tanh", "in skip=")]
    best = quake_tvm.compile(recurrent.model([of("GRU")])[0], max_error=1e-4).report
    assert all(s.relative <= 1e-4 for s in best.sites)


@pytest.mark.parametrize(
    ("attributes", "reason"),
    [
        ({"activations": ["Gelu"]}, "the activation 'Gelu'"),
        ({"activations": ["Tanh", "Tanh"]}, "2 activations for 1 directions"),
        ({"direction": "sideways"}, "the direction 'sideways'"),
        ({"hidden_size": 20}, r"input 2 has the shape \[1, 19, 19\], not \[1, 20, 20\]"),
        ({"hidden_size": 0}, "a hidden size of 0"),
    ],
)
def test_what_is_refused(attributes, reason):
    layer = of("RNN")
    layer.attributes |= attributes
    with pytest.raises(quake_tvm.QuakeError, match=f"^cannot import RNN: {reason}"):
        run([layer])


def of_type(layer, dtype):
    """The layer with numbers of another type."""

    def cast(array):
        return array.astype(dtype) if array is not None else None

    numbers = {n: cast(getattr(layer, n)) for n in ("x", "weights", "recurrent", "bias")}
    states, peepholes = [*map(cast, layer.states)], cast(layer.peepholes)
    return replace(layer, **numbers, states=states, peepholes=peepholes)


def model_of_type(made, dtype):
    model, feeds = recurrent.model([of_type(layer, dtype) for layer in made])
    for output in model.graph.output:
        output.type.tensor_type.elem_type = helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
    return model, feeds


def test_float16():
    """Only the operands and the results are rounded."""
    made = [of_type(of(operator, directions=2), np.float16) for operator in DEFAULTS]
    made += [of_type(layer, np.float16) for layer in layers(0, 3)]
    model, feeds = model_of_type(made, np.float16)
    results = quake_tvm.compile(model, method="quake5").run(feeds)
    for q, y in zip(results, recurrent.expected(made), strict=True):
        assert q.dtype == np.float16
        np.testing.assert_allclose(q, y, 2**-11, HIGHEST * max(1, np.abs(y).max()))


def test_float64_is_refused():
    model, _ = model_of_type([of("RNN")], np.float64)
    with pytest.raises(quake_tvm.QuakeError, match="elements of type float64: cast them"):
        quake_tvm.compile(model)


def _if_of_layers(then: int, other: int):
    """An If on ``c`` whose branches have GRUs of so many features, and its graph's constants."""
    rng, constants, graphs = np.random.default_rng(0), [], []
    for features in (then, other):
        names = [f"W{features}", f"R{features}"]
        for name, shape in zip(names, [(1, 9, features), (1, 9, 3)], strict=True):
            constants.append(numpy_helper.from_array(rng.normal(size=shape).astype("f"), name))
        results = [f"y{features}", f"h{features}"]
        node = helper.make_node("GRU", ["x", *names], results, hidden_size=3)
        infos = [helper.make_tensor_value_info(r, 1, None) for r in results]
        graphs.append(helper.make_graph([node], f"g{features}", [], infos))
    chosen = helper.make_node("If", ["c"], ["y", "h"], then_branch=graphs[0], else_branch=graphs[1])
    graph = helper.make_graph(
        [chosen],
        "g",
        [
            helper.make_tensor_value_info("c", onnx.TensorProto.BOOL, []),
            helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, [5, 2, 4]),
        ],
        [helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None) for name in "yh"],
        constants,
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


@pytest.mark.parametrize("fits", [True, False])
def test_a_branch_that_does_not_fit_ends_a_run_that_takes_it(fits):
    """As in files for two sampling rates, with the sizes of one."""
    model = _if_of_layers(*((4, 7) if fits else (7, 4)))
    feeds = {"c": np.array(fits), "x": np.random.default_rng(1).normal(size=(5, 2, 4)).astype("f")}
    session = onnxruntime.InferenceSession(model.SerializeToString())
    compiled = quake_tvm.compile(model, method="quake5")
    assert_right(compiled.run(feeds), session.run(None, feeds))
    with pytest.raises(QuakeError, match=r"If: the branch that was taken .* GRU: input 1 has the"):
        compiled.run({**feeds, "c": np.array(not fits)})


def test_branches_of_which_none_fits_are_refused():
    with pytest.raises(QuakeError, match=r"GRU: input 1 has the shape \[1, 9, 6\]"):
        quake_tvm.compile(_if_of_layers(6, 7))
