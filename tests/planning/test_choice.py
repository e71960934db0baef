"""The choice of rungs by measured errors. Here the errors follow a known law."""

import math

import pytest

from quake_tvm.numerics.ladder import METHODS
from quake_tvm.planning.choice import ATTEMPTS, choose, one_rung

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


def decide(law, aim, times=TIMES):
    return choose(Law(law), GROUPS, dict.fromkeys(range(5), times), 0.0, aim)


@pytest.mark.parametrize("law", [summed, independent, worse])
@pytest.mark.parametrize("aim", [1e-4, 2e-3, 0.03, 0.2, 10.0])
def test_within_the_aim(law, aim):
    chosen = decide(law, aim)
    calls = {c: m for group, m in zip(GROUPS, chosen.methods, strict=True) for c in group}
    assert chosen.measured == pytest.approx(law([ERRORS[m] for m in calls.values()]))
    assert chosen.measured <= aim


def test_a_larger_aim_takes_no_more_time():
    seconds = [decide(independent, aim).seconds for aim in (1e-4, 1e-3, 1e-2, 0.1, 1.0)]
    assert seconds == sorted(seconds, reverse=True)
    assert seconds[-1] == 5 * (TIMES["quake1"] - TIMES["quake5"])


def test_errors_that_add_up_to_less_are_used():
    assert decide(independent, 0.12).seconds < decide(summed, 0.12).seconds


def test_what_nothing_is_gained_by_stays_accurate():
    chosen = decide(summed, 10.0, dict.fromkeys(METHODS, 1.0))
    assert chosen.methods == ["quake5"] * 4
    assert chosen.measured == 0.0


def test_few_are_measured():
    law = Law(independent)
    choose(law, GROUPS, dict.fromkeys(range(5), TIMES), 0.0, 0.05)
    assert len(law.asked) <= len(GROUPS) * (len(METHODS) - 1) + ATTEMPTS


def test_one_rung():
    found = one_rung(GROUPS, dict.fromkeys(range(5), TIMES), "quake3", 0.5)
    assert found.methods == ["quake3"] * 4
    assert (found.predicted, found.measured) == (0.5, 0.5)
    assert found.seconds == pytest.approx(5 * (TIMES["quake3"] - TIMES["quake5"]))
