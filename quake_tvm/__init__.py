"""QuAKE for Apache TVM: exponential nonlinearities as bit manipulation, with proven bounds.

The public names are those in ``__all__``. TVM is loaded when one of them is first used.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from .support.interrupts import interrupts_wait

if TYPE_CHECKING:
    from .boards.client import connect
    from .compiler import compile
    from .errors import QuakeError
    from .integrations.quantizer import quantize
    from .machines.targets import target, targets
    from .norms.scales import norm_scales
    from .numerics.operators import bound
    from .passes.quake import QuAKE
    from .passes.relax.pipeline import pipeline
    from .planning.planner import plan
    from .relay_context import PassContext
    from .runtime.model import Model, load
    from .site_plan import Plan
    from .tuning.tune import tune

__version__ = "0.1.0"
__all__ = [
    "Model",
    "PassContext",
    "Plan",
    "QuAKE",
    "QuakeError",
    "bound",
    "compile",
    "connect",
    "load",
    "norm_scales",
    "pipeline",
    "plan",
    "quantize",
    "target",
    "targets",
    "tune",
]

_HOME = {
    "Model": ".runtime.model",
    "PassContext": ".relay_context",
    "Plan": ".site_plan",
    "QuAKE": ".passes.quake",
    "QuakeError": ".errors",
    "bound": ".numerics.operators",
    "compile": ".compiler",
    "connect": ".boards.client",
    "load": ".runtime.model",
    "norm_scales": ".norms.scales",
    "pipeline": ".passes.relax.pipeline",
    "plan": ".planning.planner",
    "quantize": ".integrations.quantizer",
    "target": ".machines.targets",
    "targets": ".machines.targets",
    "tune": ".tuning.tune",
}


# Names that only one of the two TVMs supports, and what to use with the other TVM.
_RELAX = dict.fromkeys(
    ("Model", "compile", "connect", "load", "norm_scales", "pipeline", "plan"),
    "PassContext around relay.build",
) | {"tune": "QuAKE, and MetaSchedule as Relay has it"}
_RELAY = {"PassContext": "pipeline(target) as tvm.compile's relax_pipeline"}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    with interrupts_wait():
        tvm_version = import_module(".tvm_version", __name__)  # raises if TVM is missing or broken
        elsewhere = _RELAX if tvm_version.RELAY else _RELAY
        if name in elsewhere:
            value = _refusal(name, "Relax" if tvm_version.RELAY else "Relay", elsewhere[name])
        else:
            value = getattr(import_module(_HOME[name], __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return [*__all__, "__version__"]


def _refusal(name: str, wanted: str, instead: str) -> Any:
    def refuse(*_: Any, **__: Any) -> None:
        from .errors import QuakeError

        raise QuakeError(
            f"quake_tvm.{name} needs the TVM that has {wanted}; with this one use "
            f"quake_tvm.{instead}"
        )

    return refuse
