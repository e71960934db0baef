"""Chains of operators in Relay, and their compilation."""

import tvm
from tvm import relay

from quake_tvm.machines.targets import target
from quake_tvm.relay_context import PassContext

# The function of a link.
LINKS = {
    "tanh(x)": relay.tanh,
    "x + tanh(x)": lambda x: relay.add(x, relay.tanh(x)),
}


def chain(name: str, length: int) -> tvm.IRModule:
    """A chain of ``length`` links on a small tensor."""
    value = x = relay.var("x", shape=(2, 64), dtype="float32")
    for _ in range(length):
        value = LINKS[name](value)
    return tvm.IRModule.from_expr(relay.Function([x], value))


def build(mod: tvm.IRModule, method: str) -> None:
    """Build a chain completely."""
    with PassContext(opt_level=3, method=method):
        relay.build(mod, target("native"))
