"""Every form of an element-wise operator in Relay's importers is found, near misses are not."""

import math

import numpy as np
import pytest
import tvm
from hypothesis import given, settings
from hypothesis import strategies as st
from tvm import relay
from tvm.relay import (
    clip,
    erf,
    exp,
    greater,
    less_equal,
    log,
    maximum,
    minimum,
    negative,
    nn,
    power,
    rsqrt,
    sigmoid,
    tanh,
    where,
)

from quake_tvm.numerics.operators import OPERATORS
from quake_tvm.passes.graph import Site
from quake_tvm.passes.recognize_elementwise import find
from quake_tvm.passes.relay.graph import Graph

from .modules import Formula, c, module

ROOT2, ROOT_HALF, ROOT_2_PI = math.sqrt(2), math.sqrt(0.5), math.sqrt(2 / math.pi)


def cubic(x: relay.Expr) -> relay.Expr:
    return x + c(0.044715) * (x * x * x)


def log1p_exp(x: relay.Expr) -> relay.Expr:
    return log(exp(x) + c(1))


def expm1(x: relay.Expr) -> relay.Expr:
    return exp(x) - c(1)


# A form of an importer has the importer's name.
FORMS: dict[str, dict[str, Formula]] = {
    "exp": {"op": exp},
    "sigmoid": {
        "op": sigmoid,
        "exp": lambda x: c(1) / (c(1) + exp(negative(x))),
        "exp_minus_one_times": lambda x: c(1) / (exp(x * c(-1)) + c(1)),
        "tanh": lambda x: c(0.5) * tanh(c(0.5) * x) + c(0.5),
    },
    "tanh": {"op": tanh, "sigmoid": lambda x: c(2) * sigmoid(c(2) * x) - c(1)},
    "erf": {"op": erf},
    "silu": {
        "pytorch": lambda x: x * sigmoid(x),
        "sigmoid_first": lambda x: sigmoid(x) * x,
        "divide": lambda x: x / (c(1) + exp(negative(x))),
    },
    "gelu": {
        "onnx_nodes": lambda x: (x * (erf(x / c(ROOT2)) + c(1))) * c(0.5),
        "onnx_half_first": lambda x: (x * c(0.5)) * (erf(x / c(ROOT2)) + c(1)),
        "onnx_contrib": lambda x: (c(0.5) * x) * (c(1) + erf(x / c(ROOT2))),
        "tf2onnx": lambda x: (erf(x * c(0.7071067690849304)) + c(1)) * c(0.5) * x,
        "tf2onnx_x_first": lambda x: x * (c(0.5) * (c(1) + erf(c(0.7071067690849304) * x))),
        "short_root": lambda x: x * c(0.5) * (erf(x * c(0.70710678)) + c(1)),
        "pytorch": lambda x: x * (c(0.5) + erf(x * c(ROOT_HALF)) * c(0.5)),
        "rsqrt": lambda x: x * (c(1) + erf(x / c(ROOT2))) / c(2),
    },
    "gelu_tanh": {
        "onnx_contrib": lambda x: (c(0.5) * x) * (
            c(1) + tanh(c(ROOT_2_PI) * x + c(0.044715 * ROOT_2_PI) * power(x, c(3)))
        ),
        "product": lambda x: c(0.5) * x * (c(1) + tanh(c(ROOT_2_PI) * cubic(x))),
        "factored": lambda x: (
            c(0.5) * x * (tanh(c(ROOT_2_PI) * x * (c(1) + c(0.044715) * x * x)) + c(1))
        ),
        "as_sigmoid": lambda x: x * sigmoid(c(2 * ROOT_2_PI) * cubic(x)),
    },
    "gelu_quick": {
        "onnx_nodes": lambda x: x * sigmoid(c(1.702) * x),
        "sigmoid_first": lambda x: sigmoid(x * c(1.702)) * x,
    },
    "softplus": {
        "onnx": log1p_exp,
        "one_first": lambda x: log(c(1) + exp(x)),
        "stable": lambda x: maximum(x, c(0)) + log1p_exp(negative(relay.abs(x))),
        "stable_relu": lambda x: log1p_exp(negative(relay.abs(x))) + nn.relu(x),
        "threshold": lambda x: where(greater(x, c(20)), x, log1p_exp(x)),
        "log_sigmoid": lambda x: negative(log(sigmoid(negative(x)))),
    },
    "mish": {
        "onnx": lambda x: x * tanh(log(c(1) + exp(x))),
        "stable": lambda x: x * tanh(nn.relu(x) + log1p_exp(negative(relay.abs(x)))),
    },
    "elu": {
        "onnx": lambda x: c(-1) * nn.relu(c(1) - exp(x)) + nn.relu(x),
        "where": lambda x: where(greater(x, c(0)), x, expm1(x)),
        "where_swapped": lambda x: where(less_equal(x, c(0)), expm1(x), x),
        "celu_of_one": lambda x: (
            maximum(c(0), x) + minimum(c(0), c(1) * (exp(x / c(1)) - c(1)))
        ),
    },
    "selu": {
        "onnx": lambda x: (
            c(1.0507010) * (c(-1.6732632) * nn.relu(c(1) - exp(x)) + nn.relu(x))
        ),
        "where": lambda x: (
            c(1.0507009873554805) * where(greater(x, c(0)), x, c(1.6732632423543772) * expm1(x))
        ),
    },
}  # fmt: skip


def sites_in(formula: Formula, *shapes: tuple, dtype: str = "float32") -> tuple[Graph, list[Site]]:
    graph = Graph(module(formula, *shapes, dtype=dtype)["main"])
    return graph, find(graph)


def sites_of(formula: Formula, *shapes: tuple) -> list[tuple]:
    """(operator, parameters) of every site that is found."""
    return [(site.operator, site.attributes) for site in sites_in(formula, *shapes)[1]]


def in_lets(function: relay.Function) -> relay.Function:
    """The function with every step bound by a ``let``."""
    mod = relay.transform.ToANormalForm()(tvm.IRModule.from_expr(function))
    return relay.transform.InferType()(mod)["main"]


@pytest.mark.parametrize("lets", [False, True], ids=["graph", "lets"])
@pytest.mark.parametrize(
    ("operator", "formula"),
    [
        pytest.param(operator, formula, id=f"{operator}-{name}")
        for operator, forms in FORMS.items()
        for name, formula in forms.items()
    ],
)
def test_form_is_one_site(operator: str, formula: Formula, lets: bool) -> None:
    main = module(formula)["main"]
    main = in_lets(main) if lets else main
    graph = Graph(main)
    (site,) = find(graph)
    assert (site.operator, site.attributes) == (operator, dict(OPERATORS[operator].parameters))
    assert site.args == (main.params[0],)
    assert site.var in site.region <= set(graph.values)


def test_every_operator_has_a_form() -> None:
    elementwise = {name for name, row in OPERATORS.items() if row.elementwise}
    # celu is elu unless it has a parameter, and Relay has no exp2.
    assert set(FORMS) == elementwise - {"celu", "exp2"}


@pytest.mark.parametrize(
    ("formula", "operator", "parameters"),
    [
        pytest.param(lambda x: x * sigmoid(c(1.8) * x), "silu", {"beta": 1.8}, id="swish"),
        pytest.param(lambda x: x * sigmoid(x / c(4)), "silu", {"beta": 0.25}, id="swish_divide"),
        pytest.param(
            lambda x: c(-0.5) * nn.relu(c(1) - exp(x)) + nn.relu(x),
            "elu",
            {"alpha": 0.5},
            id="elu_onnx",
        ),
        pytest.param(
            lambda x: maximum(c(0), x) + minimum(c(0), c(2) * (exp(x / c(2)) - c(1))),
            "celu",
            {"alpha": 2},
            id="celu_onnx",
        ),
        pytest.param(
            lambda x: log(exp(x * c(2)) + c(1)) / c(2), "softplus", {"beta": 2}, id="softplus"
        ),
    ],
)
def test_parameter_is_read(formula: Formula, operator: str, parameters: dict) -> None:
    assert sites_of(formula) == [(operator, pytest.approx(parameters))]


@given(
    order=st.permutations(range(3)),
    right=st.booleans(),
    swaps=st.lists(st.booleans(), min_size=3, max_size=3),
    scale=st.sampled_from(["divide", "multiply"]),
    halve=st.sampled_from(["divide", "multiply"]),
)
@settings(max_examples=50, deadline=None)
def test_any_order_of_gelu_is_gelu(
    order: list[int], right: bool, swaps: list[bool], scale: str, halve: str
) -> None:
    def times(a: relay.Expr, b: relay.Expr, swap: bool) -> relay.Expr:
        return b * a if swap else a * b

    def gelu(x: relay.Expr) -> relay.Expr:
        z = x / c(ROOT2) if scale == "divide" else times(x, c(ROOT_HALF), swaps[2])
        cdf = c(1) + erf(z) if swaps[2] else erf(z) + c(1)
        if halve == "divide":
            return times(x, cdf / c(2), swaps[0]) if right else times(x, cdf, swaps[0]) / c(2)
        p, q, r = ([x, c(0.5), cdf][i] for i in order)
        if right:
            return times(p, times(q, r, swaps[0]), swaps[1])
        return times(times(p, q, swaps[0]), r, swaps[1])

    assert sites_of(gelu) == [("gelu", {})]


@pytest.mark.parametrize(
    ("formula", "found"),
    [
        pytest.param(lambda x: x * (c(1) + erf(x * c(0.7))) * c(0.5), ["erf"], id="gelu_scale"),
        pytest.param(lambda x: x * (c(1) + erf(x / c(ROOT2))), ["erf"], id="gelu_without_half"),
        pytest.param(
            lambda x: c(0.5) * x * (c(1) + tanh(c(0.8) * cubic(x))), ["tanh"], id="gelu_tanh_scale"
        ),
        pytest.param(lambda x: x * sigmoid(negative(x)), ["sigmoid"], id="silu_of_minus_x"),
        pytest.param(lambda x: x * tanh(x), ["tanh"], id="mish_without_softplus"),
        pytest.param(lambda x: log(exp(x) + c(2)), ["exp"], id="softplus_of_two"),
        pytest.param(lambda x: log(sigmoid(x)), ["sigmoid"], id="pytorch_log_sigmoid"),
        # The epsilon guards a later step, so it must be kept.
        pytest.param(lambda x: sigmoid(x) + c(1e-8), ["sigmoid"], id="sigmoid_epsilon"),
        pytest.param(lambda x: maximum(sigmoid(x), c(1e-7)), ["sigmoid"], id="sigmoid_floor"),
        pytest.param(lambda x: log(sigmoid(x) + c(1e-20)), ["sigmoid"], id="log_sigmoid_epsilon"),
        pytest.param(lambda x: maximum(c(1e-40), exp(x)), ["exp"], id="exp_subnormal_floor"),
        pytest.param(lambda x: minimum(x * sigmoid(x), c(1e3)), ["silu"], id="limited_silu"),
        pytest.param(lambda x: where(greater(x, c(100)), c(0), tanh(x)), ["tanh"], id="threshold"),
        pytest.param(lambda x: clip(exp(x), 0, 6), ["exp"], id="clipped_exp"),
        pytest.param(lambda x: x * clip(x + c(3), 0, 6) / c(6), [], id="hardswish"),
        pytest.param(lambda x: nn.relu(x) * c(0.5), [], id="no_exponential"),
        pytest.param(lambda x: nn.leaky_relu(x, 0.1), [], id="leaky_relu"),
        pytest.param(lambda x: relay.sinh(x), [], id="sinh"),
    ],
)
def test_near_miss_is_not_the_operator(formula: Formula, found: list[str]) -> None:
    assert [operator for operator, _ in sites_of(formula)] == found


def test_constant_that_differs_by_element() -> None:
    root = c(np.array([ROOT2, ROOT2, 1.5], "float32"))
    assert sites_of(lambda x: x * (c(1) + erf(x / root)) * c(0.5)) == [("erf", {})]


def test_constant_tensor_of_equal_elements() -> None:
    root = c(np.full((2, 3), ROOT2, "float32"))
    assert sites_of(lambda x: x * (c(1) + erf(x / root)) * c(0.5)) == [("gelu", {})]


def test_constant_counts_once_it_is_folded() -> None:
    mod = module(lambda x: x * (c(1) + erf(x * rsqrt(c(2)))) * c(0.5))
    (site,) = find(Graph(relay.transform.FoldConstant()(mod)["main"]))
    assert site.operator == "gelu"


@pytest.mark.parametrize(
    ("formula", "shape", "found"),
    [
        # The sigmoid has fewer elements than the product, so only the sigmoid becomes a site.
        pytest.param(lambda x, y: sigmoid(x) * y, (1, 3), "sigmoid", id="broadcast_extent"),
        pytest.param(lambda x, y: sigmoid(x) * y, (3,), "sigmoid", id="broadcast_rank"),
        pytest.param(lambda x, y: sigmoid(x) * y, (2, 3), "sigmoid", id="gate_of_another"),
        pytest.param(lambda x, y: x * sigmoid(x) * y, (2, 3), "silu", id="beside_another"),
    ],
)
def test_second_tensor_ends_the_region(formula: Formula, shape: tuple, found: str) -> None:
    assert [operator for operator, _ in sites_of(formula, shape, (2, 3))] == [found]


def test_part_used_elsewhere_is_a_site_too() -> None:
    def gelu(x: relay.Expr) -> relay.Expr:
        cdf = c(1) + erf(x / c(ROOT2))
        return relay.Tuple([x * c(0.5) * cdf, cdf])

    assert sites_of(gelu) == [("gelu", {}), ("erf", {})]


@pytest.mark.parametrize("dtype", ["float16", "float64"])
def test_dtype_is_told(dtype: str) -> None:
    graph, (site,) = sites_in(sigmoid, dtype=dtype)
    assert graph.dtype(site.args[0]) == dtype


ANY = relay.Any()


@pytest.mark.parametrize("shape", [(ANY, 3), (2, ANY), (ANY, ANY)], ids=str)
@pytest.mark.parametrize("operator", FORMS)
def test_unknown_extents(operator: str, shape: tuple) -> None:
    for name, formula in FORMS[operator].items():
        assert [found for found, _ in sites_of(formula, shape)] == [operator], name


@pytest.mark.parametrize(
    ("formula", "found"),
    [
        # It is unknown whether the two have the same shape.
        pytest.param(lambda x, y: (x + y) * sigmoid(x), ["sigmoid"], id="gate_of_a_sum"),
        pytest.param(lambda x, y: (x + y) * sigmoid(x + y), ["sigmoid"], id="two_sums"),
        pytest.param(lambda x, y: nn.relu(x) + exp(y), ["exp"], id="sum_of_two"),
    ],
)
def test_unknown_extents_that_may_differ(formula: Formula, found: list[str]) -> None:
    assert [operator for operator, _ in sites_of(formula, (ANY, 3), (ANY, 3))] == found


def test_one_sum_of_unknown_extents() -> None:
    def silu_of_sum(x: relay.Expr, y: relay.Expr) -> relay.Expr:
        total = x + y
        return total * sigmoid(total)

    assert sites_of(silu_of_sum, (ANY, 3), (ANY, 3)) == [("silu", {"beta": 1.0})]
