"""The user's options of the pass, on both TVMs."""

from collections.abc import Sequence

import pytest

import quake_tvm
from quake_tvm.numerics.number_formats import FORMATS
from quake_tvm.numerics.operators import bound
from quake_tvm.options import RECORDED, Choice, Options
from quake_tvm.site_plan import Plan, PlannedSite

IMPOSSIBLE = [
    {"method": "quake9"},
    {"method": "quake2", "max_error": 1e-3},
    {"max_error": -1.0},
    {"only": ["softmaxx"]},
    {"skip": "softmax"},
    {"only": ["exp"], "skip": ["gelu"]},
    {"special_values": "fast"},
]


@pytest.mark.parametrize("options", IMPOSSIBLE, ids=str)
def test_option_that_cannot_be(options: dict) -> None:
    with pytest.raises(quake_tvm.QuakeError) as error:
        quake_tvm.QuAKE(**options)
    assert "\n" not in str(error.value)


PLAN = Plan(
    (PlannedSite(1, "gelu", "4x8", "exact"), PlannedSite(2, "exp", "4x8", "quake3")), "quake1"
)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, Choice("quake4")),
        ({"method": "quake4"}, Choice("quake4")),
        ({"method": "exact"}, Choice(None, "method is exact")),
        ({"only": ["gelu"]}, Choice(None, "not in only=")),
        ({"only": ["exp"]}, Choice("quake4")),
        ({"skip": ["exp"]}, Choice(None, "in skip=")),
        ({"max_error": 1.0}, Choice("quake1")),
        ({"max_error": 1e-30}, Choice(None, "no rung within max_error=1e-30")),
    ],
    ids=str,
)
def test_the_decision_for_a_site(options: dict, expected: Choice) -> None:
    assert Options.parse(**options).choose("exp") == expected


def test_float64_is_not_lowered() -> None:
    expected = Choice(None, f"dtype float64: only {', '.join(FORMATS)} are lowered")
    assert Options.parse().choose("exp", dtype="float64") == expected
    for dtype in FORMATS:
        assert Options.parse().choose("exp", dtype=dtype) == Choice("quake4")


def test_half_precision_has_bounds_of_its_own() -> None:
    error = bound("exp", "quake3").error
    assert Options.parse(max_error=error).choose("exp") == Choice("quake3")
    reason = f"no rung within max_error={error:g}"
    assert Options.parse(max_error=error).choose("exp", dtype="float16") == Choice(None, reason)


def test_a_record_replaces_the_cheapest_rung() -> None:
    def recorded(operator: str, shape: str, allowed: Sequence[str]) -> str | None:
        return allowed[-1] if shape == "4x8" else None

    options = Options.parse(max_error=1.0, rung=recorded)
    assert options.choose("exp", shape="4x8") == Choice("quake5", RECORDED)
    assert options.choose("exp", shape="4x9") == Choice("quake1")


def test_a_plan_decides_by_the_number_of_the_site() -> None:
    options = Options.parse(plan=PLAN)
    assert options.choose("gelu", site=1) == Choice(None, "exact in the plan")
    assert options.choose("exp", site=2) == Choice("quake3")


def test_a_plan_with_more_sites_than_the_model_is_refused() -> None:
    Options.parse().check_sites(0)
    options = Options.parse(plan=PLAN)
    options.check_sites(2)
    with pytest.raises(quake_tvm.QuakeError, match="it has 2 sites and this one 1"):
        options.check_sites(1)
