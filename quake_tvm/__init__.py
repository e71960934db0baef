"""QuAKE for Apache TVM: exponential nonlinearities as bit manipulation, with proven bounds.

The public contract is what ``__all__`` names. TVM is loaded when one of them is first used.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .compiler import compile
    from .context import PassContext
    from .errors import QuakeError
    from .model import Model, load
    from .named_targets import target, targets
    from .operators import bound
    from .passes.pipeline import pipeline
    from .passes.quake import QuAKE
    from .planning.plan import Plan
    from .planning.planner import plan
    from .remote import connect
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
    "pipeline",
    "plan",
    "target",
    "targets",
    "tune",
]

_HOME = {
    "Model": ".model",
    "PassContext": ".context",
    "Plan": ".planning.plan",
    "QuAKE": ".passes.quake",
    "QuakeError": ".errors",
    "bound": ".operators",
    "compile": ".compiler",
    "connect": ".remote",
    "load": ".model",
    "pipeline": ".passes.pipeline",
    "plan": ".planning.planner",
    "target": ".named_targets",
    "targets": ".named_targets",
    "tune": ".tuning.tune",
}


# What only one of the two TVMs has; the other road's way to the same end.
_RELAX = dict.fromkeys(
    ("Model", "compile", "connect", "load", "pipeline", "plan"), "PassContext around relay.build"
) | {"tune": "QuAKE, and MetaSchedule as Relay has it"}
_RELAY = {"PassContext": "pipeline(target) as tvm.compile's relax_pipeline"}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    generation = import_module(".generation", __name__)  # refuses a missing or broken TVM
    elsewhere = _RELAX if generation.RELAY else _RELAY
    if name in elsewhere:
        value = _refusal(name, "Relax" if generation.RELAY else "Relay", elsewhere[name])
    else:
        value = getattr(import_module(_HOME[name], __name__), name)
    globals()[name] = value
    return value


def _refusal(name: str, wanted: str, instead: str) -> Any:
    def refuse(*_: Any, **__: Any) -> None:
        from .errors import QuakeError

        raise QuakeError(
            f"quake_tvm.{name} needs the TVM that has {wanted}; with this one use "
            f"quake_tvm.{instead}"
        )

    return refuse
