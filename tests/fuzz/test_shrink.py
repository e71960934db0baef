"""Shrinking, the printed program, and children that die."""

import faulthandler
import os
import signal
import time

import numpy as np
import pytest

from tests.fuzz.check import RIGHT, WRONG, Verdict
from tests.fuzz.forked import in_children
from tests.fuzz.generate import generate
from tests.fuzz.program import program
from tests.fuzz.shrink import shrunk


def _seeds_with(operator, count=2):
    found = (s for s in range(400) if operator in generate(s).operators)
    return [next(found) for _ in range(count)]


@pytest.mark.parametrize("operator", ["Tanh", "MatMul", "Slice"])
def test_a_planted_fault_shrinks_to_its_node(operator):
    """The check treats every graph with this operator as wrong."""

    def check(case):
        kind = WRONG if operator in case.operators else RIGHT
        return Verdict(case.seed, "exact", kind)

    for seed in _seeds_with(operator):
        smallest = shrunk(generate(seed), Verdict(seed, "exact", WRONG), check)
        assert [n.op_type for n in smallest.model.graph.node] == [operator]
        assert sum(v.size for v in smallest.feeds[0].values()) <= 64


def test_the_program_gives_what_the_graph_gives(capsys):
    case = next(c for s in range(100) if {"Tanh"} <= (c := generate(s)).operators and not c.dynamic)
    exec(compile(program(case, "exact"), "program", "exec"), {})
    theirs, ours = capsys.readouterr().out.split("quake_tvm\n")
    assert theirs.startswith("onnxruntime")
    assert len(ours.splitlines()) > 0


def test_children_that_die_are_told():
    def work(item):
        yield f"begun {item}"
        if item == "killed":
            faulthandler.disable()  # the log of the tests shows no planted crash
            os.kill(os.getpid(), signal.SIGSEGV)
        if item == "asleep":
            time.sleep(60)
        if item == "raised":
            raise ValueError("planted")
        yield f"ended {item}"

    items = ["right", "killed", "raised"]
    ended = {e.item: e for e in in_children(work, items, jobs=2)}
    ended |= {e.item: e for e in in_children(work, ["asleep"], deadline=1)}
    assert set(ended) == {*items, "asleep"}
    assert ended["right"].lines == ["begun right", "ended right"]
    assert ended["right"].death == ""
    assert ended["killed"].death == "SIGSEGV"
    assert "no end" in ended["asleep"].death
    assert "ValueError: planted" in ended["raised"].death


def test_arrays_are_written_in_full():
    from tests.fuzz.program import _array

    for value in (
        np.array([1.5, np.nan, -np.inf], np.float32),
        np.zeros((2, 0), np.int64),
        np.arange(12).reshape(3, 4),
        np.full((3, 3), np.inf, np.float16),
        np.array(True),
    ):
        again = eval(_array(value), {"np": np, "nan": np.nan, "inf": np.inf})
        np.testing.assert_array_equal(again, value)
        assert again.dtype == value.dtype
