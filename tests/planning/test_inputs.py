"""Calibration inputs in files."""

import numpy as np
import pytest

from quake_tvm.errors import QuakeError
from quake_tvm.planning.inputs import read
from quake_tvm.runtime.model_tensor import ModelTensor

INPUTS = [ModelTensor("x", (1, 3), "float32"), ModelTensor("n", (2,), "int64")]


def save(path, **arrays):
    np.savez(path, **arrays)
    return path


def test_one_call_and_many(tmp_path):
    x, n = np.arange(12, dtype=np.float32).reshape(4, 1, 3), np.arange(8).reshape(4, 2)
    one = save(tmp_path / "one.npz", x=x[0], n=n[0])
    many = save(tmp_path / "many.npz", x=x, n=n)
    calls = read([one, many], INPUTS)
    assert len(calls) == 5
    for call, k in zip(calls, (0, 0, 1, 2, 3), strict=True):
        np.testing.assert_array_equal(call["x"], x[k])
        np.testing.assert_array_equal(call["n"], n[k])


@pytest.mark.parametrize(
    ("arrays", "reason"),
    [
        ({"x": np.zeros((1, 3))}, "holds x; the model takes x, n"),
        ({"x": np.zeros((1, 3)), "m": np.zeros(2)}, "holds m, x"),
        ({"x": np.zeros((4, 1, 3)), "n": np.zeros(2)}, "neither one call"),
        ({"x": np.zeros((4, 1, 3)), "n": np.zeros((5, 2))}, "neither one call"),
        ({"x": np.zeros((0, 1, 3)), "n": np.zeros((0, 2))}, "holds the inputs of no call"),
    ],
)
def test_what_does_not_fit(tmp_path, arrays, reason):
    with pytest.raises(QuakeError, match=reason):
        read([save(tmp_path / "x.npz", **arrays)], INPUTS)


@pytest.mark.parametrize("content", [None, b"", b"PK\x03\x04 not really", b"x"])
def test_what_is_no_file_of_arrays(tmp_path, content):
    path = tmp_path / "x.npz"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(QuakeError, match="cannot read"):
        read([path], INPUTS)


def test_one_array_alone(tmp_path):
    path = tmp_path / "x.npy"
    np.save(path, np.zeros(3))
    with pytest.raises(QuakeError, match="cannot read"):
        read([path], INPUTS)
