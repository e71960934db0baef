"""The choice of rungs by measured errors. Here the errors follow a known law."""

import math

import pytest

from quake_tvm.numerics.ladder import METHODS
from quake_tvm.planning.choice import ATTEMPTS, choose, gain, rung_offers
from quake_tvm.planning.search import RungCost

# The error of a site on each rung, and its time.
ERRORS = dict(zip(METHODS, (0.1, 0.01, 1e-3, 1e-4, 0.0), strict=True))
TIMES = dict(zip(METHODS, (1.0, 1.2, 1.3, 1.5, 2.0), strict=True))
GROUPS = [(0,), (1, 2), (3,), (4,)]


class Law:
    """The law: how the errors of calls add up."""

    def __init__(self, together):
        self.together, self.asked = together, []

    def error(self, rungs):
        self.asked.append(rungs)
        return self.together([ERRORS[m] for m in rungs.values()])

    added = error


def summed(errors):
    return sum(errors)


def independent(errors):
    return math.sqrt(sum(e * e for e in errors))


def worse(errors):
    return 3 * sum(errors)


def rungs(picks):
    return {c: METHODS[n] for group, n in zip(GROUPS, picks, strict=True) for c in group}


def decide(law, aim, times=TIMES):
    calibration = law if isinstance(law, Law) else Law(law)
    offers = rung_offers(calibration, GROUPS, dict.fromkeys(range(5), times))
    return choose(offers, lambda picks: calibration.error(rungs(picks)), 0.0, aim)


@pytest.mark.parametrize("law", [summed, independent, worse])
@pytest.mark.parametrize("aim", [1e-4, 2e-3, 0.03, 0.2, 10.0])
def test_within_the_aim(law, aim):
    chosen = decide(law, aim)
    assert chosen.measured == pytest.approx(law([ERRORS[m] for m in rungs(chosen.picks).values()]))
    assert chosen.measured <= aim


def test_a_larger_aim_takes_no_more_time():
    seconds = [decide(independent, aim).seconds for aim in (1e-4, 1e-3, 1e-2, 0.1, 1.0)]
    assert seconds == sorted(seconds, reverse=True)
    assert seconds[-1] == 5 * (TIMES["quake1"] - TIMES["quake5"])


def test_errors_that_add_up_to_less_are_used():
    assert decide(independent, 0.12).seconds < decide(summed, 0.12).seconds


def test_what_nothing_is_gained_by_stays_accurate():
    chosen = decide(summed, 10.0, dict.fromkeys(METHODS, 1.0))
    assert chosen.picks == (4,) * 4
    assert chosen.measured == 0.0


def test_few_are_measured():
    law = Law(independent)
    decide(law, 0.05)
    assert len(law.asked) <= len(GROUPS) * (len(METHODS) - 1) + ATTEMPTS


def test_the_gain_of_a_choice():
    offers = rung_offers(Law(summed), GROUPS, dict.fromkeys(range(5), TIMES))
    assert gain(offers, (2,) * 4) == pytest.approx(5 * (TIMES["quake3"] - TIMES["quake5"]))


def test_parts_with_offers_of_two():
    """A product that gains much for its error is taken before a site that gains little."""
    site = [RungCost(0.8, 0.9), RungCost(0.0, 1.0)]
    product = [RungCost(0.8, 0.0), RungCost(0.0, 5.0)]
    found = choose([site, product], lambda picks: 0.8 * picks.count(0), 0.0, 1.0)
    assert found.picks == (1, 0)
    assert (found.predicted, found.seconds) == (0.8, -5.0)
