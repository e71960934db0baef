"""The user's options for the pass, checked once, and their decision for each site.

The same for Relax and Relay. Knows the registry's names and bounds, no module and no target.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from .errors import QuakeError
from .numerics.ladder import METHODS
from .numerics.number_formats import COMPUTED, FORMATS
from .numerics.operators import OPERATORS, within
from .site_plan import Plan
from .support import given

# Whole models take the same time on all rungs: docs/benchmarks/rungs.md. More degrees gain little:
# rest of a model rounds to float32 as well.
DEFAULT_METHOD = "quake4"
PRECISIONS = (COMPUTED, "float16", "bfloat16", "int8")
# Methods for chains between quantizations: the number of entries of their tables. Other sites have
# the default rung.
_LUTS = {"lut8": 8, "lut16": 16}
# The reason for a rung that is not the cheapest.
RECORDED = "rung on record"
# (operator, shape of the site, allowed rungs with the cheapest first) to the best recorded rung, or
# None.
Rung = Callable[[str, str, Sequence[str]], str | None]


@dataclass(frozen=True)
class Choice:
    """The decision for one site: a rung or None, and the reason unless it is simply the method."""

    method: str | None
    reason: str = ""


@dataclass(frozen=True)
class Options:
    """Validated options. Build them with :meth:`parse`."""

    method: str | None
    max_error: float | None
    only: frozenset[str] | None
    skip: frozenset[str]
    ieee: bool
    plan: Plan | None = None
    rung: Rung | None = None

    @staticmethod
    def parse(
        method: str | None = None,
        max_error: float | None = None,
        only: Iterable[str] | None = None,
        skip: Iterable[str] | None = None,
        special_values: str = "ieee",
        plan: Plan | str | Path | None = None,
        rung: Rung | None = None,
    ) -> "Options":
        """Check the public keyword options.

        Parameters
        ----------
        method : str, optional
            ``"quake1"`` to ``"quake5"``, or ``"exact"`` to change nothing. The default is
            ``"quake4"``, unless ``max_error`` is given. ``"lut8"`` and ``"lut16"``: chains between
            quantizations become piecewise-linear tables, and all else is ``"quake4"``.
        max_error : float, optional
            Take for each operator the cheapest rung whose proven bound is within this.
        only, skip : iterable of str, optional
            Operators to lower, or to leave exact; at most one of the two.
        special_values : {"ieee", "finite"}
            ``"finite"`` drops the guards for NaN and infinities.
        plan : Plan or path, optional
            A rung for every site; can only be combined with ``special_values``.
        rung : callable, optional
            Looks up a recorded rung. Only used with ``max_error``; its answer replaces the cheapest
            rung.

        Returns
        -------
        Options

        Raises
        ------
        QuakeError
            For an unknown name, and for options that contradict each other.
        """
        if plan is not None and any(o is not None for o in (method, max_error, only, skip)):
            raise QuakeError(
                "a plan sets every rung: leave out method=, max_error=, only= and skip="
            )
        if method is not None and max_error is not None:
            raise QuakeError("give either method= or max_error=, not both")
        if method is None and max_error is None:
            method = DEFAULT_METHOD
        if method is not None:
            given.choice(method, "method", (*METHODS, *_LUTS, "exact"))
        if max_error is not None:
            max_error = given.number(max_error, "max_error")
            if not max_error > 0:
                raise QuakeError(f"max_error must be positive, not {max_error!r}")
        if only is not None and skip is not None:
            raise QuakeError("give either only= or skip=, not both")
        for names in (only, skip):
            _check_names(names)
        given.choice(special_values, "special_values", ("ieee", "finite"))
        return Options(
            method,
            max_error,
            None if only is None else frozenset(only),
            frozenset() if skip is None else frozenset(skip),
            special_values == "ieee",
            plan if plan is None or isinstance(plan, Plan) else Plan.load(given.path(plan, "plan")),
            rung,
        )

    @property
    def entries(self) -> int | None:
        """How many entries tables between quantizations may have; None if they have all."""
        return _LUTS.get(self.method or "")

    def choose(
        self, operator: str, dtype: str = COMPUTED, shape: str = "?", site: int | None = None
    ) -> Choice:
        """The rung for a site of ``operator``, or the reason why it stays exact.

        Parameters
        ----------
        operator, dtype : str
        shape : str
            As in reports. Records are looked up by this shape.
        site : int, optional
            The number of the site for a plan: from 1 in the model's order, 0 for all sites inside
            kernels. Reports have no number.

        Returns
        -------
        Choice
        """
        if self.method == "exact":
            return Choice(None, "method is exact")
        if self.only is not None and operator not in self.only:
            return Choice(None, "not in only=")
        if operator in self.skip:
            return Choice(None, "in skip=")
        if dtype not in FORMATS:
            return Choice(None, f"dtype {dtype}: only {', '.join(FORMATS)} are lowered")
        if self.plan is not None:
            method = self.plan.method(operator, site)
            return Choice(method, "" if method else "exact in the plan")
        if self.max_error is None:
            return Choice(DEFAULT_METHOD if self.entries else self.method)
        allowed = self.allowed(operator, dtype)
        if not allowed:
            return Choice(None, f"no rung within max_error={self.max_error:g}")
        recorded = self.rung(operator, shape, allowed) if self.rung is not None else None
        return Choice(recorded, RECORDED) if recorded else Choice(allowed[0])

    def allowed(self, operator: str, dtype: str = COMPUTED) -> list[str]:
        """The rungs within ``max_error``, the lowest first; empty without ``max_error``."""
        return [] if self.max_error is None else within(operator, self.max_error, dtype)

    def check_sites(self, count: int) -> None:
        """Raise QuakeError if there is a plan and it has more sites than the model."""
        if self.plan is not None:
            self.plan.check(count)


def lut_method(entries: int) -> str:
    """The method whose tables have so many entries."""
    return next(name for name, count in _LUTS.items() if count == entries)


def _check_names(names: Iterable[str] | None) -> None:
    if isinstance(names, str):
        raise QuakeError(f"give a list of operators, for example [{names!r}]")
    if names is not None and not isinstance(names, Iterable):
        raise QuakeError(f"give a list of operators, not {names!r:.60}")
    for name in () if names is None else names:
        if not isinstance(name, str) or name not in OPERATORS:
            raise QuakeError(f"unknown operator {name!r}; choose from: {', '.join(OPERATORS)}")
