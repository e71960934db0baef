"""A probed model gives the same bits as the model that is built with those rungs."""

import numpy as np
import pytest

import quake_tvm
from quake_tvm.errors import QuakeError
from quake_tvm.machines.targets import target
from quake_tvm.numerics.ladder import METHODS
from quake_tvm.planning.placement import placement
from quake_tvm.planning.probe import BASE, Probe
from quake_tvm.site_plan import Plan, PlannedSite
from tests.planning.models import inputs, network

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def models():
    return {m: quake_tvm.compile(network(), method=m) for m in METHODS}


@pytest.fixture(scope="module")
def probe(models):
    return Probe(models, inputs(network(), 1)[0])


@pytest.fixture(scope="module")
def where():
    return placement(network(), target(), BASE)


@pytest.mark.parametrize("method", METHODS)
def test_one_rung_for_all(models, probe, where, method):
    (x,) = inputs(network(), 1, seed=1)
    rungs = {call: method for call, sites in enumerate(where.calls) if sites}
    np.testing.assert_array_equal(probe.outputs(rungs, x), models[method].run(x))


def test_a_mixture(probe, where):
    (x,) = inputs(network(), 1, seed=2)
    mixed = dict(zip(where.sites, ("quake1", "quake4", "quake3", "quake2"), strict=True))
    rungs = {call: mixed[n] for call, sites in enumerate(where.calls) for n in sites}
    planned = tuple(PlannedSite(n, *site, mixed[n]) for n, site in where.sites.items())
    plan = Plan(planned, BASE)
    built = quake_tvm.compile(network(), plan=plan)
    assert [site.method for site in built.report.sites] == list(mixed.values())
    np.testing.assert_array_equal(probe.outputs(rungs, x), built.run(x))
    # Each of them has an effect.
    for call in rungs:
        other = probe.outputs({**rungs, call: BASE}, x)
        assert not np.array_equal(other, built.run(x))


def test_nothing_of_it_stays(models, probe):
    (x,) = inputs(network(), 1, seed=3)
    before = models[BASE].run(x)
    probe.outputs(dict.fromkeys(range(probe.calls), "quake1"), x)
    np.testing.assert_array_equal(models[BASE].run(x), before)


def test_the_model_itself_has_no_instrument(models):
    (x,) = inputs(network(), 1, seed=3)
    seen = []
    models[BASE].instrumented(lambda *call: seen.append(call) or 0).run(x)
    before = len(seen)
    models[BASE].run(x)
    assert len(seen) == before > 0


def test_times_of_every_rung(probe, where):
    calls = [call for call, sites in enumerate(where.calls) if sites]
    times = probe.times(calls)
    assert set(times) == set(calls)
    assert all(set(each) == set(METHODS) and min(each.values()) > 0 for each in times.values())
    assert times[calls[0]] == times[calls[2]]  # the same kernel


def test_models_that_differ_in_more(models):
    other = quake_tvm.compile(network(), method="quake1", skip=["softmax"])
    with pytest.raises(QuakeError, match="not the same on all rungs"):
        Probe({**models, "quake1": other}, inputs(network(), 1)[0])
