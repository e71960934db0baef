"""Shapes of inputs and outputs as users read them."""

from tvm import relax
from tvm import tirx as tir

from quake_tvm.importers.interface import inputs_of, outputs_of
from quake_tvm.passes.relax.graph import extents_text
from tests.helpers import module


def test_computed_extents_are_plain_expressions():
    n = tir.Var("frames", "int64")
    mod = module(lambda x: relax.op.strided_slice(x, [1], [1], [n], [2]), (1, n))
    assert inputs_of(mod)[0].shape == (1, "frames")
    assert outputs_of(mod)[0].shape == (1, "max(frames, 1) // 2")


def test_computed_extents_of_a_report_stand_in_brackets():
    n = tir.Var("n", "int64")
    assert extents_text([1, tir.IntImm("int64", 2), n, n // 2 - 1]) == "1x2xnx(n // 2 - 1)"
    assert extents_text([]) == "scalar"
