"""Matrix products in the form that TVM's schedules need."""

import numpy as np
import pytest
import tvm
from tvm import relay

from quake_tvm.passes.quake import QuAKE
from quake_tvm.passes.relay.densify_products import DensifyProducts

from .modules import build, c, module, run

WEIGHTS = np.random.default_rng(0).standard_normal((1, 8, 6), dtype="float32")
BIAS = np.arange(6, dtype="float32")
Expr = relay.Expr


def densify(mod: tvm.IRModule) -> tvm.IRModule:
    with tvm.transform.PassContext(opt_level=3):
        return tvm.transform.Sequential([DensifyProducts(), relay.transform.InferType()])(mod)


def product(x: Expr, weights: np.ndarray = WEIGHTS, transpose_b: bool = False) -> Expr:
    return relay.nn.batch_matmul(x, relay.const(weights), transpose_b=transpose_b)


def dense(x: Expr) -> Expr:
    return relay.nn.dense(relay.reshape(x, (-1, 8)), relay.const(WEIGHTS[0].T.copy()))


def rows(x: Expr) -> Expr:
    return relay.reshape(x, (1, 4, 6))


def foreign(x: Expr) -> Expr:
    """A product in a function that another compiler takes."""
    y = relay.var("y", shape=ON)
    return relay.Function([y], product(y)).with_attr("Composite", "other.product")(x)


ON = (1, 4, 8)
CASES = {
    "constant weights": (product, lambda x: rows(dense(x))),
    "weights transposed already": (
        lambda x: product(x, WEIGHTS.transpose(0, 2, 1).copy(), transpose_b=True),
        lambda x: rows(dense(x)),
    ),
    "bias and nonlinearity go before the reshape": (
        lambda x: relay.sigmoid(relay.const(BIAS) + product(x)) * c(2.0),
        lambda x: rows(relay.sigmoid(relay.const(BIAS) + dense(x)) * c(2.0)),
    ),
    "an exporter's reshape goes after": (
        lambda x: relay.exp(relay.reshape(product(x), (2, 2, 6))),
        lambda x: relay.reshape(relay.exp(dense(x)), (2, 2, 6)),
    ),
    "one product behind another": (
        lambda x: product(product(x), WEIGHTS.transpose(0, 2, 1).copy()),
        lambda x: relay.reshape(relay.nn.dense(dense(x), relay.const(WEIGHTS[0])), (1, 4, 8)),
    ),
    "a reshape that mixes columns stays before what follows": (
        lambda x: relay.exp(relay.reshape(product(x), (8, 3))),
        lambda x: relay.exp(relay.reshape(rows(dense(x)), (8, 3))),
    ),
    "a summand of full shape stays outside": (
        lambda x: product(x) + relay.const(np.ones((1, 4, 6), "float32")),
        lambda x: rows(dense(x)) + relay.const(np.ones((1, 4, 6), "float32")),
    ),
    "a bias of the last axis is a summand": (
        lambda x: relay.nn.bias_add(product(x), relay.const(BIAS), axis=2),
        lambda x: rows(dense(x) + relay.const(BIAS)),
    ),
    "a bias of the rows stays outside": (
        lambda x: relay.nn.bias_add(product(x), relay.const(BIAS[:4]), axis=1),
        lambda x: relay.nn.bias_add(rows(dense(x)), relay.const(BIAS[:4]), axis=1),
    ),
    "slopes of the rows stay outside": (
        lambda x: relay.nn.prelu(product(x), relay.const(BIAS[:4]), axis=1),
        lambda x: relay.nn.prelu(rows(dense(x)), relay.const(BIAS[:4]), axis=1),
    ),
    "repeated rows stay outside": (
        lambda x: relay.repeat(product(x), 1, 1),
        lambda x: relay.repeat(rows(dense(x)), 1, 1),
    ),
    "limits go before the reshape": (
        lambda x: relay.nn.leaky_relu(relay.clip(product(x), -1, 1), 0.5),
        lambda x: rows(relay.nn.leaky_relu(relay.clip(dense(x), -1, 1), 0.5)),
    ),
    "softmax stays outside": (
        lambda x: relay.nn.softmax(product(x)),
        lambda x: relay.nn.softmax(rows(dense(x))),
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_form(name: str) -> None:
    before, expected = (module(formula, ON) for formula in CASES[name])
    after = densify(before)
    tvm.ir.assert_structural_equal(after, expected)
    x = np.random.default_rng(1).standard_normal(ON, dtype="float32")
    np.testing.assert_allclose(run(build(after), x), run(build(before), x), rtol=1e-5, atol=1e-6)


def test_product_of_two_computed_matrices() -> None:
    def before(a: Expr, b: Expr) -> Expr:
        return relay.nn.batch_matmul(a, b, transpose_b=False)

    def expected(a: Expr, b: Expr) -> Expr:
        return relay.nn.batch_matmul(a, relay.transpose(b, (0, 2, 1)), out_dtype="float32")

    shapes = (3, 4, 8), (3, 8, 5)
    after = densify(module(before, *shapes))
    tvm.ir.assert_structural_equal(after, module(expected, *shapes))


@pytest.mark.parametrize(
    ("formula", "shapes", "dtype"),
    [
        (lambda a, b: relay.nn.batch_matmul(a, b), ((3, 4, 8), (3, 5, 8)), "float32"),
        (
            lambda a, b: relay.nn.batch_matmul(a, b, transpose_b=False),
            ((3, 4, 8), (3, 8, 5)),
            "float16",
        ),
        (
            lambda a, b: relay.nn.batch_matmul(a, b, transpose_a=True, transpose_b=False),
            ((3, 8, 4), (3, 8, 5)),
            "float32",
        ),
        (lambda x: product(x), ((relay.Any(), 4, 8),), "float32"),
        (lambda x: product(x, WEIGHTS[:, :0]), ((2, 3, 0),), "float32"),
        (lambda x: foreign(x), (ON,), "float32"),
    ],
    ids=["as wanted", "float16", "a transposed", "unknown rows", "no column", "other compiler"],
)
def test_left_alone(formula, shapes, dtype) -> None:
    mod = module(formula, *shapes, dtype=dtype)
    tvm.ir.assert_structural_equal(densify(mod), mod)


def test_nonlinearity_is_fused_behind_the_product() -> None:
    def layer(x: Expr) -> Expr:
        return relay.sigmoid(relay.const(BIAS) + product(x))

    lib = build(densify(QuAKE(method="quake2")(module(layer, ON))))
    graph = lib.get_graph_json()
    assert graph.count('"op": "tvm_op"') <= 3  # layout, product, reshape
    assert "dense_pack_add_quake_sigmoid" in graph or "dense_add_quake_sigmoid" in graph
