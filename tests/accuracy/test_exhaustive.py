"""The exhaustive run covers every float32 input, and its worker processes leave nothing behind."""

import os
import sys

import pytest

from quake_tvm import QuakeError
from quake_tvm.accuracy import exhaustive, record
from quake_tvm.accuracy.float32_inputs import BLOCK, every_magnitude
from quake_tvm.accuracy.sweeps import Sweep, combined
from quake_tvm.machines.targets import target
from quake_tvm.numerics.ladder import METHODS
from quake_tvm.numerics.operators import bound
from tests.numerics.test_bits import ELEMENTWISE
from tests.processes import children


@pytest.mark.exhaustive
@pytest.mark.parametrize("operator", ELEMENTWISE)
def test_every_float32(operator):
    recorded = record.rungs(operator)
    for method, (found, digest) in exhaustive.exhaustive(operator, METHODS, "native").items():
        assert found.as_bound() == bound(operator, method)
        assert {**recorded[method], **found.to_dict(), "hash": digest} == recorded[method]


@pytest.fixture
def few(monkeypatch):
    """Only a few magnitudes, in small parts."""
    monkeypatch.setattr(exhaustive, "MAGNITUDES", 6 * BLOCK)
    monkeypatch.setattr(exhaustive, "PART", 2 * BLOCK)
    before = set(children(os.getpid()))
    yield 6 * BLOCK
    assert set(children(os.getpid())) == before


def test_processes_find_what_one_finds(few):
    seen = []
    (found,) = exhaustive.exhaustive("erf", ["quake1"], "native", seen.append).values()
    whole, hashes = Sweep("erf", ["quake1"], target()).run(every_magnitude(0, few))["quake1"]
    assert (found[0].to_dict(), found[1]) == (whole.to_dict(), combined(hashes))
    assert seen == [4 * BLOCK] * 3


def test_an_interrupt_ends_them(few):
    def interrupt(done):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        exhaustive.exhaustive("erf", ["quake1"], "native", interrupt)


def test_a_process_that_fails_says_why(few):
    with pytest.raises(QuakeError, match=r"exp cannot be measured: .*quake9"):
        exhaustive.exhaustive("exp", ["quake9"], "native")


def test_mpmath_is_missed_before_anything_starts(few, monkeypatch):
    from quake_tvm.numerics.reference import multiprecision

    monkeypatch.setitem(sys.modules, "mpmath", None)
    multiprecision.cache_clear()
    with pytest.raises(QuakeError, match="pip install mpmath"):
        exhaustive.exhaustive("exp", ["quake1"], "native")
