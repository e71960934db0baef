"""com.microsoft.DynamicQuantizeLSTM, beside float64 and ONNX Runtime."""

from dataclasses import replace

import numpy as np
import onnxruntime
import pytest
from onnx import helper

import quake_tvm
from tests import quantized_recurrent, recurrent
from tests.importers.onnx.test_recurrent import of, of_size
from tests.quantized_recurrent import byte_layer

RNG = np.random.default_rng


def of_bytes(seed=0, *, directions=2, steps=5, batch=3, hidden=19, features=7, **options):
    """A plain layer of int8 weights."""
    plain = of("LSTM", steps, batch, hidden, features, directions, seed)
    return byte_layer(plain, RNG(seed), **options)


def full():
    """A layer with all operands."""
    made = of_bytes(1)
    before = [RNG(k).normal(size=(2, 3, 19)).astype(np.float32) for k in range(2)]
    plain = replace(
        made.plain,
        lengths=np.array([2, 5, 0], np.int32),
        states=before,
        peepholes=RNG(2).normal(size=(2, 57)).astype(np.float32),
    )
    return replace(made, plain=plain)


def with_attributes(**attributes):
    made = of_bytes(3)
    return replace(
        made, plain=replace(made.plain, attributes={**made.plain.attributes, **attributes})
    )


LAYERS = {
    "per_tensor": of_bytes(),
    "per_column": of_bytes(per_column=True),
    "reversed": of_bytes(directions=1, hidden=16),
    "one_unit": of_bytes(hidden=1, features=1, batch=1, directions=1),
    "rows": of_bytes(batch=16, hidden=35, features=33),
    "zero_points": of_bytes(zero=3),
    "unsigned": of_bytes(dtype="uint8", zero=128),
    "all_operands": full(),
    "clipped": with_attributes(clip=0.5, input_forget=1),
    "functions": with_attributes(
        activations=["Sigmoid", "Tanh", "Relu", "HardSigmoid", "Softsign", "Tanh"]
    ),
}
LAYERS["reversed"].plain.attributes["direction"] = "reverse"


def run(layers, **options):
    model, feeds = quantized_recurrent.model(layers)
    return quake_tvm.compile(model, method="quake5", **options).run(feeds)


@pytest.mark.parametrize("name", LAYERS)
def test_sums_of_bytes_are_exact(name):
    layer = LAYERS[name]
    for q, y in zip(run([layer]), recurrent.expected([layer.in_bytes]), strict=True):
        np.testing.assert_allclose(q, y, atol=2e-6 * max(1, np.abs(y).max()))


def test_weights_that_are_no_bytes_are_dequantized():
    layer = of_bytes(dtype="uint8", zero=90, largest=140)
    for q, y in zip(run([layer]), recurrent.expected([layer.plain]), strict=True):
        np.testing.assert_allclose(q, y, atol=2e-6)


def test_weights_must_be_constants():
    model, _ = quantized_recurrent.model([of_bytes()])
    weights = next(c for c in model.graph.initializer if c.name == "x0_2")
    given = helper.make_tensor_value_info("x0_2", weights.data_type, weights.dims)
    model.graph.input.append(given)
    model.graph.initializer.remove(weights)
    with pytest.raises(quake_tvm.QuakeError, match="its weights must be constants"):
        quake_tvm.compile(model)


@pytest.mark.parametrize("seed", range(3))
def test_the_error_is_at_most_onnx_runtimes(seed):
    """It quantizes all rows with one scale; here each has its own."""
    layer = of_bytes(seed, steps=30, batch=4, hidden=64, features=32)
    model, feeds = quantized_recurrent.model([layer])
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    for q, o, y in zip(
        run([layer]), session.run(None, feeds), recurrent.expected([layer.plain]), strict=True
    ):
        assert np.sqrt(np.mean((q - y) ** 2)) <= np.sqrt(np.mean((o - y) ** 2))


@pytest.fixture(scope="module")
def open_sizes():
    layers = [of_bytes(), full()]
    dims = quantized_recurrent.model(layers, dims=True)[0]
    return layers, quake_tvm.compile(dims, method="quake5")


@pytest.mark.slow
@pytest.mark.parametrize(("steps", "batch"), [(1, 1), (0, 2), (3, 0), (4, 17)])
def test_any_number_of_steps_and_rows(open_sizes, steps, batch):
    """With the bits of a build for these sizes."""
    layers, compiled = open_sizes
    layers = [replace(each, plain=of_size(each.plain, steps, batch)) for each in layers]
    results = compiled.run(quantized_recurrent.model(layers)[1])
    wanted = recurrent.expected([each.in_bytes for each in layers])
    for q, static, y in zip(results, run(layers), wanted, strict=True):
        np.testing.assert_array_equal(q, static)
        np.testing.assert_allclose(q, y, atol=2e-5)


@pytest.mark.slow
@pytest.mark.parametrize("target", ["x86-64-v2", "x86-64-v3", "x86-64-v4"])
def test_targets_have_the_same_bits(target):
    layers = [LAYERS["all_operands"], LAYERS["rows"]]
    for q, y in zip(run(layers, target=target), run(layers), strict=True):
        np.testing.assert_array_equal(q, y)


def test_nan_stays_in_its_row():
    layer = of_bytes(directions=1)
    layer.plain.x[2, 1, 3] = np.nan
    y, *_ = run([layer])
    assert np.isnan(y[2:, :, 1]).all()
    assert not np.isnan(y[:2]).any()
    assert not np.isnan(y[:, :, [0, 2]]).any()


def test_functions_are_sites():
    model, _ = quantized_recurrent.model([of_bytes()])
    report = quake_tvm.compile(model, method="quake3").report
    assert {(s.operator, s.method) for s in report.sites} == {
        ("sigmoid", "quake3"),
        ("tanh", "quake3"),
    }
    for site in report.sites:
        bound = quake_tvm.bound(site.operator, method="quake3")
        assert (site.relative, site.absolute) == (bound.relative, bound.absolute)
