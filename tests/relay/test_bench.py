"""``quake-tvm bench`` on Relay: all contenders compute the same, and the table lists them."""

import pytest

from quake_tvm.bench import cases, compare, peers
from quake_tvm.machines.targets import target


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cases, "SIZES", (33,))
    monkeypatch.setattr(cases, "ROWS", ((3, 5),))
    monkeypatch.setattr(cases, "PRODUCT", (4, 8, 16))


@pytest.mark.parametrize("name", cases.KERNELS)
def test_everyone_computes_the_same_kernel(small: None, name: str) -> None:
    (case,) = cases.kernels([name])
    job = peers.job(case, target(), 1)
    exact = peers.quake("exact")(job).run()
    for peer, build in peers.TVM.items():
        assert compare.difference(build(job).run(), exact) < 1e-5, peer
    if name != "gelu_tanh":  # TVM 0.16's importer reads it as gelu
        assert compare.difference(peers.PEERS["ONNX Runtime"](job).run(), exact) < 1e-5


def test_every_contender_has_its_row(small: None) -> None:
    (case,) = cases.kernels(["sigmoid"])
    result = compare.compare(case, ["quake2"], target(), 1, 1)
    rows = {row.contender: row for row in result.rows}
    assert {"quake2", "multiply", *peers.TVM} <= rows.keys()
    assert rows["quake2"].lowered == (1, 1)
    assert rows["exact"].lowered == (0, 1)
    assert rows["TVM"].difference == 0
