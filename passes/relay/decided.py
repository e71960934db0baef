"""Whether a kernel contains an operator that the graph passes have decided about.

TVM copies no attribute of a fused function to its kernel. But it compiles one kernel at a time: it
asks each operator of the fused function for its strategy, then it runs the passes over the kernel.
So the strategies of these operators are wrapped. A wrapped strategy notes the context in which it
was asked, and returns what TVM's own strategy returns.

The wrappers are installed once for all builds, because TVM has one registry of strategies.
"""

import threading

import tvm
from tvm import relay, te
from tvm.relay.op import op as registry

# TVM's own approximations, which no recogniser looks for.
APPROXIMATIONS = ("fast_exp", "fast_tanh", "fast_erf", "nn.fast_softmax")
# The operators with an exponential that the graph passes lower, or leave exact on purpose.
_DECIDED = ("exp", "tanh", "erf", "sigmoid", "nn.softmax", "nn.log_softmax", *APPROXIMATIONS)
_STRATEGY = "FTVMStrategy"
# Above the level of TVM's own strategies and of those that users register by default.
_LEVEL = 20

_noted = threading.local()


def _note() -> None:
    _noted.context = tvm.transform.PassContext.current()


def forget() -> None:
    """Forget the operators that were asked for their strategies and then not compiled."""
    _noted.context = None


def in_kernel() -> bool:
    """Whether the kernel that is being compiled contains such an operator.

    A pass over the kernels calls this once for each kernel. What other contexts compile in between
    does not count.
    """
    context = getattr(_noted, "context", None)
    forget()
    return context is not None and context.same_as(tvm.transform.PassContext.current())


def _wrap(name: str) -> None:
    own = tvm.ir.Op.get(name).get_attr(_STRATEGY)

    @tvm.target.override_native_generic_func(f"quake_decided_{name}_strategy")
    def strategy(
        attrs: tvm.ir.Attrs, inputs: list[te.Tensor], out: relay.Type, target: tvm.target.Target
    ) -> relay.op.OpStrategy:
        _note()
        return own(attrs, inputs, out, target)

    registry.register_strategy(name, strategy, _LEVEL)


def install() -> None:
    """Wrap TVM's strategies, for all builds from now on."""
    for name in _DECIDED:
        _wrap(name)
