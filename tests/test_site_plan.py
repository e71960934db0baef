"""Plans as files, and the rung that a plan gives a site."""

import dataclasses

import pytest

from quake_tvm.errors import QuakeError
from quake_tvm.site_plan import (
    HEADROOM,
    Offered,
    Plan,
    PlannedLookUp,
    PlannedProduct,
    PlannedSite,
    Uniform,
)

PLAN = Plan(
    sites=(
        PlannedSite(1, "softmax", "1x12x128x128", "quake2"),
        PlannedSite(3, "gelu", "1x128x1536", "exact"),
    ),
    inside_kernels="quake4",
    metric="relative",
    budget=1e-3,
    predicted=8e-4,
    measured=6e-4,
    inputs=8,
    target="znver4",
    threads=2,
    predicted_milliseconds=9.0,
    measured_milliseconds=9.5,
    uniform=(
        Uniform("quake1", 0.03, 9.0),
        Uniform("quake2", HEADROOM * 1e-3 * 1.01, 9.2),
        Uniform("quake3", 1e-4, 10.0),
        Uniform("quake4", 1e-6, 11.0),
    ),
)
OFFERS = Offered("int8", 1e-3, 0.2), Offered("bfloat16", 1e-5, 0.1)
PARTS = dataclasses.replace(
    PLAN,
    products=tuple(PlannedProduct(n, "8x9", "bfloat16", OFFERS) for n in (1, 2)),
    look_ups=tuple(PlannedLookUp(n, "4x8", "look-up", 1e-5, 0.1) for n in (0, 7)),
)


def test_there_and_back(tmp_path):
    path = PARTS.save(tmp_path / "plan.toml")
    assert Plan.load(path) == PARTS
    assert [line for line in path.read_text().splitlines() if "softmax" in line]


def test_a_notebook_shows_tables():
    page = PLAN._repr_html_()
    assert page.startswith("<pre")
    assert all(word in page for word in ("1x12x128x128", "plan, measured", PLAN.verdict))


def test_saving_again_replaces(tmp_path):
    path = PLAN.save(tmp_path / "plan.toml")
    other = dataclasses.replace(PLAN, metric="kl")
    other.save(path)
    assert Plan.load(path) == other
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    ("operator", "site", "method"),
    [("softmax", 1, "quake2"), ("gelu", 3, None), ("exp", 0, "quake4"), ("gelu", None, None)],
)
def test_the_rung_of_a_site(operator, site, method):
    assert PLAN.method(operator, site) == method


@pytest.mark.parametrize(("operator", "site"), [("gelu", 1), ("gelu", 2), ("gelu", 4)])
def test_another_models_site(operator, site):
    with pytest.raises(QuakeError, match=f"another model: site {site} .*plan this model anew"):
        PLAN.method(operator, site)


def test_a_model_with_fewer_sites():
    PLAN.check(3)
    with pytest.raises(QuakeError, match="another model: it has 3 sites and this one 2"):
        PLAN.check(2)


def test_the_rival_keeps_the_headroom():
    assert PLAN.rival.method == "quake3"
    assert "5.0% less time than quake3" in PLAN.verdict


@pytest.mark.parametrize(
    ("precisions", "said"),
    [
        (("int8", "float32"), "quake2, int8 for every site"),
        (("float32", "float32"), "quake2 for every site"),
        (("bfloat16", "float32"), "less time than"),
        (("int8", "bfloat16"), "less time than"),
    ],
)
def test_one_precision_of_all_products_that_can_have_it(precisions, said):
    products = (
        PlannedProduct(1, "8x9", precisions[0], OFFERS),
        PlannedProduct(2, "8x9x3x3", precisions[1], OFFERS[1:]),
    )
    plan = dataclasses.replace(PLAN, sites=PLAN.sites[:1], products=products)
    assert said in plan.verdict


def test_what_one_rung_or_none_is_said_to_be():
    one = dataclasses.replace(PLAN, sites=(PLAN.sites[0],))
    assert "quake2 for every site" in one.verdict
    none = dataclasses.replace(PLAN, sites=(PLAN.sites[1],))
    assert "stays exact" in none.verdict


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (("version = 1", "version = 2"), "another version"),
        (("version = 1", ""), "no 'version'"),
        (("quake2", "quake9"), "unknown method 'quake9'"),
        (("number = 3", "number = 1"), "two sites of one number"),
        (("number = 2", "number = 1"), "two products of one number"),
        (("number = 7", "number = 0"), "two look-ups of one number"),
        (('"int8"', '"int4"'), "unknown precision 'int4'"),
        (("error = 0.001", 'error = "0"'), "error = '0' is not of type float"),
        (("number = 7", 'number = "7"'), "number = '7' is not of type int"),
        (("number = 7", "number = true"), "number = True is not of type int"),
        (('"8x9"', "[8, 9]"), "shape = .* is not of type str"),
        (("budget = 0.001", 'budget = "0.001"'), "budget = '0.001' is not of type float"),
        (("milliseconds = 9.2", "milliseconds = 0.0"), "a uniform choice is not positive"),
        (("metric", "metrik"), "metrik"),
        (("budget = ", "budget "), "is not TOML"),
        (("site = [", "sites = ["), "no 'site'"),
    ],
)
def test_what_is_no_plan(tmp_path, change, reason):
    path = PARTS.save(tmp_path / "plan.toml")
    text = path.read_text()
    assert change[0] in text
    path.write_text(text.replace(*change))
    with pytest.raises(QuakeError, match=reason) as error:
        Plan.load(path)
    assert "\n" not in str(error.value)


def test_no_file(tmp_path):
    with pytest.raises(QuakeError, match="cannot read"):
        Plan.load(tmp_path / "none.toml")
    with pytest.raises(QuakeError, match="cannot write"):
        PLAN.save(tmp_path / "none" / "plan.toml")
