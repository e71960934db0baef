"""softmax, log_softmax and logsumexp are found as TVM's operators and as single operators."""

import pytest
from tvm import relay
from tvm.relay import broadcast_to, exp, expand_dims, log, max, mean, min, nn, sum

from quake_tvm.passes.graph import Site
from quake_tvm.passes.recognize_rows import find
from quake_tvm.passes.relay.graph import Graph

from .modules import Formula, c, module

CUBE = (4, 4, 4)
ANY = relay.Any()


def total(x: relay.Expr, axis: int | list[int] | None, keepdims: bool = True) -> relay.Expr:
    return sum(x, axis, keepdims)


def shifted(x: relay.Expr, axis: int) -> relay.Expr:
    return x - max(x, axis, keepdims=True)


def ratio(e: relay.Expr, denominator: Formula) -> relay.Expr:
    return e / denominator(e)


def softmax(t: relay.Expr, axis: int) -> relay.Expr:
    return ratio(exp(t), lambda e: total(e, axis))


def log_softmax(t: relay.Expr, axis: int) -> relay.Expr:
    return t - log(total(exp(t), axis))


def kept(x: relay.Expr, axis: int) -> relay.Expr:
    """keepdims in the form of some importers."""
    return expand_dims(total(x, axis, keepdims=False), axis)


def others(axis: int) -> list[int]:
    """All of three axes except one."""
    return [k for k in range(3) if k != axis % 3]


def sites_of(formula: Formula, *shapes: tuple) -> tuple[relay.Function, list[Site]]:
    main = module(formula, *(shapes or [CUBE]))["main"]
    return main, find(Graph(main))


FORMS = [
    pytest.param("softmax", lambda x, k: nn.softmax(x, axis=k), id="softmax-op"),
    pytest.param("softmax", softmax, id="softmax-plain"),
    pytest.param("softmax", lambda x, k: softmax(shifted(x, k), k), id="softmax-stable"),
    pytest.param("softmax", lambda x, k: ratio(exp(x), lambda e: kept(e, k)), id="softmax-kept"),
    pytest.param(
        "softmax",
        lambda x, k: ratio(exp(x), lambda e: broadcast_to(kept(e, k), CUBE)),
        id="softmax-broadcast",
    ),
    pytest.param(
        "softmax",
        lambda x, k: ratio(exp(x), lambda e: sum(e, others(k), True, exclude=True)),
        id="softmax-exclude",
    ),
    pytest.param("log_softmax", lambda x, k: nn.log_softmax(x, axis=k), id="log_softmax-op"),
    pytest.param("log_softmax", log_softmax, id="log_softmax-plain"),
    pytest.param(
        "log_softmax", lambda x, k: log_softmax(shifted(x, k), k), id="log_softmax-stable"
    ),
    pytest.param("log_softmax", lambda x, k: log(nn.softmax(x, axis=k)), id="log_softmax-onnx"),
    pytest.param("log_softmax", lambda x, k: log(softmax(x, k)), id="log_softmax-of_ratio"),
    pytest.param("logsumexp", lambda x, k: relay.logsumexp(x, k, keepdims=True), id="logsumexp-op"),
    pytest.param("logsumexp", lambda x, k: log(total(exp(x), k)), id="logsumexp-plain"),
]


@pytest.mark.parametrize("axis", [0, 1, 2, -1])
@pytest.mark.parametrize(("operator", "form"), FORMS)
def test_form_is_one_site(operator: str, form: Formula, axis: int) -> None:
    main, (site,) = sites_of(lambda x: form(x, axis))
    attributes = {"axis": axis % 3} | ({"keepdims": True} if operator == "logsumexp" else {})
    assert (site.operator, site.attributes) == (operator, attributes)
    assert site.args == (main.params[0],)
    assert site.region == set(Graph(main).values)


@pytest.mark.parametrize(("operator", "form"), FORMS)
def test_form_in_lets_is_one_site(operator: str, form: Formula) -> None:
    mod = relay.transform.ToANormalForm()(module(lambda x: form(x, 1), CUBE))
    (site,) = find(Graph(relay.transform.InferType()(mod)["main"]))
    assert (site.operator, site.attributes["axis"]) == (operator, 1)


# If steps change a shape, it is unknown whether dynamic extents stay the same.
RESHAPING = {"softmax-kept", "softmax-broadcast"}


@pytest.mark.parametrize(("operator", "form"), [form for form in FORMS if form.id not in RESHAPING])
def test_form_of_unknown_extents(operator: str, form: Formula) -> None:
    _, (site,) = sites_of(lambda x: form(x, 2), (4, ANY, ANY))
    assert (site.operator, site.attributes["axis"]) == (operator, 2)


def test_logsumexp_without_kept_axis() -> None:
    _, (site,) = sites_of(lambda x: log(total(exp(x), 1, keepdims=False)))
    assert (site.operator, site.attributes) == ("logsumexp", {"axis": 1, "keepdims": False})


def test_logsumexp_operator_without_kept_axis() -> None:
    """Relay squeezes the axis afterwards."""
    _, (site,) = sites_of(lambda x: relay.logsumexp(x, 1))
    assert (site.operator, site.attributes) == ("logsumexp", {"axis": 1, "keepdims": True})


def test_softmax_with_the_maximum_of_another_axis() -> None:
    """It is still a softmax along the sum's axis, but of the difference."""
    main, (site,) = sites_of(lambda x: softmax(shifted(x, 1), 2))
    (x,) = site.args
    assert (site.operator, site.attributes["axis"]) == ("softmax", 2)
    assert x not in main.params
    assert x not in site.region


def test_logsumexp_used_elsewhere_is_a_site_too() -> None:
    def both(x: relay.Expr) -> relay.Expr:
        inner = log(total(exp(x), 2))
        return relay.Tuple([x - inner, inner])

    _, sites = sites_of(both)
    assert [site.operator for site in sites] == ["log_softmax", "logsumexp"]


def test_softmax_used_elsewhere_is_a_site_too() -> None:
    def both(x: relay.Expr) -> relay.Expr:
        p = nn.softmax(x)
        return relay.Tuple([log(p), p])

    _, sites = sites_of(both)
    assert [site.operator for site in sites] == ["log_softmax", "softmax"]


@pytest.mark.parametrize(
    "formula",
    [
        pytest.param(lambda x: ratio(exp(x), lambda e: total(e, 2, False)), id="keepdims_false"),
        pytest.param(
            lambda x: ratio(exp(x), lambda e: expand_dims(total(e, 2, False), 1)),
            id="expanded_amiss",
        ),
        pytest.param(lambda x: ratio(exp(x), lambda e: total(e, [1, 2])), id="two_axes"),
        pytest.param(lambda x: ratio(exp(x), lambda e: total(e, None)), id="all_axes"),
        pytest.param(
            lambda x: ratio(exp(x), lambda e: sum(e, 2, True, exclude=True)), id="all_but_one"
        ),
        pytest.param(lambda x: ratio(exp(x), lambda e: mean(e, 2, True)), id="mean"),
        pytest.param(lambda x: ratio(exp(x), lambda e: total(e, 2) + c(1e-6)), id="epsilon"),
        pytest.param(lambda x: exp(x) / total(exp(x + x), 2), id="sum_of_something_else"),
        pytest.param(lambda x: ratio(exp(x), lambda e: total(e, 2) / e), id="upside_down"),
        pytest.param(lambda x: ratio(x * x, lambda s: total(s, 2)), id="no_exp"),
        pytest.param(lambda x: relay.logsumexp(x, [0, 1]), id="logsumexp_two_axes"),
        pytest.param(lambda x: relay.logsumexp(x), id="logsumexp_all_axes"),
        pytest.param(lambda x: nn.fast_softmax(x), id="fast_softmax"),
    ],
)
def test_near_miss_is_no_site(formula: Formula) -> None:
    _, sites = sites_of(formula)
    assert sites == []


@pytest.mark.parametrize(
    "formula",
    [
        pytest.param(lambda x: log(nn.softmax(x) + c(1e-7)), id="epsilon"),
        pytest.param(lambda x: log(relay.clip(nn.softmax(x), 1e-7, 1.0)), id="clipped"),
        pytest.param(lambda x: relay.log2(nn.softmax(x)), id="log2"),
    ],
)
def test_near_miss_of_log_softmax_is_softmax(formula: Formula) -> None:
    _, (site,) = sites_of(formula)
    assert site.operator == "softmax"


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
    def formula(x: relay.Expr) -> relay.Expr:
        other = reduce(x, 1 if reduce is max else 2, keepdims=True)
        return log(total(exp(x - max(x, 2, keepdims=True)), 2)) + other

    _, sites = sites_of(formula)
    assert sites == []


def test_two_tensors() -> None:
    _, sites = sites_of(lambda x, y: exp(x) / total(exp(y), 2), CUBE, CUBE)
    assert sites == []
