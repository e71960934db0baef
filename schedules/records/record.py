"""A record: the best parameters that a tuner found for one kernel on one machine, as JSON.

Named numbers apply to kernels of any shape, since a rule uses those that fit its kernel. A trace
applies only to the kernel for which it was found. Parsing a line gives a valid record or raises a
QuakeError with the reason. Knows no file, no rule and no tuner.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from datetime import datetime, timezone
from typing import Any

import tvm

import quake_tvm
from quake_tvm.errors import QuakeError
from quake_tvm.machines.targets import cores, features, lanes, vectors
from quake_tvm.numerics.ladder import METHODS
from quake_tvm.support.toolchain import triple

from ..choice import PARAMETERS, Key

# Version of the line's format.
SCHEMA = 1
# Version of the rules and the written-out kernels. It is raised if the meaning of old numbers
# changes.
KERNELS = 1
# The CPU features that float32 kernels are compiled with.
_FEATURES = ("fma",)
MEASURED = ("clock", "board", "static")

_WORD = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,63}")
_SITE = re.compile(r"[a-z0-9_]+ [A-Za-z0-9_]+")
_HASH = re.compile(r"[0-9a-f]{16}")
_DATE = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")
_LARGEST, _SLOWEST, _MANY = 2**31, 1e18, 256


def _check(fits: bool, name: str, wanted: str) -> None:
    if not fits:
        raise QuakeError(f"{name} must be {wanted}")


def _check_words(**words: Any) -> None:
    for name, word in words.items():
        _check(_is_text(word, _WORD), name, "a word")


def _is_text(value: Any, form: re.Pattern[str]) -> bool:
    return isinstance(value, str) and bool(form.fullmatch(value))


def _is_count(value: Any, least: int = 0) -> bool:
    return type(value) is int and least <= value < _LARGEST


def _is_cost(value: Any) -> bool:
    return isinstance(value, int | float) and value is not True and 0 < value < _SLOWEST


@dataclass(frozen=True)
class Machine:
    """The machine that a record was measured on, and by which it is looked up.

    Attributes
    ----------
    architecture : str
        From the target triple: ``"x86_64"``, ``"aarch64"``.
    cpu : str
        LLVM's name of the CPU, or ``"generic"``.
    vectors : str
        The vector unit, for example ``"AVX-512"``.
    lanes : int
        float32 in a vector register.
    features : tuple of str
        Further CPU features that float32 kernels are compiled with.
    cores : int
    """

    architecture: str
    cpu: str
    vectors: str
    lanes: int
    features: tuple[str, ...]
    cores: int

    def __post_init__(self) -> None:
        _check_words(architecture=self.architecture, cpu=self.cpu, vectors=self.vectors)
        _check(_is_count(self.lanes, 1) and _is_count(self.cores, 1), "lanes, cores", "positive")
        known = isinstance(self.features, tuple) and all(f in _FEATURES for f in self.features)
        _check(known, "features", f"among: {', '.join(_FEATURES)}")

    @staticmethod
    def of(target: tvm.target.Target) -> "Machine":
        """The machine that a target describes.

        Raises QuakeError if the CPU's name is not a single word.
        """
        return Machine(
            triple(target).architecture,
            str(target.attrs.get("mcpu") or "generic"),
            vectors(target),
            lanes(target),
            tuple(f for f in features(target) if f in _FEATURES),
            cores(target),
        )

    @property
    def folder(self) -> str:
        """The folder name of this machine's records: the CPU or ``generic-<architecture>``."""
        return f"generic-{self.architecture}" if self.cpu == "generic" else self.cpu

    def related(self, other: "Machine") -> bool:
        """Whether two machines differ only in the CPU and its number of cores, if at all."""
        return replace(self, cpu=other.cpu, cores=other.cores) == other


@dataclass(frozen=True)
class Trace:
    """A schedule as a list of TVM's steps, for exactly one kernel.

    Attributes
    ----------
    kernel : str
        The fingerprint of the PrimFunc that the trace schedules (:mod:`trace`).
    tvm : str
        The version of TVM that the steps are for.
    steps : list
        ``Trace.as_json()``.
    """

    kernel: str
    tvm: str
    steps: list[Any]

    def __post_init__(self) -> None:
        _check(_is_text(self.kernel, _HASH), "kernel", "sixteen hexadecimal digits")
        _check_words(tvm=self.tvm)
        _check(isinstance(self.steps, list) and len(self.steps) == 2, "steps", "a TVM trace")


@dataclass(frozen=True)
class Made:
    """The versions of this library and TVM that made a record, and the time (UTC)."""

    library: str
    tvm: str
    date: str

    def __post_init__(self) -> None:
        _check_words(library=self.library, tvm=self.tvm)
        _check(_is_text(self.date, _DATE), "date", "like 2026-11-26T12:00:00Z")

    @staticmethod
    def now() -> "Made":
        """The installed versions and the current time."""
        date = datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
        return Made(quake_tvm.__version__, tvm.__version__, date)


@dataclass(frozen=True)
class Record:
    """The best parameters found for a kernel.

    Attributes
    ----------
    machine : Machine
    key : Key
        The kernel. All its extents are known.
    cost, rule_cost : float
        The cost of a call with this record and with the rule's defaults, measured together. In
        seconds, or in cycles or instructions if these were counted (``"static"``). Only their ratio
        is used.
    measured : {"clock", "board", "static"}
    trials : int
        How many candidates were measured.
    numbers : mapping of name to int, optional
        The tunable parameters. Empty if the rule's defaults are best. A record has either numbers
        or a trace.
    trace : Trace, optional
    rungs : mapping
        Maps a site in the kernel, ``"gelu 1x128x1536"``, to the kernel's cost by the site's rung.
    made : Made

    Raises
    ------
    QuakeError
        If a value is invalid.
    """

    machine: Machine
    key: Key
    cost: float
    rule_cost: float
    measured: str
    trials: int
    numbers: Mapping[str, int] | None = None
    trace: Trace | None = None
    rungs: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    made: Made = field(default_factory=Made.now)

    def __post_init__(self) -> None:
        _check_words(operator=self.key.operator, dtype=self.key.dtype)
        shape = self.key.shape
        fits = isinstance(shape, tuple) and len(shape) < _MANY
        _check(fits and all(_is_count(n, 1) for n in shape), "shape", "positive integers")
        fits = _is_cost(self.cost) and _is_cost(self.rule_cost)
        _check(fits, "cost, rule_cost", "positive numbers")
        _check(self.measured in MEASURED, "measured", f"one of: {', '.join(MEASURED)}")
        _check(_is_count(self.trials), "trials", "a count")
        fits = (self.numbers is None) != (self.trace is None)
        _check(fits, "numbers or trace", "one of the two")
        _check(self.numbers is None or _are_numbers(self.numbers), "numbers", "names with counts")
        for name in self.numbers or ():
            if name not in PARAMETERS:
                raise QuakeError(f"no rule has a parameter {name!r}: tune again")
        _check(_are_rungs(self.rungs), "rungs", "sites with positive numbers by rung")

    @property
    def ratio(self) -> float:
        """The cost with this record divided by the cost with the rule's defaults."""
        return self.cost / self.rule_cost

    def to_line(self) -> str:
        """The record as one line of JSON, without the newline."""
        found: dict[str, Any] = {}
        if self.numbers is not None:
            found["numbers"] = dict(self.numbers)
        if self.trace is not None:
            found["trace"] = vars(self.trace)
        raw = {
            "schema": SCHEMA,
            "kernels": KERNELS,
            "operator": self.key.operator,
            "shape": self.key.shape,
            "dtype": self.key.dtype,
            **found,
            "cost": self.cost,
            "rule_cost": self.rule_cost,
            "measured": self.measured,
            "trials": self.trials,
            **({"rungs": {k: dict(v) for k, v in self.rungs.items()}} if self.rungs else {}),
            "machine": vars(self.machine),
            "made": vars(self.made),
        }
        return json.dumps(raw, allow_nan=False)

    @staticmethod
    def from_line(line: str | bytes) -> "Record":
        """Inverse of :meth:`to_line`.

        Raises
        ------
        QuakeError
            If this version cannot use the line. The message is a short reason.
        """
        try:
            raw = json.loads(line)
        except (ValueError, RecursionError):
            raise QuakeError("it is no JSON, or cut off") from None
        schema, kernels = (isinstance(raw, dict) and raw.pop(n, 0) for n in ("schema", "kernels"))
        _check(_is_count(schema, 1) and _is_count(kernels, 1), "schema, kernels", "there")
        if schema > SCHEMA:
            raise QuakeError("a newer version of quake_tvm has written it: update")
        if (schema, kernels) != (SCHEMA, KERNELS):
            raise QuakeError("it was found with other kernels than this version's: tune again")
        shape = raw.pop("shape", None)
        _check(isinstance(shape, list), "shape", "positive integers")
        key = Key(raw.pop("operator", None), tuple(shape), raw.pop("dtype", None))
        machine = raw.pop("machine", None)
        if isinstance(machine, dict) and isinstance(machine.get("features"), list):
            machine["features"] = tuple(machine["features"])
        parts = {"machine": _built(Machine, machine, "machine"), "key": key}
        parts["made"] = _built(Made, raw.pop("made", None), "made")
        if "trace" in raw:
            parts["trace"] = _built(Trace, raw.pop("trace"), "trace")
        return _built(Record, raw | parts, "the record")


def _are_numbers(value: Any) -> bool:
    return (
        isinstance(value, Mapping)
        and len(value) < _MANY
        and all(_is_text(name, _WORD) and _is_count(n) for name, n in value.items())
    )


def _are_rungs(value: Any) -> bool:
    return (
        isinstance(value, Mapping)
        and len(value) < _MANY
        and all(
            _is_text(site, _SITE)
            and isinstance(costs, Mapping)
            and all(rung in METHODS and _is_cost(cost) for rung, cost in costs.items())
            for site, costs in value.items()
        )
    )


def _built(kind: Any, raw: Any, name: str) -> Any:
    """Construct a dataclass from a dictionary of exactly its fields.

    Fields with defaults may be missing.
    """
    known = [f.name for f in fields(kind)]
    fits = isinstance(raw, dict) and set(raw) <= set(known)
    _check(fits, name, f"of the fields {', '.join(known)}")
    try:
        return kind(**raw)
    except TypeError:
        raise QuakeError(f"{name} has fields missing") from None
