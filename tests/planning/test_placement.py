"""Which kernel calls contain each site."""

import pytest

import quake_tvm
from quake_tvm.machines.targets import target
from quake_tvm.planning.placement import INSIDE, placement
from tests.planning.models import gated, hidden, network


def test_sites_in_the_model_s_order():
    where = placement(network(), target(), "quake5")
    assert list(where.sites) == [1, 2, 3, 4]
    names = [operator for operator, _ in where.sites.values()]
    assert names == ["softmax", "gelu", "softmax", "gelu"]
    assert [set(call) for call in where.calls if call] == [{1}, {2}, {3}, {4}]


def test_two_sites_in_a_kernel():
    where = placement(gated(), target(), "quake5")
    assert {name for name, _ in where.sites.values()} == {"sigmoid", "tanh"}
    assert [set(call) for call in where.calls if call] == [{1, 2}]


def test_what_only_a_kernel_has():
    where = placement(hidden(), target(), "quake5")
    assert [set(call) for call in where.calls if call] == [{INSIDE, 1}]
    assert [operator for operator, _ in where.sites.values()] == ["gelu"]


@pytest.mark.parametrize("model", [network, gated, hidden])
def test_numbers_leave_no_trace(model):
    numbered = placement(model(), target(), "quake5")
    compiled = quake_tvm.compile(model(), method="quake5")
    assert "site" not in compiled.report.to_json().replace('"sites"', "")
    # Equal kernels are merged again: there are no more kernels than calls.
    assert len(compiled.report.kernels) <= len(numbered.calls)
