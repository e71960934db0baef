"""A pretrained transformer, compiled here for a board and run on an emulated one.

On every machine its products sum in the order of k and are fused, and no other sum in it depends on
the machine. So the whole model gives the same bits as here. The exception is ``exact``, which calls
libm: each machine has its own libm.
"""

import numpy as np
import pytest

import model_data
import quake_tvm
from quake_tvm.emulation.board import Board
from quake_tvm.machines.targets import runs_here
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


def build(target, method: str, precision: str = "float32") -> quake_tvm.Model:
    model = model_data.sentence_encoder()
    return quake_tvm.compile(model, target, method, shapes=SHAPES, precision=precision)


@pytest.mark.parametrize("method", ["quake2", pytest.param("quake5", marks=pytest.mark.sweep)])
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


@pytest.fixture(scope="module")
def bfloat16_here():
    """The result of products of bfloat16 numbers, here."""
    return build("native", "quake2", "bfloat16").run(FEED)


def test_bfloat16_without_the_instruction(bfloat16_here):
    target = quake_tvm.target("x86-64-v3")
    if not runs_here(target):
        pytest.skip("this machine does not run x86-64-v3")
    for found, wanted in zip(
        build(target, "quake2", "bfloat16").run(FEED), bfloat16_here, strict=True
    ):
        assert np.array_equal(found, wanted)


# The second CPU has instructions for bfloat16.
@pytest.mark.parametrize("name", ["cortex-a72", "neoverse-v1"])
def test_bfloat16_on_arm(name, bfloat16_here):
    target = emulated(name)
    model = build(target, "quake2", "bfloat16")
    assert ("bfmlalt" in model.kernels.inspect_source("asm")) == (name == "neoverse-v1")
    with Board(target) as own, quake_tvm.connect(f"127.0.0.1:{own.port}") as connection:
        for found, wanted in zip(connection.load(model).run(FEED), bfloat16_here, strict=True):
            assert np.array_equal(found, wanted)
