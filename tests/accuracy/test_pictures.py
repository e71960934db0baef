"""Pictures are small, identical for identical errors, and show the compiled kernels."""

import re
import sys

import numpy as np
import pytest

from quake_tvm import QuakeError
from quake_tvm.accuracy import latency, pictures
from quake_tvm.bench import cases
from quake_tvm.machines.targets import target
from quake_tvm.numerics.ladder import METHODS
from quake_tvm.numerics.operators import bound

LATENCY = {
    "sizes": [
        {
            "elements": elements,
            "contenders": {
                "quake2": {"ns": 0.1, "error": 1e-3},
                "libm": {"ns": 5.0, "error": 1e-7},
                "lost": {"ns": -0.1, "error": 1e-7},
            },
        }
        for elements in (4096, 1 << 24)
    ]
}
DRAW = {
    "errors": lambda path: pictures.draw_errors("tanh", METHODS, target(), path),
    "ulps": lambda path: pictures.draw_ulps("exp", {"quake1": [9, 5, 1], "quake5": [15]}, path),
    "latency": lambda path: pictures.draw_latency("exp", LATENCY, path),
}


@pytest.mark.parametrize("kind", DRAW)
def test_pictures(kind, tmp_path):
    pytest.importorskip("matplotlib")
    paths = [tmp_path / folder / "picture.svg" for folder in ("one", "other")]
    for path in paths:
        path.parent.mkdir()
        DRAW[kind](path)
    one, other = (path.read_text() for path in paths)
    assert one == other
    assert len(one) < 100_000
    assert "<dc:date>" not in one
    names = {"errors": METHODS, "ulps": ["quake1", "quake5"], "latency": ["quake2", "libm"]}[kind]
    texts = re.findall(r"<text[^>]*>([^<]*)</text>", one)
    assert set(names) <= set(texts)
    assert "lost" not in texts


def test_the_curve_is_within_the_bound_and_reaches_it():
    x, low, high = pictures.curve("exp", "quake2", target())
    assert (x[0], len(x)) == (-pictures.RANGE, pictures.STEPS)
    assert np.all(low <= high)
    promised = bound("exp", "quake2").relative
    assert 0.99 * promised < high.max() <= promised
    assert 0.99 * promised < -low.min() <= promised


def test_folders_that_cannot_be_written(tmp_path, monkeypatch):
    pytest.importorskip("matplotlib")
    file = tmp_path / "file"
    file.touch()
    with pytest.raises(QuakeError, match="cannot write"):
        pictures.require(file)
    pictures.require(tmp_path / "new" / "folder")
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(QuakeError, match="pip install matplotlib"):
        pictures.require(tmp_path)


def test_latency():
    small, *_ = cases.kernels(["exp"])
    found = latency.measure("exp", ["quake2"], target(), [small], rounds=1)
    (size,) = found["sizes"]
    assert size["elements"] == small.elements
    contenders = size["contenders"]
    assert {"quake2", "exact"} <= set(contenders)
    promised = bound("exp", "quake2").relative
    assert promised / 2 < contenders["quake2"]["error"] <= promised
    assert contenders["exact"]["error"] < 1e-6
