"""Every form in which exporters write an element-wise operator is found, near misses are not."""

import math

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import helper
from tvm import relax
from tvm.relax import op
from tvm.relax.frontend.onnx import from_onnx
from tvm.relax.op import (
    erf,
    exp,
    greater,
    less,
    less_equal,
    log,
    maximum,
    minimum,
    negative,
    nn,
    power,
    sigmoid,
    sqrt,
    square,
    tanh,
    where,
)
from tvm.script import ir as I
from tvm.script import relax as R

from quake_tvm.numerics.operators import OPERATORS
from quake_tvm.passes.recognize_elementwise import find
from quake_tvm.passes.relax.graph import Graph
from tests.helpers import Formula, c, function, module, once

ROOT2, ROOT_HALF, ROOT_2_PI = math.sqrt(2), math.sqrt(0.5), math.sqrt(2 / math.pi)


def cubic(x: relax.Expr) -> relax.Expr:
    return x + c(0.044715) * (x * x * x)


def log1p_exp(x: relax.Expr) -> relax.Expr:
    return log(exp(x) + c(1))


def expm1(x: relax.Expr) -> relax.Expr:
    return exp(x) - c(1)


FORMS: dict[str, dict[str, Formula]] = {
    "exp": {"op": exp},
    "sigmoid": {
        "op": sigmoid,
        "exp": lambda x: c(1) / (c(1) + exp(negative(x))),
        "exp_minus_one_times": lambda x: c(1) / (exp(x * c(-1)) + c(1)),
        "tanh": lambda x: c(0.5) * tanh(c(0.5) * x) + c(0.5),
        "overflows": lambda x: exp(x) / (c(1) + exp(x)),
    },
    "tanh": {
        "op": tanh,
        "sigmoid": lambda x: c(2) * sigmoid(c(2) * x) - c(1),
        "overflows": lambda x: (exp(x) - exp(negative(x))) / (exp(x) + exp(negative(x))),
    },
    "erf": {"op": erf},
    "silu": {
        "op": nn.silu,
        "sigmoid": lambda x: x * sigmoid(x),
        "sigmoid_first": lambda x: sigmoid(x) * x,
        "divide": lambda x: x / (c(1) + exp(negative(x))),
    },
    "gelu": {
        "op": nn.gelu,
        "onnx": lambda x: (x * (erf(x / c(ROOT2)) + c(1))) * c(0.5),
        "onnx_half_first": lambda x: (x * c(0.5)) * (erf(x / c(ROOT2)) + c(1)),
        "onnx_one_plus": lambda x: c(0.5) * (x * (c(1) + erf(x / c(ROOT2)))),
        "tf2onnx": lambda x: (erf(x * c(0.7071067690849304)) + c(1)) * c(0.5) * x,
        "tf2onnx_x_first": lambda x: x * (c(0.5) * (c(1) + erf(c(0.7071067690849304) * x))),
        "torch_export": lambda x: (x * c(0.5)) * (erf(x * c(ROOT_HALF)) + c(1)),
        "half_of_sum": lambda x: x * (c(0.5) + c(0.5) * erf(x * c(ROOT_HALF))),
        "divided_by_two": lambda x: x * (c(1) + erf(x / c(ROOT2))) / c(2),
    },
    "gelu_tanh": {
        "op": nn.gelu_tanh,
        "pow": lambda x: (
            c(0.5) * x * (c(1) + tanh(c(ROOT_2_PI) * (x + c(0.044715) * power(x, c(3)))))
        ),
        "product": lambda x: c(0.5) * x * (c(1) + tanh(c(ROOT_2_PI) * cubic(x))),
        "factored": lambda x: (
            c(0.5) * x * (tanh(c(ROOT_2_PI) * x * (c(1) + c(0.044715) * x * x)) + c(1))
        ),
        "square": lambda x: (
            x * (c(0.5) * (c(1) + tanh(x * (c(0.0356774081) * square(x) + c(0.7978845608)))))
        ),
        "as_sigmoid": lambda x: x * sigmoid(c(2 * ROOT_2_PI) * cubic(x)),
    },
    "gelu_quick": {
        "op": lambda x: x * sigmoid(c(1.702) * x),
        "sigmoid_first": lambda x: sigmoid(x * c(1.702)) * x,
    },
    "softplus": {
        "op": nn.softplus,
        "log1p": log1p_exp,
        "one_first": lambda x: log(c(1) + exp(x)),
        "stable": lambda x: maximum(x, c(0)) + log1p_exp(negative(op.abs(x))),
        "stable_relu": lambda x: log1p_exp(negative(op.abs(x))) + nn.relu(x),
        "torch_export": lambda x: where(greater(x, c(20)), x, log1p_exp(x)),
        "log_sigmoid": lambda x: negative(log(sigmoid(negative(x)))),
    },
    "mish": {
        "log1p": lambda x: x * tanh(log1p_exp(x)),
        "op": lambda x: tanh(nn.softplus(x)) * x,
        "stable": lambda x: x * tanh(nn.relu(x) + log1p_exp(negative(op.abs(x)))),
    },
    "elu": {
        "relus": lambda x: c(-1) * nn.relu(c(1) - exp(x)) + nn.relu(x),
        "where": lambda x: where(greater(x, c(0)), x, expm1(x)),
        "where_swapped": lambda x: where(less_equal(x, c(0)), expm1(x), x),
        "clamped": lambda x: maximum(x, c(0)) + minimum(expm1(x), c(0)),
        "torch_export": lambda x: where(greater(x, c(0)), x * c(1), expm1(x * c(1)) * c(1)),
    },
    "selu": {
        "op": nn.selu,
        "relus": lambda x: c(1.0507010) * (c(-1.6732632) * nn.relu(c(1) - exp(x)) + nn.relu(x)),
        "where": lambda x: (
            c(1.0507009873554805) * where(greater(x, c(0)), x, c(1.6732632423543772) * expm1(x))
        ),
        "torch_export": lambda x: where(
            greater(x, c(0)), x * c(1.0507009873554805), expm1(x) * c(1.7580993408473766)
        ),
    },
}


def sites_of(formula: Formula, *shapes: tuple, dtype: str = "float32") -> list[tuple]:
    """(operator, parameters) of every site that is found."""
    sites = find(Graph(function(formula, *shapes, dtype=dtype)))
    return [(site.operator, site.attributes) for site in sites]


@pytest.mark.parametrize(
    ("operator", "formula"),
    [
        pytest.param(operator, formula, id=f"{operator}-{name}")
        for operator, forms in FORMS.items()
        for name, formula in forms.items()
    ],
)
def test_form_is_one_site(operator: str, formula: Formula) -> None:
    main = function(formula)
    graph = Graph(main)
    (site,) = find(graph)
    assert (site.operator, site.attributes) == (operator, dict(OPERATORS[operator].parameters))
    assert site.args == (main.params[0],)
    assert site.var in site.region <= set(graph.values)


def test_every_operator_has_a_form() -> None:
    elementwise = {name for name, row in OPERATORS.items() if row.elementwise}
    # celu is elu unless it has a parameter, and Relax has no exp2.
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
            id="elu_relus",
        ),
        pytest.param(
            lambda x: where(greater(x, c(0)), x, c(2) * expm1(x)), "elu", {"alpha": 2}, id="elu"
        ),
        pytest.param(
            lambda x: where(greater(x, c(0)), x, c(2) * expm1(x / c(2))),
            "celu",
            {"alpha": 2},
            id="celu",
        ),
        pytest.param(
            lambda x: maximum(x, c(0)) + minimum(c(0), c(0.5) * expm1(x * c(2))),
            "celu",
            {"alpha": 0.5},
            id="celu_clamped",
        ),
        pytest.param(lambda x: nn.softplus(x, 2.0), "softplus", {"beta": 2}, id="softplus_op"),
        pytest.param(lambda x: log1p_exp(x * c(2)) / c(2), "softplus", {"beta": 2}, id="softplus"),
    ],
)
def test_parameter_is_read(formula: Formula, operator: str, parameters: dict) -> None:
    assert sites_of(formula) == [(operator, pytest.approx(parameters))]


@pytest.mark.parametrize(
    ("node", "operator", "parameters"),
    [
        ("Elu", "elu", {"alpha": 1.0}),
        ("Elu alpha=0.5", "elu", {"alpha": 0.5}),
        ("Selu", "selu", dict(OPERATORS["selu"].parameters)),
        ("Softplus", "softplus", {"beta": 1.0}),
        ("Mish", "mish", {}),
        ("Gelu", "gelu", {}),
        ("com.microsoft.FastGelu", "gelu_tanh", {}),
    ],
)
def test_form_of_the_onnx_importer(node: str, operator: str, parameters: dict) -> None:
    name, *alpha = node.split(" alpha=")
    domain, _, op_type = name.rpartition(".")
    attributes = {"alpha": float(alpha[0])} if alpha else {}
    x, y = (helper.make_tensor_value_info(n, onnx.TensorProto.FLOAT, (2, 3)) for n in "xy")
    graph = helper.make_graph(
        [helper.make_node(op_type, ["x"], ["y"], domain=domain, **attributes)], "g", [x], [y]
    )
    opsets = [helper.make_opsetid("", 20), helper.make_opsetid("com.microsoft", 1)]
    main = from_onnx(helper.make_model(graph, opset_imports=opsets))["main"]
    sites = find(Graph(main))
    assert [(s.operator, s.attributes) for s in sites] == [(operator, pytest.approx(parameters))]


def test_form_in_script() -> None:
    @I.ir_module
    class Module:
        @R.function
        def main(x: R.Tensor((2, "n"), "float32")) -> R.Tensor((2, "n"), "float32"):
            scaled = R.divide(x, R.const(1.4142135, "float32"))
            error = R.erf(scaled)
            cdf = R.add(error, R.const(1.0, "float32"))
            product = R.multiply(x, cdf)
            half = R.multiply(product, R.const(0.5, "float32"))
            return half

    (site,) = find(Graph(Module["main"]))
    assert (site.operator, site.source) == ("gelu", "divide+erf+add+multiply+multiply")
    assert [v.name for v in Graph(Module["main"]).values if v in site.region] == [
        "scaled",
        "error",
        "cdf",
        "product",
        "half",
    ]


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
    def times(a: relax.Expr, b: relax.Expr, swap: bool) -> relax.Expr:
        return b * a if swap else a * b

    def gelu(x: relax.Expr) -> relax.Expr:
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
        pytest.param(lambda x: x * (c(1.1) + erf(x / c(ROOT2))) * c(0.5), ["erf"], id="gelu_one"),
        pytest.param(
            lambda x: c(0.5) * x * (c(1) + tanh(c(0.8) * cubic(x))), ["tanh"], id="gelu_tanh_scale"
        ),
        pytest.param(lambda x: x * sigmoid(negative(x)), ["sigmoid"], id="silu_of_minus_x"),
        pytest.param(lambda x: x * tanh(x), ["tanh"], id="mish_without_softplus"),
        pytest.param(lambda x: nn.softplus(x, 1.0, 2.0), [], id="softplus_early_threshold"),
        # The epsilon guards a later step, so it must be kept.
        pytest.param(lambda x: sigmoid(x) + c(1e-8), ["sigmoid"], id="sigmoid_epsilon"),
        pytest.param(lambda x: maximum(sigmoid(x), c(1e-7)), ["sigmoid"], id="sigmoid_floor"),
        pytest.param(lambda x: exp(x) + c(1e-8), ["exp"], id="exp_epsilon"),
        pytest.param(lambda x: exp(x) + c(1e-40), ["exp"], id="exp_subnormal_epsilon"),
        pytest.param(lambda x: c(1) / (exp(x) + c(1e-20)), ["exp"], id="reciprocal_epsilon"),
        pytest.param(lambda x: negative(log(sigmoid(x) + c(1e-20))), ["sigmoid"], id="log_epsilon"),
        pytest.param(lambda x: minimum(sigmoid(x), c(1 - 2.0**-24)), ["sigmoid"], id="below_one"),
        pytest.param(lambda x: minimum(nn.silu(x), c(1000)), ["silu"], id="silu_limit"),
        pytest.param(
            lambda x: x * (erf(x / c(ROOT2)) + c(1) + c(1e-20)) * c(0.5), ["erf"], id="gelu_epsilon"
        ),
        pytest.param(lambda x: where(greater(x, c(100)), c(0), nn.gelu(x)), ["gelu"], id="cut_off"),
        pytest.param(
            lambda x: where(less(op.abs(x - c(50)), c(1e-5)), c(7), nn.silu(x)), ["silu"], id="gap"
        ),
        pytest.param(
            lambda x: where(less(x * x - c(100) * x, c(-2499.999)), c(7), nn.silu(x)),
            ["silu"],
            id="gap_where_a_parabola_turns",
        ),
        # softplus in exact arithmetic, but 50 where float32's sigmoid is 0.
        pytest.param(
            lambda x: where(greater(sigmoid(x), c(0)), negative(log(sigmoid(x))), c(50)),
            ["sigmoid", "sigmoid"],
            id="guard_of_underflow",
        ),
        pytest.param(
            lambda x: minimum(log1p_exp(x), c(1e6)), ["softplus"], id="limit_past_overflow"
        ),
        pytest.param(
            lambda x: where(greater(x, c(-3.4e38)), nn.silu(x), c(0)), ["silu"], id="no_nan"
        ),
        pytest.param(
            lambda x: x * minimum(maximum(x + c(3), c(0)), c(6)) / c(6), [], id="hardswish"
        ),
        pytest.param(lambda x: nn.relu(x) * c(0.5), [], id="no_exponential"),
    ],
)
def test_near_miss_is_not_the_operator(formula: Formula, found: list[str]) -> None:
    assert [operator for operator, _ in sites_of(formula)] == found


@pytest.mark.parametrize(
    ("formula", "source"),
    [
        pytest.param(lambda x: op.clip(sigmoid(x), 0, 1), "sigmoid+clip", id="changes_nothing"),
        pytest.param(lambda x: op.clip(sigmoid(x), 1e-7, 1), "sigmoid", id="guards"),
        pytest.param(lambda x: op.clip(sigmoid(x), 0, 0.9999999), "sigmoid", id="guards_above"),
        pytest.param(lambda x: sigmoid(op.clip(x, -30, 30)), "sigmoid", id="before"),
        pytest.param(lambda x: op.clip(nn.gelu(x), -1, 65504), "nn.gelu", id="far"),
    ],
)
def test_clip_is_part_of_the_operator_where_it_changes_nothing(
    formula: Formula, source: str
) -> None:
    (site,) = find(Graph(function(formula)))
    assert site.source == source


def test_constant_that_differs_by_element() -> None:
    root = c(np.array([ROOT2, ROOT2, 1.5], "float32"))
    assert sites_of(lambda x: x * (c(1) + erf(x / root)) * c(0.5)) == [("erf", {})]


def test_root_of_two_counts_once_it_is_folded() -> None:
    mod = module(lambda x: x * (c(1) + erf(x / sqrt(c(2)))) * c(0.5))
    (site,) = find(Graph(relax.transform.FoldConstant()(mod)["main"]))
    assert site.operator == "gelu"


def test_constant_tensor_of_equal_elements() -> None:
    root = c(np.full((2, 3), ROOT2, "float32"))
    assert sites_of(lambda x: x * (c(1) + erf(x / root)) * c(0.5)) == [("gelu", {})]


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
    def gelu(x: relax.Expr) -> tuple[relax.Expr, relax.Expr]:
        cdf = once(c(1) + erf(x / c(ROOT2)))
        return x * c(0.5) * cdf, cdf

    assert [operator for operator, _ in sites_of(gelu)] == ["gelu", "erf"]


@pytest.mark.parametrize("dtype", ["float16", "float64"])
def test_dtype_is_told(dtype: str) -> None:
    graph = Graph(function(sigmoid, dtype=dtype))
    (site,) = find(graph)
    assert graph.dtype(site.args[0]) == dtype


def test_unknown_shape_is_left() -> None:
    x = relax.Var("x", relax.TensorType(dtype="float32", ndim=2))
    builder = relax.BlockBuilder()
    with builder.function("main", [x]):
        builder.emit_func_output(builder.emit(exp(x)))
    assert find(Graph(builder.get()["main"])) == []
