"""The tables of counted layers and of projections. Nothing is counted or timed here."""

import numpy as np
import pytest

import quake_tvm
from quake_tvm.bench.static import Kernel
from quake_tvm.emulation.cost import Cost
from quake_tvm.lookup import counted, projections
from quake_tvm.lookup.projections import BH4, DENSE, KINDS, layer, products


def kernel(instructions, cycles):
    return Kernel("kernel", "key", 1, Cost(instructions, cycles))


def test_a_row_of_counts():
    kinds = {
        "layer": [kernel(16_000, 8_000.0), kernel(32_000, 16_000.0)],
        "bfloat16": [kernel(8_000, 4_000.0), kernel(8_000, 1_600.0)],
    }
    *_, first, second = counted.table({("cortex-a72", 384): kinds}).splitlines()
    assert first == "| cortex-a72 | 384 | layer | 3.0 | 1.5 | | |"
    # 128 tables, 768 bytes of each
    assert second == "| cortex-a72 | 384 | look-up, bfloat16 | 1.0 | 0.3 | 0.1 | 1,536 |"


def test_a_row_of_projections():
    row = projections.table({(384, 16): dict(zip(KINDS, (16e-6, 8e-6), strict=True))})
    # BH4: twice four products of eight blocks of 64 x 64, and of 8 x 8 for each column of a block
    dense, bh4 = 384 * 1024, 2 * 4 * (8 * 64 * 64 + 64 * 8 * 8)
    assert row.splitlines()[-1] == f"| 384 | 16 | {dense:,} | {bh4:,} | 1.00 | 0.50 |"
    assert products(384, BH4) == bh4


@pytest.mark.parametrize("kind", [DENSE, BH4])
def test_layers_compile(kind, monkeypatch):
    monkeypatch.setitem(projections.TABLES, 96, 6)
    model = layer(96, kind)
    (y,) = quake_tvm.compile(model, shapes={"x": (3, 96)}).run(np.ones((3, 96), np.float32))
    assert y.shape == (3, 96)
