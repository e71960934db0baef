"""``quake_tvm.plan``: choose rungs, precisions and look-ups within a budget of a model's error.

It combines the other modules: where the sites are, what error each adds and what time it takes, and
which choice is the cheapest. Then it times the planned model.
"""

import math
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import tvm

from .. import compiler
from ..build import import_model
from ..errors import QuakeError
from ..importers.dimensions import Shapes
from ..machines.targets import runs_here
from ..machines.targets import target as resolve
from ..numerics.ladder import METHODS
from ..runtime.description import Inputs
from ..runtime.model import Model
from ..schedules.records.book import Records
from ..schedules.records.record import Machine
from ..site_plan import EXACT, FLOAT32, HEADROOM, PRECISIONS, Plan, Uniform
from ..support import given
from ..support.timing import Timer, interleave
from .calibration import Calibration
from .choice import ATTEMPTS, Calls, Chosen, Picks, choose, gain, rung_offers
from .metrics import Metric, named
from .parts import Parts, Product, look_ups_of, products_of
from .placement import Placement, placement
from .probe import BASE, Probe
from .search import RungCost

ROUNDS = 15
# If a mixture of rungs is not faster than one rung for all sites by more than this share, the one
# rung becomes the plan.
SIMPLER = 0.01

# Called with the current step, how much of it is done, and its total.
Progress = Callable[[str, int, int], None]


def plan(
    model: Any,
    calibration_inputs: Sequence[Inputs],
    budget: float = 1e-3,
    metric: str | Metric = "relative",
    target: str | dict | tvm.target.Target = "native",
    *,
    special_values: str = "ieee",
    shapes: Shapes | None = None,
    records: Records = None,
    precisions: Sequence[str] = (FLOAT32,),
    progress: Progress = lambda what, done, total: None,
) -> Plan:
    """Find the rung for each site, and the precision for each product, within an error budget.

    If the model has look-ups beside its feed-forward layers (:func:`quake_tvm.lookup.convert`),
    each of them is one more choice, in the same budget. The plan keeps the model's error within the
    budget in the least time that was found.

    Parameters
    ----------
    model : what :func:`quake_tvm.compile` takes
    calibration_inputs : sequence of what ``Model.run`` takes
        Typical inputs, the more the better.
    budget : float
        The largest allowed value of the metric.
    metric : str or callable
        The difference from the outputs of the exact model. ``"absolute"``: the largest difference
        of any element. ``"relative"``: the same, divided by the largest element of its output.
        ``"cosine"``: 1 minus the smallest cosine of any row. ``"kl"``: the mean divergence, in
        nats, of the rows of the first output. ``"top1"``: the share of these rows whose largest
        element is at another index. Or a function of two lists, exact and found, with the outputs
        for each input; or the function's name, ``"module:function"``.
    target : str, dict or tvm.target.Target
        Must run on this machine. The errors are the same on any other target.
    special_values, shapes, records
        As for :func:`quake_tvm.compile`.
    precisions : sequence of {"float32", "bfloat16", "int8"}
        What products with constant weights may compute in, besides float32. For each of the other
        two the model is built once more for each product. Attention stays float32, and convolutions
        are not made int8.
    progress : callable
        Called with the current step, how much of it is done, and its total.

    Returns
    -------
    Plan
        For ``compile(..., plan=...)``. It also lists the error and time of every rung for the whole
        model, in each precision.

    Raises
    ------
    QuakeError
        For everything that the user can correct, including a model without sites.

    Notes
    -----
    Each site is measured on each rung, with all other sites on the highest rung. If these errors
    added
    up, the best choice would be the solution of a knapsack problem. How far they add up is found by
    measuring choices, which must stay within ``HEADROOM`` of the budget. A rung must gain at least
    2 %
    of its kernel's time over a more accurate rung to be chosen. If one rung for all sites is as
    fast as
    the choice, it becomes the plan. If not even the highest rung is accurate enough, every site
    stays
    exact.
    """
    for precision in precisions:
        given.choice(precision, "precision", PRECISIONS)
    name, measure = named(metric)
    if not 0 <= given.number(budget, "budget") < math.inf:
        raise QuakeError(f"budget must be a number from 0 on, not {budget!r}")
    inputs = given.calls(calibration_inputs, "the calibration")
    _check_numbers(inputs)
    on = resolve(target)
    if not runs_here(on):
        raise QuakeError(
            "kernels are timed here, where that target's do not run: plan for native, and compile "
            "with that plan for the other machine; the errors are the same"
        )
    mod = import_model(model, shapes)
    where = placement(mod, on, BASE, special_values)
    groups = _groups(where)
    if not groups:
        raise QuakeError("the model has no nonlinearity that could be lowered")
    build = partial(compiler.compile, mod, on, special_values=special_values, records=records)
    models: dict[str, Model] = {}
    for done, method in enumerate((EXACT, *METHODS)):
        progress("compiling every rung", done, 1 + len(METHODS))
        models[method] = build(method=method)
    exact = models.pop(EXACT)
    probe = Probe(models, inputs[0])
    if probe.calls != len(where.calls):
        raise QuakeError("the model has branches, so its sites cannot be planned one by one")
    others = [p for p in PRECISIONS if p in precisions and p != FLOAT32]
    products = products_of(mod, on, others) if others else []
    parts = Parts(where, groups, products, look_ups_of(mod))
    others = [p for p in others if any(p in product.precisions for product in products)]
    # The products in one precision, for the whole model on every rung.
    uniform = [(m, p) for p in (FLOAT32, *others) for m in METHODS]
    single = [parts.only(n) for n in range(len(products) + len(parts.look_ups))]
    steps = 1 + len(uniform) + len(groups) * (len(METHODS) - 1) + sum(map(len, single)) + ATTEMPTS
    calibration = Calibration(
        exact, probe, inputs, measure, lambda done: progress("measuring errors", done, steps)
    )

    def error(picks: Picks) -> float:
        if parts.is_wide(picks):
            return calibration.error(parts.rungs(picks))
        return calibration.of(build(plan=parts.plan(picks)))[0]

    errors = {m: error(parts.picks(m)) for m in METHODS}
    for method, precision in uniform[len(METHODS) :]:
        narrow = build(plan=parts.plan(parts.picks(method, precision)))
        models[_name(method, precision)] = narrow
        errors[_name(method, precision)] = calibration.of(narrow)[0]
    costs = [
        [calibration.of(build(plan=parts.plan(picks)))[1] for picks in part]
        for part in single[: len(products)]
    ]
    looked_up = [build(plan=parts.plan(picks)) for (picks,) in single[len(products) :]]
    progress("timing kernels", 0, 1)
    calls = [call for group in groups for call in group]
    times = probe.times(calls)
    gained = {precision: _gained(models, precision, inputs[0]) for precision in others}
    look_up_costs = [calibration.of(model)[1] for model in looked_up]
    narrowed = [
        *_product_offers(parts.products, costs, gained),
        *_look_up_offers(models[BASE], looked_up, look_up_costs, inputs[0]),
    ]
    offers = [*rung_offers(calibration, groups, times), *narrowed]
    chosen = choose(offers, error, errors[BASE], budget * HEADROOM)
    hopeless = errors[BASE] > budget
    if hopeless:
        chosen = Chosen(parts.picks(BASE), 0.0, 0.0, 0.0)

    def planned(choice: Chosen) -> Plan:
        return parts.plan(
            choice.picks,
            narrowed,
            hopeless and choice is chosen,
            metric=name,
            budget=float(budget),
            predicted=choice.predicted,
            measured=choice.measured,
            inputs=len(inputs),
            target=Machine.of(on).cpu,
            threads=int(tvm.get_global_func("runtime.NumThreads")()),
        )

    progress("timing the models", 0, 1)
    models["the plan"] = build(plan=planned(chosen))
    milliseconds = _race(models, inputs[0])
    kernels = 1e3 * sum(times[call][BASE] for call in calls)
    plan = replace(
        planned(chosen),
        predicted_milliseconds=_predicted(milliseconds[BASE], kernels, chosen),
        measured_milliseconds=milliseconds["the plan"],
        uniform=tuple(
            Uniform(m, errors[_name(m, p)], milliseconds[_name(m, p)], p) for m, p in uniform
        ),
    )
    rival = plan.rival
    if rival is None or rival.milliseconds > (1 + SIMPLER) * plan.measured_milliseconds:
        return plan
    picks = parts.picks(rival.method, rival.precision)
    simpler = Chosen(picks, rival.error, rival.error, gain(offers, picks))
    return replace(
        planned(simpler),
        predicted_milliseconds=_predicted(milliseconds[BASE], kernels, simpler),
        measured_milliseconds=rival.milliseconds,
        uniform=plan.uniform,
    )


def _name(method: str, precision: str) -> str:
    """The name of the whole model on a rung, with all products in a precision."""
    return Uniform(method, 0.0, 0.0, precision).name


def _gained(models: Mapping[str, Model], precision: str, inputs: Inputs) -> float:
    """The seconds that a precision gains for all products that can have it together."""
    two = {name: models[name] for name in (BASE, _name(BASE, precision))}
    wide, narrow = _race(two, inputs).values()
    return max(wide - narrow, 0.0) / 1e3


def _product_offers(
    products: Sequence[Product], costs: Sequence[Sequence[float]], gained: Mapping[str, float]
) -> list[list[RungCost]]:
    """The precisions of each product, whose gain is its share of the multiplications."""
    work = {p: sum(x.work for x in products if p in x.precisions) for p in gained}

    def offers(product: Product, errors: Sequence[float]) -> list[RungCost]:
        gains = [gained[p] * product.work / max(work[p], 1) for p in product.precisions[:-1]]
        slowest = max(gains, default=0.0)
        times = (slowest - gain for gain in (*gains, 0.0))
        return [RungCost(*pair) for pair in zip((*errors, 0.0), times, strict=True)]

    return [offers(*each) for each in zip(products, costs, strict=True)]


def _look_up_offers(
    base: Model, models: Sequence[Model], costs: Sequence[float], inputs: Inputs
) -> list[list[RungCost]]:
    """The look-up and the layer, for each layer: what the model with this look-up alone gains."""
    named = {str(n): model for n, model in enumerate(models)}
    layers, *taken = _race({BASE: base, **named}, inputs).values() if models else (0.0,)
    return [
        [RungCost(cost, 0.0), RungCost(0.0, (layers - each) / 1e3)]
        for cost, each in zip(costs, taken, strict=True)
    ]


def _check_numbers(inputs: Sequence[Inputs]) -> None:
    """Refuse inputs with NaN, which hides errors from the metric. Infinities may be masks."""
    for number, call in enumerate(inputs, 1):
        arrays: list[Any] = [call]
        if isinstance(call, Mapping):
            arrays = list(call.values())
        elif isinstance(call, list | tuple):
            arrays = list(call)
        for array in arrays:
            if isinstance(array, np.ndarray) and array.dtype.kind == "f" and np.isnan(array).any():
                raise QuakeError(f"calibration input {number} has NaN: give typical ones")


def _predicted(model: float, kernels: float, choice: Chosen) -> float:
    """Milliseconds of a choice, from the times of the model and of its kernels on the highest rung.

    On a busy machine the kernels alone may seem slower than the whole model, which was timed at
    another moment. Then the kernels' gain is scaled down by that ratio.
    """
    return model + 1e3 * choice.seconds * min(1.0, model / kernels)


def _groups(where: Placement) -> list[Calls]:
    """Groups of calls: a site's calls, with the calls of all sites that share a kernel with it."""
    groups: list[tuple[set[int], list[int]]] = []
    for call, sites in enumerate(where.calls):
        if not sites:
            continue
        together = [g for g in groups if g[0] & sites]
        merged = set(sites).union(*(g[0] for g in together))
        before = [c for g in together for c in g[1]]
        groups = [g for g in groups if g not in together]
        groups.append((merged, [*before, call]))
    return [tuple(calls) for _, calls in groups]


def _race(models: Mapping[str, Model], inputs: Inputs) -> dict[str, float]:
    """Milliseconds per call of each model, as medians of interleaved rounds."""

    def timer(model: Model) -> Timer:
        return Timer(lambda number: model.benchmark(inputs, number=number, repeat=1)[0])

    taken = interleave({name: timer(model) for name, model in models.items()}, ROUNDS)
    return {name: 1e3 * statistics.median(each) for name, each in taken.items()}
