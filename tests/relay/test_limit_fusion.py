"""Relay's kernels of chains: with the length their number grows, but their size does not."""

import numpy as np
import pytest
import tvm
from tvm import relay

import quake_tvm
from quake_tvm.machines.targets import target
from quake_tvm.passes.relay import limit_fusion
from quake_tvm.passes.relay.graph import has_mark

from .modules import run

LINKS = {
    "tanh": (relay.tanh, np.tanh),
    "residual": (lambda x: x + relay.tanh(x), lambda x: x + np.tanh(x)),
    "leaky": (lambda x: relay.nn.leaky_relu(x, 0.5), lambda x: np.where(x > 0, x, x / 2)),
}


def chain(link: str, length: int) -> tvm.IRModule:
    """A chain of ``length`` links."""
    value = x = relay.var("x0", shape=(2, 64))
    for _ in range(length):
        value = LINKS[link][0](value)
    return tvm.IRModule.from_expr(relay.Function([x], value))


def kernels(mod: tvm.IRModule) -> list[relay.Function]:
    """The functions that FuseOps and the limit leave."""
    fuse = [relay.transform.InferType(), relay.transform.FuseOps(2)]
    fused = limit_fusion.limit(tvm.transform.Sequential(fuse, opt_level=3)(mod))
    found: list[relay.Expr] = []
    relay.analysis.post_order_visit(fused["main"], found.append)
    return [expr for expr in found if has_mark(expr, "Primitive")]


@pytest.mark.parametrize("link", LINKS)
def test_kernels_are_no_larger_for_a_longer_chain(link):
    few, many = kernels(chain(link, 40)), kernels(chain(link, 80))
    assert len(few) < len(many) <= 2 * len(few) + 1
    assert not any(limit_fusion._cuts(kernel) for kernel in many)


def test_the_end_is_sure_where_tvm_has_cut_too():
    """FuseOps fuses at most 256 operators. Both sides of its cut are too large for the limit."""
    many = kernels(chain("tanh", 300))
    assert not any(limit_fusion._cuts(kernel) for kernel in many)


@pytest.mark.parametrize("method", ["exact", "quake5"])
@pytest.mark.parametrize("link", LINKS)
def test_a_long_chain_gives_what_its_links_do(link, method):
    x = np.linspace(-1.5, 1.5, 128, dtype="float32").reshape(2, 64)
    expected = x.astype("float64")
    for _ in range(24):
        expected = LINKS[link][1](expected)
    with quake_tvm.PassContext(opt_level=3, method=method):
        lib = relay.build(chain(link, 24), target("native"))
    assert np.allclose(run(lib, x), expected, rtol=1e-4, atol=1e-5)
