"""Targets by name, and the features of each. ``native`` is this machine.

Knows instruction sets, no operator and no schedule; the names are in :mod:`table`.
"""

import json
import os
from collections.abc import Mapping
from difflib import get_close_matches
from typing import Any

import tvm

from ..errors import QuakeError
from ..numerics.number_formats import HALVES
from ..numerics.single_rounding import INSTRUCTIONS
from ..support import given
from ..support.toolchain import triple
from ..tvm_version import RELAX_INSTALL, RELAY, llvm_knows
from . import native
from .table import TARGETS, Row

# The supported kinds of targets.
_KINDS = ("llvm", "c") if RELAY else ("llvm",)
_MOST_CORES = 1 << 16
# Vector units by LLVM's feature name, widest first: common name, float32 values in a register.
_VECTORS = {
    "avx512f": ("AVX-512", 16),
    "avx2": ("AVX2", 8),
    "avx": ("AVX", 8),
    "sse2": ("SSE", 4),
    "neon": ("NEON", 4),
    "simd128": ("SIMD128", 4),
}
# The features that convert vectors of float16 to float32.
_FLOAT16 = ("f16c", "fp-armv8", "fp16")
# Other features worth reporting, and LLVM's names for them.
_FEATURES = {
    "fma": INSTRUCTIONS,
    "fp16": ("fullfp16", "avx512fp16"),
    "bf16": ("bf16", "avx512bf16"),
    "dotprod": ("dotprod", "avx512vnni"),
    "i8mm": ("i8mm",),
    "sve": ("sve",),
}


def targets() -> list[str]:
    """The names that :func:`target` accepts, except those that this TVM cannot compile for."""
    return ["native", *(name for name, row in TARGETS.items() if _compiles(row))]


def register(name: str, row: Row) -> None:
    """Add a target under a new name.

    Raises
    ------
    QuakeError
        If the name is taken, the row is no Row, or TVM's LLVM does not know its CPU.
    """
    if name in ("native", *TARGETS):
        raise QuakeError(f"there is a target {name!r} already")
    if not isinstance(row, Row):
        raise QuakeError(
            f"the target {name!r} is a {type(row).__name__}: give a machines.table.Row"
        )
    _check_cpu({"mtriple": row.mtriple, "mcpu": row.mcpu})
    TARGETS[name] = row


def _compiles(row: Row) -> bool:
    return (row.relay or not RELAY) and llvm_knows(row.mcpu or "generic", row.mtriple)


def describe(name: str) -> str:
    """A short description of a named target."""
    return "this machine" if name == "native" else TARGETS[name].description


def config(name: str) -> dict[str, Any]:
    """A named target as TVM's dictionary. Raises QuakeError for an unknown name."""
    if name == "native":
        own = native.native().config
    elif name in TARGETS:
        row = TARGETS[name]
        if RELAY and not row.relay:
            raise QuakeError(f"{name} needs the TVM that has Relax: {RELAX_INSTALL}")
        own = {"mtriple": row.mtriple, "mcpu": row.mcpu, "num-cores": row.cores, **row.more}
    else:
        near = get_close_matches(name, ["native", *TARGETS], cutoff=0.5)
        advice = f"did you mean {' or '.join(near)}? " if near else ""
        raise QuakeError(f"unknown target {name!r}: {advice}`quake-tvm targets` lists the CPUs")
    known = {key: value for key, value in own.items() if value is not None}
    return {"kind": "llvm", "num-cores": os.cpu_count() or 1, **known}


def target(name: "str | dict | tvm.target.Target" = "native") -> tvm.target.Target:
    """A TVM target.

    Parameters
    ----------
    name : str, dict or tvm.target.Target
        A name of :func:`targets`, or any CPU target of TVM, as a dictionary or its JSON.

    Returns
    -------
    tvm.target.Target
        With ``num-cores`` set if it was given by name.

    Raises
    ------
    QuakeError
        For an unknown name, for a target that is no CPU, and for what TVM or its LLVM refuses.
    """
    if not isinstance(name, str | dict | tvm.target.Target):
        raise QuakeError(
            f"target is a name, a dictionary or a tvm.target.Target, not a {type(name).__name__}"
            "; a torch module's inputs are given as example_inputs="
        )
    try:
        if isinstance(name, str):
            name = json.loads(name) if name.lstrip().startswith("{") else config(name)
        if isinstance(name, dict):
            _check_words(name)
        resolved = name if isinstance(name, tvm.target.Target) else tvm.target.Target(name)
        _check(resolved)
    except json.JSONDecodeError as error:
        raise QuakeError(f"the target is no valid JSON: {error}") from None
    except QuakeError:
        raise
    except Exception as error:
        lines = str(error).splitlines() or [type(error).__name__]
        said = next((line for line in reversed(lines) if any(map(str.isalpha, line))), lines[-1])
        reason = said.strip().partition(" Target creation from")[0]
        raise QuakeError(f"TVM refuses this target: {reason}") from None
    return resolved


def _check_words(config: dict) -> None:
    """Refuse kinds and CPUs that TVM would search for, or LLVM warn about, on standard error."""
    for part in (config, config.get("host")):
        kind = part.get("kind") if isinstance(part, dict) else part
        if isinstance(kind, str):
            _check_kind(kind.partition(" ")[0])
    if config.get("kind") == "llvm":
        _check_cpu(config)


def _check(target: tvm.target.Target) -> None:
    for part in (target, target.host):
        if part is not None:
            _check_kind(part.kind.name)
    cores = target.attrs.get("num-cores")
    if cores is not None:
        given.count(int(cores), "the target's num-cores", most=_MOST_CORES)
    if target.kind.name == "llvm":
        _check_cpu(target.attrs)
        _check_features(target)


def _check_kind(kind: str) -> None:
    if kind not in _KINDS:
        raise QuakeError(f"targets are CPUs, of kind {' or '.join(_KINDS)}: not {kind!r}")


# LLVM only warns about an unknown CPU or feature, and compiles for another machine.


def _llvm() -> str:
    return f"TVM's LLVM {tvm.target.codegen.llvm_version_major()}"


def _check_cpu(config: Mapping[str, object]) -> None:
    codegen = tvm.target.codegen
    triple = str(config.get("mtriple") or codegen.llvm_get_system_triple())
    cpu = str(config.get("mcpu") or "generic")
    if not llvm_knows("generic", triple):
        raise QuakeError(f"{_llvm()} has no code generator for mtriple {triple!r}")
    if not llvm_knows(cpu, triple):
        machine = tvm.target.Target({"kind": "llvm", "mtriple": triple})
        near = get_close_matches(cpu, map(str, codegen.llvm_get_cpu_archlist(machine)))
        known = " or ".join(near or ["generic"])
        raise QuakeError(f"{_llvm()} knows no mcpu {cpu!r} for {triple}: choose {known}")


def _check_features(target: tvm.target.Target) -> None:
    has = tvm.target.codegen.llvm_get_cpu_features(target)
    for feature in map(str, target.attrs.get("mattr") or ()):
        if feature.startswith("+") and feature[1:] not in has:
            raise QuakeError(f"{_llvm()} knows no mattr {feature!r} for this target's mtriple")


def _unit(target: tvm.target.Target) -> tuple[str, int]:
    has = tvm.target.codegen.target_has_features
    return next((unit for feature, unit in _VECTORS.items() if has(feature, target)), ("none", 4))


def lanes(target: tvm.target.Target) -> int:
    """float32 values in the target's vector registers; four if the vector unit is unknown.

    On SVE it is four too, however wide the registers are: vectors here have a fixed length, and
    LLVM uses NEON for them.
    """
    return _unit(target)[1]


def cores(target: tvm.target.Target) -> int:
    """The target's number of cores; this machine's number if the target has none."""
    return int(target.attrs.get("num-cores") or os.cpu_count() or 1)


def runs_here(target: tvm.target.Target) -> bool:
    """Whether this machine can run a target's code, as far as it reports its missing features."""
    return triple(target).is_host and not native.features(target) & native.examine().lacks


def vectors(target: tvm.target.Target) -> str:
    """The name of the vector unit that kernels are compiled for: ``"AVX2"``, ``"NEON"``."""
    return _unit(target)[0]


def widened_in_loops(target: tvm.target.Target) -> frozenset[str]:
    """The formats of half precision that the target widens in a few instructions a vector."""
    has = tvm.target.codegen.target_has_features
    fast = any(has(feature, target) for feature in _FLOAT16)
    return HALVES if fast else HALVES - {"float16"}


def features(target: tvm.target.Target) -> list[str]:
    """Other features of the CPU: ``fma``, ``fp16``, ``bf16``, ``dotprod``, ``i8mm``, ``sve``."""
    has = tvm.target.codegen.target_has_features
    return [name for name, any_of in _FEATURES.items() if any(has(f, target) for f in any_of)]
