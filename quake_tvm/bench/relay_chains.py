"""Chains of operators in Relay, and building them."""

import tvm
from tvm import relay

from quake_tvm.machines.targets import target
from quake_tvm.relay_context import PassContext

# What a link computes of the one before.
LINKS = {
    "tanh(x)": relay.tanh,
    "x + tanh(x)": lambda x: relay.add(x, relay.tanh(x)),
}


def chain(name: str, length: int) -> tvm.IRModule:
    """So many links, one behind the other, on a small tensor."""
    value = x = relay.var("x", shape=(2, 64), dtype="float32")
    for _ in range(length):
        value = LINKS[name](value)
    return tvm.IRModule.from_expr(relay.Function([x], value))


def build(mod: tvm.IRModule, method: str) -> None:
    """All that building is."""
    with PassContext(opt_level=3, method=method):
        relay.build(mod, target("native"))
