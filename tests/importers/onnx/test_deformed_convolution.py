"""DeformConv and Col2Im at batches of a run, and sizes that disagree."""

import numpy as np
import pytest
from onnx import parser, reference

import quake_tvm
from quake_tvm import QuakeError


def model(text):
    return parser.parse_model('<ir_version: 10, opset_import: ["": 19]> ' + text)


DEFORMED = (
    "g (float[{n}, 4, 5, 6] x, float[2, 4, 3, 3] w, float[{n}, {offsets}, 3, 4] o) => (y)"
    "{{ y = DeformConv(x, w, o) }}"
)
COLUMNS = (
    "g (float[n, {rows}, 4] x) => (y) <int64[2] image = {{4, 6}}, int64[2] block = {{2, 3}}>"
    "{{ y = Col2Im <strides = [2, 3]> (x, image, block) }}"
)


@pytest.mark.parametrize("batch", [1, 3])
def test_batches_of_a_run(batch):
    rng = np.random.default_rng(0)
    shapes = {"x": (batch, 4, 5, 6), "w": (2, 4, 3, 3), "o": (batch, 18, 3, 4)}
    feeds = {name: rng.normal(size=s).astype("f4") for name, s in shapes.items()}
    wanted = reference.ReferenceEvaluator(model(DEFORMED.format(n=batch, offsets=18)))
    compiled = quake_tvm.compile(model(DEFORMED.format(n="n", offsets=18)), method="exact")
    y = wanted.run(None, feeds)[0]
    np.testing.assert_allclose(compiled.run(feeds)[0], y, 1e-4, 1e-4)


def test_infinities_reach_only_their_pixels():
    x = np.zeros((2, 6, 4), "f4")
    x[1, 2, 3] = np.inf
    y = quake_tvm.compile(model(COLUMNS.format(rows=6)), method="exact").run(x)[0]
    wanted = np.zeros((2, 1, 4, 6), "f4")
    wanted[1, 0, 2, 5] = np.inf
    np.testing.assert_array_equal(y, wanted)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (DEFORMED.format(n=1, offsets=16), "DeformConv of 4 channels, .* 16 offsets"),
        (DEFORMED.format(n=1, offsets="k"), "DeformConv needs known sizes"),
        (COLUMNS.format(rows=7), "Col2Im of .*, which has 4 blocks"),
        (COLUMNS.format(rows="k"), "Col2Im needs known sizes"),
    ],
)
def test_sizes_that_disagree(text, said):
    with pytest.raises(QuakeError, match=said):
        quake_tvm.compile(model(text))
