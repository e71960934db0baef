"""Conversions: layers are found, learnt, kept within the budget, continued and written."""

import numpy as np
import onnx
import onnxruntime
import pytest

import quake_tvm
from quake_tvm.errors import QuakeError
from quake_tvm.lookup import convert
from quake_tvm.lookup.blocks import find
from quake_tvm.lookup.distil import Distillation, Settings
from quake_tvm.lookup.state_folder import StateFolder, remove
from tests.lookup.models import encoder, inputs

SMALL = Settings(tables=16, bits=4, rows=12_000)


def test_layers_are_found():
    found = find(encoder())
    assert [(b.x, b.y, b.residual) for b in found] == [
        ("x", "out0", "x"),
        ("norm0", "out1", "norm0"),
    ]
    assert {b.widths for b in found} == {(32, 96, 32)}
    gated = find(encoder(gated=True))
    assert [b.y for b in gated] == ["narrow0", "narrow1"]
    assert {b.weights for b in gated} == {3 * 32 * 96}


def test_gates_that_one_product_gives_are_found():
    model = encoder(layers=1, gated=True)
    nodes, weights = model.graph.node, model.graph.initializer
    arrays = {c.name: onnx.numpy_helper.to_array(c) for c in weights}
    both = np.concatenate([arrays["a0"], arrays["u0"]], axis=1)
    weights.append(onnx.numpy_helper.from_array(both, "both"))
    weights.append(onnx.numpy_helper.from_array(np.array([96, 96]), "parts"))
    for node in [n for n in nodes if n.output[0] in {"wide0", "up0"}]:
        nodes.remove(node)
    split = onnx.helper.make_node("Split", ["whole", "parts"], ["wide0", "up0"], axis=-1)
    nodes.insert(0, split)
    nodes.insert(0, onnx.helper.make_node("MatMul", ["x", "both"], ["whole"]))
    onnx.checker.check_model(model)
    (block,) = find(model)
    assert (block.x, block.y, block.residual, block.widths) == ("x", "narrow0", "x", (32, 96, 32))
    few = Settings(tables=4, bits=2, rows=512)
    done = convert(model, inputs(2), settings=few, rows=4, budget=9)
    assert "Split" not in {n.op_type for n in done.model.graph.node}


def test_a_layer_that_something_else_reads_is_none():
    model = encoder(layers=1)
    model.graph.output.append(onnx.helper.make_empty_tensor_value_info("act0"))
    assert not find(model)


def halves():
    """The model with weights in float16."""
    model = encoder(layers=1)
    for weight in model.graph.initializer:
        array = onnx.numpy_helper.to_array(weight)
        if array.dtype == np.float32:
            half = onnx.numpy_helper.from_array(array.astype(np.float16), weight.name)
            weight.CopyFrom(half)
    return model


@pytest.fixture(scope="module")
def converted():
    model, calls = encoder(), inputs()
    # Between the errors of the two look-ups, so that one stays.
    return model, calls, convert(model, calls, budget=0.15, settings=SMALL, form="int8", rows=4)


def test_look_ups_learn(converted):
    *_, done = converted
    assert [layer.kept for layer in done.layers] == [True, True]
    for layer in done.layers:
        assert layer.errors.look_up < layer.errors.left_out / 3
        assert layer.ms_before > 0 < layer.ms_after
        assert layer.bytes_before == 4 * (2 * 32 * 96 + 96 + 32)
    assert str(done).count("look-up") == 3  # a title and two layers


def test_runtimes_agree_on_the_written_model(converted, tmp_path):
    model, calls, done = converted
    onnx.checker.check_model(done.model)
    path = tmp_path / "converted.onnx"
    onnx.save(done.model, path)
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    (expected,) = session.run(None, calls[0])
    (found,) = quake_tvm.compile(path, method="quake5").run(calls[0])
    np.testing.assert_allclose(found, expected, atol=1e-5)
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    (before,) = session.run(None, calls[0])
    assert 0 < np.abs(before - expected).mean() < 0.2


def test_layers_beside_the_look_ups_compute_as_before(converted):
    model, calls, done = converted
    onnx.checker.check_model(done.beside)
    for run in (_in_onnx_runtime, lambda m, x: quake_tvm.compile(m).run(x)[0]):
        np.testing.assert_array_equal(run(done.beside, calls[0]), run(model, calls[0]))
    assert [b.number for b in find(done.beside)] == [0, 1]


def _in_onnx_runtime(model, inputs):
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    return session.run(None, inputs)[0]


def test_a_converted_model_can_be_converted_further(converted):
    model, calls, _ = converted
    few = Settings(tables=4, bits=2, rows=512)
    once = convert(model, calls, layers=[0], budget=9, settings=few, rows=4).model
    twice = convert(once, calls, layers=[0], budget=9, settings=few, rows=4).model
    assert not find(twice)
    onnx.checker.check_model(twice)
    found = quake_tvm.compile(twice, method="quake5").run(calls[0])[0]
    np.testing.assert_allclose(found, _in_onnx_runtime(twice, calls[0]), atol=1e-5)


def test_a_layer_over_the_budget_stays():
    model = encoder(layers=1)
    done = convert(
        model, inputs(2), budget=1e-3, settings=Settings(tables=4, bits=2, rows=512), rows=4
    )
    (layer,) = done.layers
    assert not layer.kept
    assert done.model == done.beside == model


def test_what_is_added_to_all_rows_is_no_residual():
    model = encoder(layers=1)
    most = onnx.helper.make_node("ReduceMax", ["x", "axis"], ["top"])
    model.graph.initializer.append(onnx.numpy_helper.from_array(np.array([0]), "axis"))
    model.graph.node.insert(0, most)
    next(n for n in model.graph.node if n.output[0] == "sum0").input[:] = ["out0", "top"]
    few = Settings(tables=4, bits=2, rows=512)
    (layer,) = convert(model, inputs(2), settings=few, rows=4).layers
    assert 1 <= layer.errors.left_out < 1.1  # relative to the layer alone


def test_padding_is_not_learnt():
    settings = Settings(tables=4, bits=2, rows=600)
    plain, masked = encoder(layers=1), encoder(layers=1)
    shape = onnx.helper.make_tensor_value_info("mask", onnx.TensorProto.INT64, ["rows"])
    masked.graph.input.append(shape)
    padded = []
    for call in inputs(3):
        counts = np.arange(2 * len(call["x"])) % 2
        x = np.repeat(call["x"], 2, axis=0)
        x[counts == 0] = 1e3
        padded.append({"x": x, "mask": counts})
    expected = convert(plain, inputs(3), settings=settings, rows=4, budget=9.0)
    found = convert(masked, padded, settings=settings, rows=4, budget=9.0, mask="mask")
    assert found.layers[0].errors == expected.layers[0].errors
    weights = (list(done.model.graph.initializer) for done in (found, expected))
    assert all(a == b for a, b in zip(*weights, strict=True))


def test_an_interrupted_training_continues_to_the_same_tables(tmp_path):
    random = np.random.default_rng(0)
    x, y = (random.standard_normal((1500, 20)).astype(np.float32) for _ in range(2))
    settings = Settings(tables=5, bits=3, rows=6000)
    whole = Distillation(x, y, settings)
    whole.run(lambda _: None)

    class Stopped(Exception):
        pass

    def stop(state):
        if state.seen == 3 * 512:
            state.save(tmp_path / "state.npz")
        if state.seen == 5 * 512:
            raise Stopped

    first = Distillation(x, y, settings)
    with pytest.raises(Stopped):
        first.run(stop)
    second = Distillation(x, y, settings)
    second.restore(tmp_path / "state.npz")
    assert second.seen == 3 * 512
    second.run(lambda _: None)
    for name, array in whole.state.items():
        np.testing.assert_array_equal(second.state[name], array)


def test_a_folder_of_another_conversion(tmp_path):
    model, calls = encoder(layers=1), [{"x": np.zeros((4, 6)), "m": np.ones((4, 6))}]
    with StateFolder(tmp_path, model, calls, [np.int64(1)]):
        (tmp_path / "layer_0.npz").touch()
    with StateFolder(tmp_path, model, calls, [1]):
        pass
    swapped = [dict(zip("mx", calls[0].values(), strict=True))]
    others = [
        (calls, [2]),
        (swapped, [1]),
        ([{name: array.reshape(2, 2, 6) for name, array in calls[0].items()}], [1]),
        ([{name: array.view(np.int64) for name, array in calls[0].items()}], [1]),
    ]
    raised = []  # errors that are kept hold no lock
    for given, options in others:
        with pytest.raises(QuakeError, match="the state of another conversion") as error:
            StateFolder(tmp_path, model, given, options)
        raised.append(error)


def test_a_conversion_that_fails_before_a_state_leaves_no_folder(tmp_path):
    folder = tmp_path / "state"
    with pytest.raises(QuakeError), StateFolder(folder, encoder(layers=1), inputs(1), [1]):
        raise QuakeError("the calibration has no rows")
    assert not folder.exists()
    with StateFolder(folder, encoder(layers=1), inputs(1), [2]):
        pass


def test_a_folder_in_use(tmp_path):
    model, calls = encoder(layers=1), inputs(1)
    with (
        StateFolder(tmp_path, model, calls, [1]),
        pytest.raises(QuakeError, match=r"another conversion uses .*: wait for its end"),
    ):
        StateFolder(tmp_path, model, calls, [1])


def test_only_the_state_is_removed(tmp_path):
    folder = tmp_path / "empty"
    with StateFolder(folder, encoder(layers=1), inputs(1), []):
        (folder / "layer_0.npz").touch()
    remove(folder)
    assert not folder.exists()
    with StateFolder(tmp_path, encoder(layers=1), inputs(1), []):
        for name in ("layer_0.txt", "layer_0.npz"):
            (tmp_path / name).touch()
    remove(tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == ["layer_0.txt"]


def with_value(value):
    calls = inputs(2)
    calls[1]["x"][70, 3] = value
    return calls


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"layers": [2]}, "there is no layer 2: the model has 2"),
        ({"form": "int4"}, "form"),
        ({"calibration": []}, "the calibration has no inputs"),
        ({"mask": "attention_mask"}, "there is no input 'attention_mask'; there are x"),
        ({"mask": "x"}, "mask: it has .* elements, and the layer .* rows"),
        ({"mask": "x", "calibration": [{"y": 0}]}, "mask: the calibration has no input 'x'"),
        ({"mask": ""}, "there is no input ''"),
        ({"layers": 1}, r"layers must be a list of layers' numbers, as \[0, 1\], not 1"),
        ({"layers": [True]}, r"layers must be whole numbers, as \[0, 1\], not True"),
        ({"layers": ["0"]}, "layers must be whole numbers"),
        ({"budget": -1}, "budget must be a relative error from 0, not -1"),
        ({"budget": float("nan")}, "budget must be a number, not nan"),
        ({"budget": None}, "budget must be a number, not None"),
        ({"rows": 0}, "rows must be a whole number from 1"),
        ({"settings": {"tables": 4}}, r"settings must be Settings\(..\), not dict"),
        ({"settings": Settings(30_000, 16)}, "the model has 251.7 GB, and an ONNX file at most 2"),
        ({"model": halves()}, "no feed-forward layer: .* float32 weights"),
        ({"model": b"ab"}, "cannot convert a value of type bytes"),
        ({"folder": "/proc/none"}, "cannot keep the state in /proc/none: No such file"),
        ({"folder": __file__}, "cannot keep the state in .*: File exists"),
        ({"calibration": with_value(np.nan)}, "call 1 of .* gives layer 0 rows with NaN"),
        ({"calibration": with_value(np.inf)}, "call 1 of .* gives layer 0 rows with NaN"),
    ],
)
def test_wrong_options(options, problem):
    given = {"model": encoder(), "calibration": inputs(1), **options}
    with pytest.raises(QuakeError, match=problem):
        convert(**given)


@pytest.mark.parametrize(
    "options",
    [
        {"tables": 0},
        {"tables": 1.5},
        {"tables": 2**20},
        {"bits": 0},
        {"bits": 17},
        {"rows": 0},
        {"seed": -1},
    ],
    ids=str,
)
def test_wrong_settings(options):
    with pytest.raises(QuakeError, match=f"{next(iter(options))} must be a whole number from"):
        Settings(**{"bits": 16, **options})
