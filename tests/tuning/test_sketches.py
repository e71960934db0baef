"""MetaSchedule's candidates: what their context needs."""

import sys

import pytest

from quake_tvm.machines.targets import target
from quake_tvm.schedules.space import candidates
from quake_tvm.tuning.cost_model import CostModel
from quake_tvm.tuning.sketches import Sketches, context_of
from tests.tuning.fakes import kernel_of, product

SLOW = "tvm.s_tir.tensor_intrin"


@pytest.mark.skipif(SLOW in sys.modules, reason="imported already")
def test_intrinsics_of_other_machines_are_not_imported():
    kernel = kernel_of(product()).function
    context = context_of(kernel, target(), seed=1)
    own = candidates(kernel, target())[0]
    assert Sketches(kernel, context, own, CostModel("random"), 16, 4).propose()
    assert SLOW not in sys.modules
