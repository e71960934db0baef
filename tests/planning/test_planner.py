"""Plans of small models keep their error, also on inputs that the planner has not seen."""

import numpy as np
import pytest

import quake_tvm
from quake_tvm.lookup.blocks import find
from quake_tvm.lookup.layer import LookupLayer
from quake_tvm.lookup.surgery import beside
from quake_tvm.numerics.ladder import METHODS
from quake_tvm.planning import planner
from quake_tvm.planning.metrics import absolute, relative
from quake_tvm.site_plan import HEADROOM, Plan, PlannedProduct, PlannedSite
from tests.helpers import module
from tests.lookup.models import encoder
from tests.lookup.models import inputs as encoder_inputs
from tests.planning.models import gated, hidden, inputs, network

MODELS = {"network": network, "gated": gated, "hidden": hidden}


def error(mod, plan, seed):
    calls = inputs(mod, 8, seed)
    exact = quake_tvm.compile(mod, method="exact")
    planned = quake_tvm.compile(mod, plan=plan)
    return relative([exact.run(x) for x in calls], [planned.run(x) for x in calls])


@pytest.mark.parametrize(
    ("model", "budget"),
    [("gated", 3e-3), ("hidden", 3e-3), ("network", 3e-3), ("network", 2e-5)],
)
def test_the_budget_is_kept(model, budget):
    mod = MODELS[model]()
    plan = quake_tvm.plan(mod, inputs(mod, 8), budget)
    assert plan.measured <= HEADROOM * budget
    assert plan.measured == pytest.approx(error(mod, plan, seed=0))
    assert error(mod, plan, seed=1) <= budget
    assert [u.method for u in plan.uniform] == list(METHODS)
    assert plan.measured_milliseconds > 0 < plan.predicted_milliseconds


@pytest.mark.slow
def test_a_mixture_where_sites_differ(monkeypatch):
    """The first layer's GELU has a large error and takes no time; the rest is the reverse."""
    mod = network()
    seconds = dict(zip(METHODS, (1.0, 1.1, 1.2, 1.3, 1.4), strict=True))
    monkeypatch.setattr(planner.Probe, "times", lambda _, calls: dict.fromkeys(calls, seconds))
    race = {m: 10 + 4 * s for m, s in seconds.items()} | {"the plan": 9.0}
    monkeypatch.setattr(planner, "_race", lambda *_: race)
    plan = quake_tvm.plan(mod, inputs(mod, 4), 2e-3)
    methods = [site.method for site in plan.sites]
    assert len(set(methods)) > 1
    assert plan.verdict.startswith("3")  # 9 compared with the time of the best single rung
    report = quake_tvm.compile(mod, plan=plan).report
    assert [site.method for site in report.sites] == methods
    assert str(plan) in str(report).replace("\n", " ")


@pytest.mark.parametrize(
    ("model", "kernels", "predicted"),
    [(10.0, 4.0, 7.0), (10.0, 10.0, 7.0), (2.0, 4.0, 0.5), (0.1, 1e3, 0.0997)],
)
def test_no_time_is_predicted_to_be_negative(model, kernels, predicted):
    """The plan saves 3 ms of the measured time."""
    gain = planner.Chosen((), 0.0, 0.0, -3e-3)
    assert planner._predicted(model, kernels, gain) == pytest.approx(predicted)


@pytest.mark.slow
def test_a_single_rung_as_fast_is_the_plan(monkeypatch):
    mod = network()
    race = dict.fromkeys([*METHODS, "the plan"], 1.0)
    monkeypatch.setattr(planner, "_race", lambda *_: race)
    plan = quake_tvm.plan(mod, inputs(mod, 4), 2e-3)
    assert len({site.method for site in plan.sites}) == 1
    assert "for every site" in plan.verdict


@pytest.mark.slow
def test_products_have_a_precision(monkeypatch, tmp_path):
    """bfloat16 gains much, and the budget allows it for some of the products."""
    mod = network()
    monkeypatch.setattr(planner, "_gained", lambda *_: 1.0)
    real = planner._race

    def race(models, inputs):
        return {name: 1.0 if name == "the plan" else 2.0 for name in real(models, inputs)}

    monkeypatch.setattr(planner, "_race", race)
    plan = quake_tvm.plan(mod, inputs(mod, 4), 0.014, precisions=["float32", "bfloat16"])
    assert len(plan.products) == 5
    assert {p.precision for p in plan.products} == {"float32", "bfloat16"}
    offers = [offer for product in plan.products for offer in product.offers]
    assert {offer.precision for offer in offers} == {"bfloat16"}
    assert all(offer.error > 0 < offer.milliseconds for offer in offers)
    assert plan.measured <= HEADROOM * 0.014
    assert error(mod, plan, seed=1) <= 0.014
    assert {u.precision for u in plan.uniform} == {"float32", "bfloat16"}
    assert Plan.load(plan.save(tmp_path / "plan.toml")) == plan


@pytest.mark.slow
def test_products_of_bytes(monkeypatch, tmp_path):
    """int8 gains more than bfloat16, so that it serves products as the budget allows."""
    mod = network()
    gained = {"bfloat16": 1.0, "int8": 1.5}
    monkeypatch.setattr(planner, "_gained", lambda models, precision, inputs: gained[precision])
    real = planner._race

    def race(models, inputs):
        return {name: 1.0 if name == "the plan" else 2.0 for name in real(models, inputs)}

    monkeypatch.setattr(planner, "_race", race)
    precisions = ["float32", "bfloat16", "int8"]
    plan = quake_tvm.plan(mod, inputs(mod, 4), 0.03, precisions=precisions)
    for product in plan.products:
        integers, halves = product.offers
        assert (integers.precision, halves.precision) == ("int8", "bfloat16")
        assert integers.error > 0 < halves.error
        assert integers.milliseconds == pytest.approx(1.5 * halves.milliseconds)
    assert "int8" in {p.precision for p in plan.products}
    assert plan.measured <= HEADROOM * 0.03
    assert error(mod, plan, seed=1) <= 0.03
    assert {u.precision for u in plan.uniform} == set(precisions)
    assert Plan.load(plan.save(tmp_path / "plan.toml")) == plan


def test_a_plan_of_bytes_has_the_bits_of_the_precision():
    """A product in int8 is that of precision="int8"; its neighbour is as it was."""
    mod = gated()
    sites = tuple(
        PlannedSite(n, name, "4x32", "quake2") for n, name in ((1, "tanh"), (2, "sigmoid"))
    )
    (x,) = inputs(mod, 1)
    plan = Plan(sites, "quake2", products=(PlannedProduct(1, "32x32", "int8"),))
    found = quake_tvm.compile(mod, plan=plan).run(x)
    whole = quake_tvm.compile(mod, method="quake2", precision="int8").run(x)
    np.testing.assert_array_equal(found[0], whole[0])
    (wide,) = quake_tvm.compile(mod, method="quake2").run(x)
    assert not np.array_equal(found[0], wide)


@pytest.mark.slow
def test_look_ups_are_chosen_within_the_budget(monkeypatch, tmp_path):
    """Each of two look-ups gains a millisecond; the one that adds more error stays a layer."""
    source, calls = encoder(), encoder_inputs(3, rows=8)
    look_ups = [random_look_up(32, scale) for scale in (1e-3, 1.0)]
    model = source
    for block, layer in zip(find(source), look_ups, strict=True):
        model = beside(model, block, layer, "float32")

    def race(models, _):
        return {name: 1.0 if name in ("0", "1", "the plan") else 2.0 for name in models}

    monkeypatch.setattr(planner, "_race", race)
    shapes = {"x": (8, 32)}
    exact = quake_tvm.compile(source, method="exact", shapes=shapes)
    plan = quake_tvm.plan(model, calls, 5.0, "absolute", shapes=shapes)
    assert [(p.number, p.shape, p.choice) for p in plan.look_ups] == [
        (0, "8x32", "look-up"),
        (1, "8x32", "layer"),
    ]
    assert [p.milliseconds for p in plan.look_ups] == [1.0, 1.0]
    assert plan.measured <= HEADROOM * 5.0 < plan.look_ups[1].error
    assert plan.look_ups[0].error <= plan.predicted
    assert "less time than" in plan.verdict
    assert Plan.load(plan.save(tmp_path / "plan.toml")) == plan
    planned = quake_tvm.compile(model, plan=plan, shapes=shapes)
    found = [planned.run(x) for x in calls]
    expected = [exact.run(x) for x in calls]
    assert absolute(expected, found) == pytest.approx(plan.measured)
    assert {site.source for site in planned.report.sites} == {"lookup_ffn", "nn.gelu"}
    with pytest.raises(quake_tvm.QuakeError, match="a look-up 0, which is not there"):
        quake_tvm.compile(source, plan=plan, shapes=shapes)


def random_look_up(width, scale, tables=4, bits=3):
    random = np.random.default_rng(7)
    shapes = (width, tables * bits), (tables * bits,), (tables << bits, width), (width,)
    arrays = [random.standard_normal(shape).astype(np.float32) for shape in shapes]
    return LookupLayer(*arrays[:2], *(np.float32(scale) * a for a in arrays[2:]), bits=bits)


def test_a_plan_of_products_goes_with_no_precision_and_no_other_model():
    mod = gated()
    sites = tuple(
        PlannedSite(n, name, "4x32", "quake2") for n, name in ((1, "tanh"), (2, "sigmoid"))
    )
    products = (PlannedProduct(1, "32x32", "bfloat16"),)
    plan = Plan(sites, "quake2", products=products)
    with pytest.raises(quake_tvm.QuakeError, match="leave out precision="):
        quake_tvm.compile(mod, plan=plan, precision="float16")
    more = Plan(sites, "quake2", products=(PlannedProduct(2, "32x32", "bfloat16"),))
    with pytest.raises(quake_tvm.QuakeError, match="more products"):
        quake_tvm.compile(mod, plan=more)


def test_a_budget_that_no_rung_keeps():
    mod = gated()
    plan = quake_tvm.plan(mod, inputs(mod, 2), 1e-9)
    assert {site.method for site in plan.sites} == {"exact"}
    assert error(mod, plan, seed=1) == 0
    report = quake_tvm.compile(mod, plan=plan).report
    assert {site.reason for site in report.exact} == {"exact in the plan"}


def test_a_metric_of_one_s_own():
    def flips(expected, found):
        pairs = zip(expected, found, strict=True)
        return float(np.mean([np.mean(a[0].argmax(1) != b[0].argmax(1)) for a, b in pairs]))

    mod = gated()
    plan = quake_tvm.plan(mod, inputs(mod, 8), 0.0, flips)
    assert plan.measured == 0
    assert plan.metric.endswith("flips")


def broken(expected, found):
    raise ValueError("no such thing")


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"budget": -1.0}, "budget"),
        ({"budget": float("nan")}, "budget"),
        ({"metric": "l2"}, "choose from"),
        ({"metric": broken}, "the metric fails"),
        ({"target": "raspberry-pi-4"}, "plan for native"),
        ({"calibration_inputs": []}, "the calibration has no inputs"),
        ({"calibration_inputs": [np.float32([1, np.nan])]}, "calibration input 1 has NaN"),
        ({"calibration_inputs": [{"a": np.float32([[np.nan]])}]}, "calibration input 1 has NaN"),
        ({"calibration_inputs": [[np.zeros((1, 1), np.float32)]]}, "shape"),
    ],
)
def test_what_cannot_be(options, reason):
    mod = gated()
    with pytest.raises(quake_tvm.QuakeError, match=reason) as caught:
        quake_tvm.plan(mod, **({"calibration_inputs": inputs(mod, 1)} | options))
    assert "\n" not in str(caught.value)


def test_a_model_without_sites():
    mod = module(lambda x: x, (2, 2))
    with pytest.raises(quake_tvm.QuakeError, match="no nonlinearity"):
        quake_tvm.plan(mod, [[np.zeros((2, 2), np.float32)]])


def test_a_plan_goes_with_nothing_else():
    mod = gated()
    site = PlannedSite(1, "gelu", "4x32", "quake2")
    plan = Plan((site,), "quake2")
    for other in ({"method": "quake1"}, {"max_error": 1e-3}, {"skip": ["gelu"]}):
        with pytest.raises(quake_tvm.QuakeError, match="a plan sets every rung"):
            quake_tvm.compile(mod, plan=plan, **other)
    with pytest.raises(quake_tvm.QuakeError, match="another model"):
        quake_tvm.compile(mod, plan=plan)
