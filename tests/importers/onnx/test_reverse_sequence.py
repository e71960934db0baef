"""ReverseSequence with lengths of a run, sizes of a run, and lengths that do not fit."""

import numpy as np
import pytest
from onnx import parser

import quake_tvm


@pytest.fixture(scope="module")
def model():
    return quake_tvm.compile(
        parser.parse_model(
            '<ir_version: 10, opset_import: ["": 21]> g (float[t, b, 3] x, int64[b] n) => (y)'
            "{ y = ReverseSequence(x, n) }"
        )
    )


@pytest.mark.parametrize("lengths", [[], [3], [0, 5, 1, 4]], ids=str)
def test_sizes_of_a_run(model, lengths):
    x = np.random.default_rng(0).normal(size=(5, len(lengths), 3)).astype(np.float32)
    wanted = x.copy()
    for b, n in enumerate(lengths):
        wanted[:n, b] = x[:n, b][::-1]
    np.testing.assert_array_equal(model(x, np.array(lengths, np.int64))[0], wanted)


@pytest.mark.parametrize("length", [-1, 6])
def test_a_length_that_does_not_fit(model, length):
    with pytest.raises(quake_tvm.QuakeError, match="ReverseSequence: a length that is negative"):
        model(np.zeros((5, 1, 3), np.float32), np.array([length]))


@pytest.mark.parametrize(("time", "batch"), [(0, 0), (0, 2), (-1, 0)])
def test_axes_that_the_standard_does_not_have(time, batch):
    text = (
        '<ir_version: 10, opset_import: ["": 21]> g (float[2, 2, 2] x, int64[2] n) => (y)'
        f"{{ y = ReverseSequence <time_axis = {time}, batch_axis = {batch}> (x, n) }}"
    )
    with pytest.raises(quake_tvm.QuakeError, match="a time axis of"):
        quake_tvm.compile(parser.parse_model(text))
