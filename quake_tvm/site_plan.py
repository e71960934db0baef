"""A plan: a rung for every site of a model, a precision for every product, as a TOML file.

It also says which feed-forward layers are look-ups. It has the predicted and the measured error and
time.

Knows no model and loads no TVM.
"""

import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import tomli_w

from .errors import QuakeError
from .numerics.ladder import METHODS
from .support import given
from .support.notebook import page
from .support.whole_file import whole_file

if TYPE_CHECKING:
    from rich.console import Console
if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

EXACT = "exact"
VERSION = 1
# The precisions of products, the most accurate first.
FLOAT32, BFLOAT16, INT8 = PRECISIONS = "float32", "bfloat16", "int8"
# What a feed-forward layer may be.
LAYER, LOOK_UP = CHOICES = "layer", "look-up"
# The types of a row's texts and numbers in a file, where 1 is a float too.
_TYPES: dict[type, tuple[type, ...]] = {int: (int,), float: (float, int), str: (str,)}
Row = TypeVar("Row", "PlannedSite", "PlannedProduct", "Offered", "PlannedLookUp", "Uniform", "Plan")
# The share of the budget that calibration may use: other inputs may have larger errors.
HEADROOM = 0.5


@dataclass(frozen=True)
class PlannedSite:
    """One site and its rung.

    Attributes
    ----------
    number : int
        Its number among the model's sites, from 1.
    operator, shape : str
        As in reports.
    method : str
        A rung, or ``"exact"``.
    """

    number: int
    operator: str
    shape: str
    method: str


@dataclass(frozen=True)
class Offered:
    """Another precision than float32 that a product could have.

    Attributes
    ----------
    precision : str
        ``"bfloat16"`` or ``"int8"``.
    error : float
        What it costs: the error that this product alone adds in it.
    milliseconds : float
        What it gains, as this product's share of what all products gain in it.
    """

    precision: str
    error: float
    milliseconds: float


@dataclass(frozen=True)
class PlannedProduct:
    """One product with constant weights, and its precision.

    Attributes
    ----------
    number : int
        Its number among the model's products, from 1.
    shape : str
        Of its weights.
    precision : str
        ``"float32"``, ``"bfloat16"`` or ``"int8"``.
    offers : tuple of Offered
        The other precisions that it could have, the least accurate first.
    """

    number: int
    shape: str
    precision: str
    offers: tuple[Offered, ...] = ()

    def nearest(self, precision: str) -> str:
        """This precision if the product could have it, else float32."""
        return precision if any(o.precision == precision for o in self.offers) else FLOAT32


@dataclass(frozen=True)
class PlannedLookUp:
    """One feed-forward layer that has a look-up beside it, and which of the two is taken.

    Attributes
    ----------
    number : int
        Its number among the model's feed-forward layers, from 0.
    shape : str
        Of its result.
    choice : str
        ``"layer"`` or ``"look-up"``.
    error : float
        What it costs: the error that this look-up alone adds.
    milliseconds : float
        What it gains: by how much the model with this look-up alone is faster.
    """

    number: int
    shape: str
    choice: str
    error: float
    milliseconds: float


@dataclass(frozen=True)
class Uniform:
    """The whole model on one rung, and its products in one precision.

    The error is that on the calibration inputs, the time that per call.
    """

    method: str
    error: float
    milliseconds: float
    precision: str = FLOAT32

    @property
    def name(self) -> str:
        """The rung, and the precision if it is another than float32."""
        return self.method if self.precision == FLOAT32 else f"{self.method}, {self.precision}"


@dataclass(frozen=True)
class Plan:
    """A rung for every site of a model, and a precision for every product.

    Attributes
    ----------
    sites : tuple of PlannedSite
    inside_kernels : str
        The rung of exponentials that appear only inside kernels.
    metric : str
        The name of the metric that the budget is for.
    budget, predicted, measured : float
        The largest allowed error; the sum of the sites' own errors; the error of the whole plan on
        the calibration inputs.
    inputs : int
        The number of calibration inputs.
    target : str
        The CPU.
    threads : int
    predicted_milliseconds, measured_milliseconds : float
        The time per call: predicted from the kernels' times, and measured for the planned model.
    uniform : tuple of Uniform
        The whole model on each rung and in each precision, timed interleaved with the planned
        model.
    products : tuple of PlannedProduct
        Empty if no other precision than float32 was allowed.
    look_ups : tuple of PlannedLookUp
        Empty if the model has no look-ups beside its layers.
    """

    sites: tuple[PlannedSite, ...]
    inside_kernels: str
    metric: str = ""
    budget: float = 0.0
    predicted: float = 0.0
    measured: float = 0.0
    inputs: int = 0
    target: str = ""
    threads: int = 0
    predicted_milliseconds: float = 0.0
    measured_milliseconds: float = 0.0
    uniform: tuple[Uniform, ...] = ()
    products: tuple[PlannedProduct, ...] = ()
    look_ups: tuple[PlannedLookUp, ...] = ()

    def _repr_html_(self) -> str:
        return page("", self.write)

    def write(self, console: "Console") -> None:
        """Print the plan's tables and its verdict on a console of rich."""
        from .plan_tables import tables

        for table in tables(self):
            console.print(table)
        console.print(self.verdict, markup=False, highlight=False, soft_wrap=True)

    def numbers(self, precision: str) -> frozenset[int]:
        """The numbers of the products in this precision."""
        return frozenset(p.number for p in self.products if p.precision == precision)

    @property
    def looked_up(self) -> frozenset[int]:
        """The numbers of the feed-forward layers whose look-ups are taken."""
        return frozenset(each.number for each in self.look_ups if each.choice == LOOK_UP)

    def method(self, operator: str, site: int | None) -> str | None:
        """The rung of a site, or None if it stays exact.

        Parameters
        ----------
        operator : str
        site : int or None
            The site's number; 0 inside a kernel. None asks about the operator in general: the
            result is None if any of its sites is exact.

        Raises
        ------
        QuakeError
            If the plan has another operator for this site.
        """
        if site == 0:
            return _rung(self.inside_kernels)
        if site is None:
            exact = any(s.method == EXACT for s in self.sites if s.operator == operator)
            return None if exact else _rung(self.inside_kernels)
        planned = next((s for s in self.sites if s.number == site), None)
        if planned is None or planned.operator != operator:
            there = planned.operator if planned is not None else "not float32, or not there,"
            raise QuakeError(
                f"the plan is for another model: site {site} is {there} in the plan and "
                f"{operator} here; plan this model anew"
            )
        return _rung(planned.method)

    def check(self, count: int) -> None:
        """Raise QuakeError if the plan has more sites than a model with ``count`` sites."""
        last = max((s.number for s in self.sites), default=0)
        if last > count:
            raise QuakeError(
                f"the plan is for another model: it has {last} sites and this one "
                f"{count}; plan this model anew"
            )

    @property
    def rival(self) -> Uniform | None:
        """The fastest uniform choice that keeps the budget with the same headroom, if any does."""
        within = [u for u in self.uniform if u.error <= HEADROOM * self.budget]
        return min(within, key=lambda u: u.milliseconds, default=None)

    @property
    def verdict(self) -> str:
        """A summary of the plan in one line."""
        methods = {s.method for s in self.sites} or {self.inside_kernels}
        precision = self._one_precision()
        if methods == {EXACT}:
            return "no rung keeps the budget: every site stays exact"
        if len(methods) == 1 and precision is not None and not self.looked_up:
            name = Uniform(methods.pop(), 0.0, 0.0, precision).name
            return f"{name} for every site: no other choice within the budget is faster"
        rival = self.rival
        if rival is None:
            return "no single rung keeps the budget"
        gain = 1 - self.measured_milliseconds / rival.milliseconds
        return f"{gain:.1%} less time than {rival.name}, the fastest single rung in the budget"

    def _one_precision(self) -> str | None:
        """The precision of all products that could have it, if there is such a one."""
        for each in PRECISIONS:
            if all(p.precision == p.nearest(each) for p in self.products):
                return each
        return None

    def __str__(self) -> str:
        return (
            f"{self.metric} error predicted {self.predicted:.3g}, measured {self.measured:.3g} on "
            f"{self.inputs} inputs, budget {self.budget:.3g}; "
            f"{self.predicted_milliseconds:.4g} ms predicted, "
            f"{self.measured_milliseconds:.4g} measured ({self.target}, threads: {self.threads}); "
            f"{self.verdict}"
        )

    def save(self, path: str | Path) -> Path:
        """Write the plan as TOML, whole or not at all. Raises QuakeError if that is impossible."""
        path = given.path(path, "the plan")
        table = {"version": VERSION, **asdict(self)}
        lists = {"uniform": table.pop("uniform"), "site": table.pop("sites")}
        for name, rows in (("product", "products"), ("look_up", "look_ups")):
            if found := table.pop(rows):
                lists[name] = found
        text = tomli_w.dumps({**table, **{name: list(rows) for name, rows in lists.items()}})
        with whole_file(path) as file:
            file.write_text(text)
        return path

    @staticmethod
    def load(path: str | Path) -> "Plan":
        """Read a plan that :meth:`save` wrote.

        Raises
        ------
        QuakeError
            If the file cannot be read, is no plan, or names an unknown rung.
        """
        path = given.path(path, "the plan")
        if path.exists() and not path.is_file():  # reading a device might never end
            raise QuakeError(f"cannot read {path}: it is no file")
        try:
            table = tomllib.loads(path.read_text())
        except OSError as error:
            raise QuakeError(f"cannot read {path}: {error.strerror}") from None
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise QuakeError(f"{path} is not TOML: {error}") from None
        except RecursionError:
            raise QuakeError(f"{path} is not a plan: it is nested too deep") from None
        try:
            return Plan.of(table)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            reason = f"no {error}" if isinstance(error, KeyError) else str(error)
            raise QuakeError(f"{path} is not a plan: {reason}") from None

    @staticmethod
    def of(table: Mapping[str, Any]) -> "Plan":
        """A plan from the file's table. Raises KeyError, TypeError or ValueError for others."""
        values = dict(table)
        if values.pop("version") != VERSION:
            raise ValueError("another version of quake_tvm wrote it; plan anew")
        sites = tuple(_checked(PlannedSite(**row)) for row in values.pop("site"))
        uniform = tuple(_checked(Uniform(**row)) for row in values.pop("uniform"))
        products = tuple(map(_product, values.pop("product", ())))
        look_ups = tuple(_checked(PlannedLookUp(**row)) for row in values.pop("look_up", ()))
        plan = _checked(
            Plan(sites, uniform=uniform, products=products, look_ups=look_ups, **values)
        )
        named = [*(p.precision for p in products), *(u.precision for u in uniform)]
        for precision in (*named, *(o.precision for p in products for o in p.offers)):
            if precision not in PRECISIONS:
                raise ValueError(f"unknown precision {precision!r}")
        if any(u.milliseconds <= 0 for u in uniform):
            raise ValueError("a time of a uniform choice is not positive")
        for each in look_ups:
            if each.choice not in CHOICES:
                raise ValueError(f"unknown choice {each.choice!r}")
        for method in (
            plan.inside_kernels,
            *(s.method for s in sites),
            *(u.method for u in uniform),
        ):
            _rung(method)
        for name, rows in (("sites", sites), ("products", products), ("look-ups", look_ups)):
            if len({row.number for row in rows}) < len(rows):
                raise ValueError(f"two {name} of one number")
        return plan


def _product(row: Mapping[str, Any]) -> PlannedProduct:
    """A product from the file's table."""
    offers = tuple(_checked(Offered(**each)) for each in row.get("offers", ()))
    return _checked(PlannedProduct(**{**row, "offers": offers}))


def _checked(row: Row) -> Row:
    """The same row. Raises TypeError if a text or a number in it is of another type."""
    for field in fields(row):
        value = getattr(row, field.name)
        for kind, right in _TYPES.items():
            if field.type is kind and type(value) not in right:
                raise TypeError(f"{field.name} = {value!r} is not of type {kind.__name__}")
    return row


def _rung(method: str) -> str | None:
    if method not in (*METHODS, EXACT):
        raise ValueError(f"unknown method {method!r}; choose from: {', '.join(METHODS)}, {EXACT}")
    return None if method == EXACT else method
