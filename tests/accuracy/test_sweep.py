"""Sweeps: kernels give what is recorded, and every kind of error is detected."""

import numpy as np
import pytest

from quake_tvm.accuracy import kernel, record, sweep, sweeps
from quake_tvm.accuracy.float32_inputs import BLOCK, STRATUM, blocks, every_magnitude, stratum
from quake_tvm.accuracy.page import wrong
from quake_tvm.accuracy.sweeps import Sweep, block_hash, combined
from quake_tvm.machines.targets import target
from quake_tvm.numerics.ladder import METHODS
from quake_tvm.numerics.operators import OPERATORS, bound
from tests.numerics.test_bits import ELEMENTWISE, require
from tests.test_extending import ROW

INFINITY = 0x7F800000


@pytest.mark.parametrize("operator", ELEMENTWISE)
def test_kernels_are_what_is_recorded(operator):
    recorded = record.rungs(operator)
    for method, (found, digest) in sweep(operator, target(), STRATUM, settle=True).items():
        promised, whole = bound(operator, method), recorded[method]
        assert promised.relative / 2 < found.relative <= promised.relative, method
        assert wrong(found.counts) == 0, method
        assert found.monotone in (promised.monotone, True, None), method
        for name, measure in found.measures.items():
            if name != "fall":  # in a stratum, "fall" compares inputs that are not neighbours
                assert measure.largest <= whole[name]["max"], (method, name)
        assert digest == whole["stratum"], method


@pytest.mark.parametrize("operator", ELEMENTWISE)
def test_shorter_vectors_give_the_same_results(operator):
    on = "x86-64-v3"
    require(on)
    for method in METHODS:
        run, hashes = kernel(operator, method, target(on)), []
        for _, magnitudes in blocks(stratum(STRATUM)):
            x = magnitudes.view(np.float32)
            hashes.append(block_hash(run(x), run(-x)))
        assert combined(hashes) == record.rungs(operator)[method]["stratum"], method


def test_parts_add_up_to_the_whole():
    one, middle, end = 0x3F800000, 0x3F800000 + BLOCK, 0x3F800000 + 2 * BLOCK
    two = Sweep("tanh", ["quake2"], target())
    whole, hashes = two.run(every_magnitude(one, end))["quake2"]
    first, before = two.run(every_magnitude(one, middle))["quake2"]
    second, after = two.run(every_magnitude(middle, end))["quake2"]
    assert (first + second).to_dict() == whole.to_dict()
    assert before + after == hashes
    assert len(set(hashes)) == 2


def test_nan_is_right_where_the_exact_value_is_nan(monkeypatch):
    monkeypatch.setitem(OPERATORS, "gate", ROW)  # -inf times 0
    last = every_magnitude(INFINITY - BLOCK, INFINITY + 1)
    found, _ = Sweep("gate", ["quake1"], target()).run(last)["quake1"]
    assert found.counts["special"] == 0


def test_blocks_know_what_comes_before():
    found = list(every_magnitude(0, 2 * BLOCK))
    assert [before for before, _ in found] == [0, BLOCK - 1]
    assert [m[0] for _, m in found] == [0, BLOCK]
    magnitudes = stratum(1 << 19)
    assert np.all(np.diff(magnitudes.astype(np.int64)) > 0)
    assert {0, INFINITY, INFINITY + 1, 0x7FFFFFFF} <= set(magnitudes.tolist())
    assert [before for before, _ in blocks(magnitudes)] == [0, *magnitudes[BLOCK - 1 :: BLOCK][:2]]


def faulty(monkeypatch, operator, fault, magnitudes):
    """The findings for a kernel whose results are changed by a fault."""

    def built(*arguments):
        run = kernel(*arguments)
        return lambda x: fault(x, run(x)).astype(np.float32)

    monkeypatch.setattr(sweeps, "kernel", built)
    parts = [(int(magnitudes[0]), np.uint32(magnitudes))]
    return Sweep(operator, ["quake5"], target()).run(parts)["quake5"][0]


@pytest.mark.parametrize(
    ("operator", "fault", "counts"),
    [
        ("tanh", lambda x, q: np.where(x == 1, -q, q), {"sign": 1, "odd": 1, "falls": 1}),
        ("tanh", lambda x, q: np.where(np.abs(x) == 1, q * 1.5, q), {"range": 2, "falls": 2}),
        ("tanh", lambda x, q: np.where(x == 0, np.abs(q), q), {"odd": 1}),
        ("sigmoid", lambda x, q: np.where(x == -1, np.nan, q), {"nan": 1}),
        ("sigmoid", lambda x, q: np.nan_to_num(q, nan=0.5), {"nan": 2, "falls": 2}),
        ("sigmoid", lambda x, q: np.where(x == -np.inf, 1e-30, q), {"special": 1}),
        ("sigmoid", lambda x, q: np.where(np.signbit(x) & (x == 0), 0.75, q), {"falls": 1}),
        ("exp", lambda x, q: np.where(x == np.inf, 3e38, q), {"special": 1, "late": 1}),
        ("exp", lambda x, q: np.where(x == -2, -q, q), {"sign": 1, "range": 1, "falls": 1}),
        ("gelu", lambda x, q: np.where(x == 2, -q, q), {"sign": 1}),
    ],
)
def test_faults_are_seen(monkeypatch, operator, fault, counts):
    magnitudes = np.float32([0, 1, 2, np.inf, np.nan]).view(np.uint32)
    found = faulty(monkeypatch, operator, fault, magnitudes)
    assert {k: n for k, n in found.counts.items() if n and k != "finite"} == counts


def test_the_witness_is_where_the_error_is(monkeypatch):
    magnitudes = np.linspace(0, 4, 101, dtype=np.float32).view(np.uint32)
    at = -float(magnitudes.view(np.float32)[40])
    found = faulty(monkeypatch, "exp", lambda x, q: np.where(x == at, q * 1.25, q), magnitudes)
    for name in ("relative", "ulp", "fall"):
        assert found.measures[name].at == at
    assert found.relative == pytest.approx(0.25, rel=1e-6)


def test_progress_counts_inputs():
    seen = []
    sweep("exp", target(), 1 << 19, ["quake1"], seen.append)
    assert sum(seen) == 2 * len(stratum(1 << 19))
    assert len(seen) == 3
