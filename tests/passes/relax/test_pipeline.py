"""The pipeline's phases by name, and the dump of each phase."""

import numpy as np
import pytest
import tvm
from tvm import relax

from quake_tvm.errors import QuakeError
from quake_tvm.machines.targets import target
from quake_tvm.options import Options
from quake_tvm.passes.relax.pipeline import PHASES, Pipeline
from quake_tvm.schedules import RULE
from quake_tvm.tvm_version import tir
from tests.helpers import module


def kernels(mod):
    return [f for _, f in mod.functions_items() if isinstance(f, tir.PrimFunc)]


@pytest.fixture
def passes():
    with target():
        yield Pipeline(target(), Options.parse("quake2"))


def gelu():
    return module(
        lambda x: relax.op.nn.gelu(relax.op.matmul(x, relax.const(np.eye(8, dtype="f")))), (3, 8)
    )


def test_phases_add_up(passes):
    lowered = passes.upto("lower")(gelu())
    assert len(kernels(lowered)) == 1  # the product is still an operator
    fused = passes.between("fuse", "fuse")(lowered)
    assert [RULE in kernel.attrs for kernel in kernels(fused)] == [False]
    (kernel,) = kernels(passes.between("schedule", "schedule")(fused))
    assert kernel.attrs[RULE] == "matmul"
    (other,) = kernels(passes.upto("schedule")(gelu()))
    tvm.ir.assert_structural_equal(kernel, other)


def test_a_phase_that_is_none(passes):
    with pytest.raises(QuakeError, match="melt"):
        passes.upto("melt")


def test_dump(passes, tmp_path):
    built = passes.dump(gelu(), tmp_path / "phases")
    files = sorted(path.name for path in (tmp_path / "phases").iterdir())
    assert files == [f"{number}_{name}.py" for number, name in enumerate(PHASES, 1)]
    texts = [(tmp_path / "phases" / name).read_text() for name in files]
    assert ["quake.rule" in text for text in texts] == [False, False, False, True, True]
    tvm.ir.assert_structural_equal(built, passes.upto("finish")(gelu()))
