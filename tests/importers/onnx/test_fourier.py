"""DFT and STFT: signals of any length and batch, a long transform, and what is refused."""

import numpy as np
import pytest
from onnx import numpy_helper, parser

import quake_tvm

HEADER = '<ir_version: 10, opset_import: ["": 21]> g '
WINDOW = np.hanning(16).astype(np.float32)


def compiled(text, **constants):
    proto = parser.parse_model(HEADER + text)
    proto.graph.initializer.extend(numpy_helper.from_array(v, k) for k, v in constants.items())
    return quake_tvm.compile(proto, method="exact")


def complex_of(y):
    return y[..., 0] + 1j * y[..., 1]


def test_signals_of_any_length():
    model = compiled("(float[b, n] x) => (y) <int64 step = {6}> { y = STFT(x, step, w) }", w=WINDOW)
    for shape in [(1, 16), (2, 50), (3, 21)]:
        x = np.random.default_rng(0).normal(size=shape).astype(np.float32)
        frames = np.lib.stride_tricks.sliding_window_view(x, 16, axis=1)[:, ::6] * WINDOW
        found = complex_of(model(x)[0])
        np.testing.assert_allclose(found, np.fft.rfft(frames), rtol=1e-5, atol=1e-5)


def test_batches_of_any_size_and_many_points():
    model = compiled("(float[b, 1000, 1] x) => (y) <int64 axis = {1}> { y = DFT(x, , axis) }")
    x = np.random.default_rng(0).normal(size=(3, 1000, 1)).astype(np.float32)
    wanted = np.fft.fft(x[..., 0])
    # Partial sums are of size sqrt(n), and their n roundings add up as a random walk: n roundings
    # of 1.
    np.testing.assert_allclose(complex_of(model(x)[0]), wanted, atol=1000 * 2**-23)


@pytest.mark.parametrize("points", [7, 8, 12, 20])
def test_a_one_sided_spectrum_becomes_a_real_signal(points):
    model = compiled(
        "(float[2, 8, 2] x) => (y) { y = DFT<onesided = 1, inverse = 1>(x, n, axis) }",
        n=np.int64(points),
        axis=np.int64(1),
    )
    x = np.random.default_rng(0).normal(size=(2, 8, 2)).astype(np.float32)
    wanted = np.fft.irfft(complex_of(x), points)
    np.testing.assert_allclose(model(x)[0][..., 0], wanted, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("(float[2, n, 1] x) => (y) { y = DFT(x) }", "a known number of points"),
        ("(float[2, 8, 1] x, int64 a) => (y) { y = DFT(x, , a) }", "a known rank and axis"),
        ("(float[2, 8, 1] x) => (y) <int64 a = {2}> { y = DFT(x, , a) }", "DFT along axis 2 of 3"),
        ("(float[2, 8, 3] x) => (y) { y = DFT(x) }", "a last dimension of 1 or 2, not 3"),
        ("(float[2, 8, 2] x) => (y) { y = DFT<onesided = 1>(x) }", "complex signal cannot"),
        ("(float[2, 8, 1] x) => (y) { y = DFT<onesided = 1, inverse = 1>(x) }", "real spectrum"),
        ("(float[2, 9999, 1] x) => (y) { y = DFT(x) }", "too large"),
        (
            "(float[2, 64] x) => (y) <int64 s = {4}, int64 n = {8}> { y = STFT(x, s, w, n) }",
            "a window of 16 elements for frames of 8",
        ),
        ("(float[2, 64] x, int64 s) => (y) { y = STFT(x, s, w) }", "a known rank, frame_step"),
        (
            "(float[2, 64] x, float[16] v) => (y) <int64 s = {4}> { y = STFT(x, s, v) }",
            "a constant window",
        ),
        ("(float[2, 64] x) => (y) <int64 s = {0}> { y = STFT(x, s, w) }", "a step of 0"),
    ],
)
def test_refused(text, said):
    with pytest.raises(quake_tvm.QuakeError, match=said):
        compiled(text, w=WINDOW)
