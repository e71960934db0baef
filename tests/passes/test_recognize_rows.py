"""softmax, log_softmax and logsumexp are found as TVM's operators and as single operators."""

import math

import pytest
from tvm import relax
from tvm.relax.op import (
    broadcast_to,
    equal,
    exp,
    expand_dims,
    log,
    max,
    mean,
    min,
    nn,
    square,
    sum,
    where,
)  # fmt: skip

from quake_tvm.passes.graph import Site
from quake_tvm.passes.recognize_rows import find
from quake_tvm.passes.relax.graph import Graph
from tests.helpers import Formula, c, function, once

CUBE = (4, 4, 4)


def total(x: relax.Expr, axis: int | list[int] | None, keepdims: bool = True) -> relax.Expr:
    return sum(x, axis, keepdims)


def shifted(x: relax.Expr, axis: int) -> relax.Expr:
    return x - max(x, axis, keepdims=True)


def ratio(numerator: relax.Expr, denominator: Formula) -> relax.Expr:
    e = once(numerator)
    return e / denominator(e)


def softmax(t: relax.Expr, axis: int) -> relax.Expr:
    return ratio(exp(t), lambda e: total(e, axis))


def log_softmax(t: relax.Expr, axis: int) -> relax.Expr:
    t = once(t)
    return t - log(total(exp(t), axis))


def logsumexp(x: relax.Expr, axis: int, shift_first: bool) -> relax.Expr:
    top = once(max(x, axis, keepdims=True))
    result = log(total(exp(x - top), axis))
    return top + result if shift_first else result + top


def kept(x: relax.Expr, axis: int) -> relax.Expr:
    """keepdims in the form of some exporters."""
    return expand_dims(total(x, axis, keepdims=False), axis)


def sites_of(formula: Formula, *shapes: tuple) -> tuple[relax.Function, list[Site]]:
    main = function(formula, *(shapes or [CUBE]))
    return main, find(Graph(main))


@pytest.mark.parametrize("axis", [0, 1, 2, -1])
@pytest.mark.parametrize(
    ("operator", "form"),
    [
        pytest.param("softmax", nn.softmax, id="softmax-op"),
        pytest.param("softmax", softmax, id="softmax-plain"),
        pytest.param("softmax", lambda x, k: softmax(shifted(x, k), k), id="softmax-stable"),
        pytest.param(
            "softmax", lambda x, k: ratio(exp(x), lambda e: kept(e, k)), id="softmax-expanded"
        ),
        pytest.param(
            "softmax",
            lambda x, k: ratio(exp(x), lambda e: broadcast_to(kept(e, k), CUBE)),
            id="softmax-broadcast",
        ),
        pytest.param("log_softmax", nn.log_softmax, id="log_softmax-op"),
        pytest.param("log_softmax", log_softmax, id="log_softmax-plain"),
        pytest.param(
            "log_softmax", lambda x, k: log_softmax(shifted(x, k), k), id="log_softmax-stable"
        ),
        pytest.param("logsumexp", lambda x, k: log(total(exp(x), k)), id="logsumexp-plain"),
        pytest.param("logsumexp", lambda x, k: logsumexp(x, k, False), id="logsumexp-stable"),
        pytest.param("logsumexp", lambda x, k: logsumexp(x, k, True), id="logsumexp-max_first"),
    ],
)
def test_form_is_one_site(operator: str, form: Formula, axis: int) -> None:
    main, (site,) = sites_of(lambda x: form(x, axis))
    attributes = {"axis": axis % 3} | ({"keepdims": True} if operator == "logsumexp" else {})
    assert (site.operator, site.attributes) == (operator, attributes)
    assert site.args == (main.params[0],)
    assert site.region == set(Graph(main).values)


def safe(x: relax.Expr, axis: int, of: int | None = None, otherwise: float = 0.0) -> relax.Expr:
    top = once(max(x, axis if of is None else of, keepdims=True))
    return where(once(equal(top, c(-math.inf))), c(otherwise), once(nn.softmax(x, axis)))


@pytest.mark.parametrize("axis", [0, -1])
def test_softmax_that_is_zero_where_all_is_masked(axis: int) -> None:
    main, (site,) = sites_of(lambda x: safe(x, axis))
    assert (site.operator, site.attributes) == ("softmax", {"axis": axis % 3, "empty": 0.0})
    assert site.region == set(Graph(main).values)


@pytest.mark.parametrize("options", [{"of": 1}, {"otherwise": 1.0}])
def test_other_choices_stay_behind_the_softmax(options: dict) -> None:
    _, (site,) = sites_of(lambda x: safe(x, 2, **options))
    assert (site.operator, site.attributes) == ("softmax", {"axis": 2})
    assert len(site.region) == 1


def test_logsumexp_without_kept_axis() -> None:
    _, (site,) = sites_of(lambda x: log(total(exp(x), 1, keepdims=False)))
    assert (site.operator, site.attributes) == ("logsumexp", {"axis": 1, "keepdims": False})


def test_softmax_with_the_maximum_of_another_axis() -> None:
    """It is still a softmax along the sum's axis, but of the difference."""
    main, (site,) = sites_of(lambda x: softmax(shifted(x, 1), 2))
    (x,) = site.args
    assert (site.operator, site.attributes["axis"]) == ("softmax", 2)
    assert x not in main.params
    assert x not in site.region


def test_logsumexp_used_elsewhere_is_a_site_too() -> None:
    def both(x: relax.Expr) -> tuple[relax.Expr, relax.Expr]:
        inner = once(log(total(exp(x), 2)))
        return x - inner, inner

    _, sites = sites_of(both)
    assert [site.operator for site in sites] == ["log_softmax", "logsumexp"]


@pytest.mark.parametrize(
    "formula",
    [
        pytest.param(lambda x: ratio(exp(x), lambda e: total(e, 2, False)), id="keepdims_false"),
        pytest.param(
            lambda x: ratio(exp(x), lambda e: expand_dims(total(e, 2, False), 1)),
            id="expanded_amiss",
        ),
        pytest.param(
            lambda x: ratio(exp(x), lambda e: broadcast_to(total(e, 2, False), CUBE)),
            id="broadcast_amiss",
        ),
        pytest.param(lambda x: ratio(exp(x), lambda e: total(e, [1, 2])), id="two_axes"),
        pytest.param(lambda x: ratio(exp(x), lambda e: total(e, None)), id="all_axes"),
        pytest.param(lambda x: ratio(exp(x), lambda e: mean(e, 2, True)), id="mean"),
        pytest.param(lambda x: ratio(exp(x), lambda e: total(e, 2) + c(1e-6)), id="epsilon"),
        pytest.param(lambda x: exp(x) / total(exp(x + x), 2), id="sum_of_something_else"),
        pytest.param(lambda x: ratio(exp(x), lambda e: total(e, 2) / e), id="upside_down"),
        pytest.param(lambda x: ratio(square(x), lambda s: total(s, 2)), id="no_exp"),
        pytest.param(lambda x: log(total(exp(x), [0, 1])), id="logsumexp_two_axes"),
    ],
)
def test_near_miss_is_no_site(formula: Formula) -> None:
    _, sites = sites_of(formula)
    assert sites == []


@pytest.mark.parametrize(
    "formula",
    [
        pytest.param(lambda x: x - log(total(exp(x + x), 2)), id="of_something_else"),
        pytest.param(lambda x: x - log(total(exp(x), 2, False)), id="keepdims_false"),
        pytest.param(lambda x: log(total(exp(x), 2)) - x, id="minus_log_softmax"),
    ],
)
def test_near_miss_of_log_softmax_is_logsumexp(formula: Formula) -> None:
    _, (site,) = sites_of(formula)
    assert site.operator == "logsumexp"


@pytest.mark.parametrize("reduce", [max, min], ids=["other_axis", "minimum"])
def test_logsumexp_gets_its_own_maximum_back(reduce: Formula) -> None:
    def formula(x: relax.Expr) -> relax.Expr:
        other = reduce(x, 1 if reduce is max else 2, keepdims=True)
        return log(total(exp(x - max(x, 2, keepdims=True)), 2)) + other

    _, sites = sites_of(formula)
    assert sites == []


def test_two_tensors() -> None:
    _, sites = sites_of(lambda x, y: exp(x) / total(exp(y), 2), CUBE, CUBE)
    assert sites == []


@pytest.mark.parametrize("rank", [3, -1], ids=["extents", "rank"])
def test_unknown_shape_is_left(rank: int) -> None:
    x = relax.Var("x", relax.TensorType(dtype="float32", ndim=rank))
    builder = relax.BlockBuilder()
    with builder.function("main", [x]):
        builder.emit_func_output(builder.emit(nn.softmax(x)))
    assert find(Graph(builder.get()["main"])) == []
