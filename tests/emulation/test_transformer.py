"""A pretrained transformer, compiled here for a board and run on an emulated one.

On every machine its products sum in the order of k and are fused, and no other sum in it depends on
the machine. So the whole model gives the same bits as here. The exception is ``exact``, which calls
libm: each machine has its own libm.
"""

import numpy as np
import pytest
import tvm

import model_data
import quake_tvm
from quake_tvm.emulation.board import Board
from tests.emulation.machines import emulated

TOKENS = 16
SHAPES = {"input_ids": (1, TOKENS), "attention_mask": (1, TOKENS)}
FEED = {
    "input_ids": np.random.default_rng(0).integers(1000, 20000, (1, TOKENS)),
    "attention_mask": (np.arange(TOKENS) < 12).astype(np.int64)[None],
}


@pytest.fixture(scope="module")
def board():
    """A connection to an emulated board, and its target."""
    target = emulated("cortex-a72")
    with Board(target) as own, quake_tvm.connect(f"127.0.0.1:{own.port}") as connection:
        yield target, connection


def build(target: tvm.target.Target, method: str) -> quake_tvm.Model:
    return quake_tvm.compile(model_data.sentence_encoder(), target, method=method, shapes=SHAPES)


@pytest.mark.parametrize("method", ["quake2", "quake5"])
def test_same_bits_as_here(method, board):
    target, connection = board
    here = build(quake_tvm.target(), method).run(FEED)
    there = connection.load(build(target, method)).run(FEED)
    assert len(here) == len(there) > 0
    for ours, theirs in zip(here, there, strict=True):
        assert np.all(np.isfinite(ours))
        assert np.array_equal(ours, theirs)


def test_exact_is_as_exact_as_here(board):
    target, connection = board
    here = build(quake_tvm.target(), "exact").run(FEED)
    there = connection.load(build(target, "exact")).run(FEED)
    for ours, theirs in zip(here, there, strict=True):
        np.testing.assert_allclose(theirs, ours, rtol=0, atol=1e-5)
