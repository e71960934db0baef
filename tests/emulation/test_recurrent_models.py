"""Whole models of LSTM, GRU and RNN: the same bits on any machine and any number of threads."""

import os
import subprocess
from pathlib import Path

import numpy as np
import onnx
import pytest

import quake_tvm
from quake_tvm.emulation.board import Board
from quake_tvm.machines.targets import runs_here
from tests.emulation.machines import emulated
from tests.processes import python
from tests.recurrent import GATES, Layer, model

METHOD = "quake4"
# More rows than a block has; units that fill no panel.
STEPS, ROWS, FEATURES, UNITS = 20, 21, 33, 70
RUN = """
import sys
import numpy as np
import quake_tvm

model, feeds, results = sys.argv[1:]
np.savez(results, *quake_tvm.load(model).run(dict(np.load(feeds))))
"""


def layers() -> tuple[onnx.ModelProto, dict[str, np.ndarray]]:
    """A model of an LSTM, a GRU and an RNN beside each other, and its inputs."""
    rng = np.random.default_rng(0)

    def normal(*shape: int) -> np.ndarray:
        return rng.standard_normal(shape, np.float32) / np.float32(np.sqrt(shape[-1]))

    return model(
        [
            Layer(
                operator,
                8 * normal(STEPS, ROWS, FEATURES),
                normal(2, gates * UNITS, FEATURES),
                normal(2, gates * UNITS, UNITS),
                normal(2, 2 * gates * UNITS),
                attributes={"hidden_size": UNITS, "direction": "bidirectional"},
            )
            for operator, gates in GATES.items()
        ]
    )


def with_threads(path: Path, feeds: Path, threads: int) -> list[np.ndarray]:
    """The results of an exported model, run by this many threads."""
    results = path.with_name(f"{threads}.npz")
    command = python(RUN, path, feeds, results)
    environment = {**os.environ, "TVM_NUM_THREADS": str(threads)}
    subprocess.run(command, check=True, env=environment, timeout=900)
    return list(np.load(results).values())


@pytest.mark.slow
def test_same_bits(tmp_path):
    network, feeds = layers()
    np.savez(tmp_path / "feeds.npz", **feeds)
    expected = quake_tvm.compile(network, "x86-64-v3", METHOD).run(feeds)
    assert all(np.isfinite(each).all() for each in expected)
    found = {}
    for name in ["x86-64-v3", "x86-64-v4"]:
        target = quake_tvm.target(name)
        if runs_here(target):
            path = tmp_path / f"{name}.so"
            quake_tvm.compile(network, target, METHOD).export(path)
            for threads in (1, 3):
                results = with_threads(path, tmp_path / "feeds.npz", threads)
                found[name, threads] = results
    arm = emulated("cortex-a72")
    with Board(arm) as board, quake_tvm.connect(f"127.0.0.1:{board.port}") as connection:
        found["cortex-a72"] = connection.load(quake_tvm.compile(network, arm, METHOD)).run(feeds)
    for results in found.values():
        for ours, theirs in zip(results, expected, strict=True):
            np.testing.assert_array_equal(ours, theirs)
