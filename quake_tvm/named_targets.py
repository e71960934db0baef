"""Named targets: one row each. ``native`` is this machine.

Knows instruction sets, no operator and no schedule.
"""

import os
from dataclasses import dataclass

import tvm

from .errors import QuakeError
from .generation import native_machine


@dataclass(frozen=True)
class Row:
    """A target by name: what people should know of it, and LLVM's words for it."""

    description: str
    config: dict[str, object]


def _x86(level: str, description: str) -> Row:
    return Row(description, {"mtriple": "x86_64-linux-gnu", "mcpu": level})


TARGETS = {
    "x86-64-v2": _x86("x86-64-v2", "x86-64 with SSE4.2 (2009 and later), no FMA"),
    "x86-64-v3": _x86("x86-64-v3", "x86-64 with AVX2 and FMA (2013 and later)"),
    "x86-64-v4": _x86("x86-64-v4", "x86-64 with AVX-512 (2017 and later)"),
    "aarch64": Row("64-bit ARM with NEON", {"mtriple": "aarch64-linux-gnu", "mattr": ["+neon"]}),
    "raspberry-pi-4": Row(
        "Raspberry Pi 4B: four Cortex-A72",
        {"mtriple": "aarch64-linux-gnu", "mcpu": "cortex-a72", "mattr": ["+neon"], "num-cores": 4},
    ),
}


def targets() -> list[str]:
    """The names that :func:`target` takes."""
    return ["native", *TARGETS]


def describe(name: str) -> str:
    """What a named target is, in a few words."""
    return "this machine" if name == "native" else TARGETS[name].description


def config(name: str) -> dict[str, object]:
    """A named target as the dictionary TVM takes. Raises QuakeError for a name that is none."""
    if name not in targets():
        raise QuakeError(f"unknown target {name!r}; choose from: {', '.join(targets())}")
    own = native_machine() if name == "native" else TARGETS[name].config
    return {"kind": "llvm", "num-cores": os.cpu_count() or 1, **own}


def target(name: "str | dict | tvm.target.Target" = "native") -> tvm.target.Target:
    """A TVM target.

    Parameters
    ----------
    name : str, dict or tvm.target.Target
        One of :func:`targets`, or any target TVM itself takes.

    Returns
    -------
    tvm.target.Target
        With ``num-cores`` set.

    Raises
    ------
    QuakeError
        For a name that does not exist or a dictionary TVM refuses.
    """
    if isinstance(name, tvm.target.Target):
        return name
    if isinstance(name, dict):
        try:
            return tvm.target.Target(name)
        except Exception as error:
            reason = str(error).strip().splitlines()[-1]
            raise QuakeError(f"TVM refuses this target: {reason}") from None
    return tvm.target.Target(config(name))


# Features by what their registers hold of float32, widest first.
_VECTORS = (("avx512f", 16), ("avx2", 8), ("avx", 8))


def lanes(target: tvm.target.Target) -> int:
    """float32 values in the target's vector registers; four where nothing wider is known."""
    has = tvm.target.codegen.target_has_features
    return next((width for feature, width in _VECTORS if has(feature, target)), 4)
