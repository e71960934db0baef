"""The whole pass over Relay: its output, what its options exclude, and every kind of module."""

import numpy as np
import pytest
import tvm
from tvm import relay
from tvm.relay import erf, exp, nn, sigmoid, sum, tanh

from quake_tvm.numerics.ladder import METHODS
from quake_tvm.numerics.operators import bound
from quake_tvm.passes.lower_tir import intrinsics
from quake_tvm.passes.quake import QuAKE
from quake_tvm.passes.relay.graph import Graph, functions
from quake_tvm.passes.relay.ops import attributes_of, call, operator_of

from .modules import Formula, c, module

same = tvm.ir.assert_structural_equal


def quake(x: relay.Expr, operator: str, *more: relay.Expr, source: str, **attributes) -> relay.Call:
    """The expected call for a site."""
    marks = {"method": "quake4", "ieee": True, "source": source, "shape": "2x3"}
    return call(operator, x, *more, **marks | attributes)


def gelu(x: relay.Expr) -> relay.Expr:
    return x * c(0.5) * (c(1) + erf(x / c(2**0.5)))


def softmax(x: relay.Expr) -> relay.Expr:
    e = exp(x)
    return e / sum(e, -1, keepdims=True)


def softplus(x: relay.Expr) -> relay.Expr:
    return relay.log(exp(x) + c(1))


def everything(x: relay.Expr) -> relay.Expr:
    return nn.log_softmax(nn.softmax(gelu(x)) + sigmoid(x)) * exp(x + x)


def lowered(mod: tvm.IRModule) -> dict[str, str]:
    """The rung of each lowered operator."""
    found = {}
    for _, function in functions(mod):
        for value in Graph(function).values.values():
            if operator_of(value) is not None:
                found[operator_of(value)] = attributes_of(value).method
    return found


def typed(*functions_: relay.Function, **named: relay.Function) -> tvm.IRModule:
    """A typed module of ``main`` and other functions."""
    names = dict(zip(["main"], functions_, strict=True)) | named
    mod = tvm.IRModule({relay.GlobalVar(name): f for name, f in names.items()})
    return relay.transform.InferType()(mod)


@pytest.mark.parametrize(
    ("before", "expected"),
    [
        pytest.param(exp, lambda x: quake(x, "exp", source="exp"), id="exp"),
        pytest.param(
            gelu, lambda x: quake(x, "gelu", source="divide+erf+add+multiply+multiply"), id="gelu"
        ),
        pytest.param(
            lambda x: x * sigmoid(x * c(2)),
            lambda x: quake(x, "silu", source="multiply+sigmoid+multiply", beta=2.0),
            id="silu_beta",
        ),
        pytest.param(
            lambda x: exp(c(1) - x),
            lambda x: quake(x, "exp", source="exp", scale=-1.0, shift=1.0),
            id="exp_affine",
        ),
        pytest.param(
            lambda x: nn.softmax(x),
            lambda x: quake(x, "softmax", source="nn.softmax", axis=1),
            id="softmax_op",
        ),
        pytest.param(
            softmax, lambda x: quake(x, "softmax", source="exp+sum+divide", axis=1), id="softmax"
        ),
        pytest.param(
            lambda x: nn.softmax(x / c(8)),
            lambda x: quake(x, "softmax", source="nn.softmax", axis=1, scale=0.125),
            id="softmax_scale",
        ),
        pytest.param(
            lambda x: nn.softmax(x, axis=0),
            lambda x: relay.transpose(
                quake(relay.transpose(x, [1, 0]), "softmax", source="nn.softmax", axis=1), [1, 0]
            ),
            id="softmax_of_another_axis",
        ),
        pytest.param(
            lambda x: relay.log(sum(exp(x), 0)),
            lambda x: quake(
                relay.transpose(x, [1, 0]),
                "logsumexp",
                source="exp+sum+log",
                axis=1,
                keepdims=False,
            ),
            id="logsumexp_of_another_axis",
        ),
    ],
)
def test_site_becomes_its_call(before: Formula, expected: Formula) -> None:
    same(QuAKE()(module(before)), module(expected))


def test_attention_logits_become_one_call() -> None:
    shapes = (2, 4, 8), (8,)
    same(
        QuAKE("quake3")(module(lambda x, mask: nn.softmax(x / c(8) + mask), *shapes)),
        module(
            lambda x, mask: quake(
                x,
                "softmax",
                mask,
                source="nn.softmax",
                shape="2x4x8",
                axis=2,
                scale=0.125,
                method="quake3",
            ),
            *shapes,
        ),
    )


def test_finite_special_values() -> None:
    mod = QuAKE(special_values="finite")(module(exp))
    same(mod, module(lambda x: quake(x, "exp", source="exp", ieee=False)))


@pytest.mark.parametrize(
    "formula",
    [
        pytest.param(lambda x: nn.relu(x) + x * c(0.5), id="elementwise"),
        pytest.param(lambda x: nn.dense(x, x), id="dense"),
        pytest.param(lambda x: sum(x, 1), id="sum"),
        pytest.param(lambda x: x, id="nothing"),
    ],
)
def test_without_nonlinearities_nothing_changes(formula: Formula) -> None:
    mod = module(formula, (3, 3))
    same(QuAKE()(mod), mod)


@pytest.mark.parametrize(
    "formula", [lambda x: nn.softmax(tanh(x)), softmax], ids=["operators", "written_out"]
)
def test_other_dtypes_stay(formula: Formula) -> None:
    mod = module(formula, dtype="float64")
    same(QuAKE()(mod), mod)


@pytest.mark.parametrize(
    "options",
    [{}, {"only": ["softmax"]}, {"skip": ["gelu"]}, {"method": "exact"}],
    ids=["default", "only", "skip", "exact"],
)
def test_second_run_changes_nothing(options: dict) -> None:
    once = QuAKE(**options)(module(everything))
    same(QuAKE(**options)(once), once)


def test_exact_changes_nothing() -> None:
    mod = module(everything)
    same(QuAKE(method="exact")(mod), mod)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"only": ["softmax", "exp"]}, {"softmax", "exp"}),
        ({"skip": ["softmax", "exp"]}, {"gelu", "sigmoid", "log_softmax"}),
    ],
    ids=["only", "skip"],
)
def test_choice_of_operators(options: dict, expected: set[str]) -> None:
    assert set(lowered(QuAKE(**options)(module(everything)))) == expected


@pytest.mark.parametrize(
    ("operator", "formula"),
    [
        ("gelu", gelu),
        ("softmax", softmax),
        ("log_softmax", lambda x: relay.log(nn.softmax(x))),
        ("softplus", softplus),
    ],
)
def test_inside_of_a_skipped_operator_stays_exact(operator: str, formula: Formula) -> None:
    mod = module(formula)
    same(QuAKE(skip=[operator])(mod), mod)


def test_last_step_of_a_skipped_operator_is_not_folded() -> None:
    def half_last(x: relay.Expr) -> relay.Expr:
        return x * (c(1) + erf(x / c(2**0.5))) * c(0.5)

    expected = module(lambda x: quake(half_last(x), "softmax", source="nn.softmax", axis=1))
    mod = module(lambda x: nn.softmax(half_last(x), axis=1))
    same(QuAKE(skip=["gelu"])(mod), expected)


@pytest.mark.parametrize("max_error", [1e-1, 1e-2, 1e-3, 1e-5])
def test_max_error_takes_the_cheapest_rung_within(max_error: float) -> None:
    found = lowered(QuAKE(max_error=max_error)(module(everything)))
    assert found
    for operator, method in found.items():
        cheaper = METHODS[: METHODS.index(method)]
        assert bound(operator, method).error <= max_error
        assert all(bound(operator, m).error > max_error for m in cheaper)


def test_max_error_that_no_rung_meets() -> None:
    mod = module(everything)
    same(QuAKE(max_error=1e-30)(mod), mod)


def test_module_is_not_changed_in_place() -> None:
    mod = module(everything)
    before = tvm.ir.structural_hash(mod)
    QuAKE()(mod)
    assert tvm.ir.structural_hash(mod) == before
    same(mod, module(everything))


def test_let_that_only_the_site_used_goes() -> None:
    mod = relay.transform.ToANormalForm()(module(lambda x: softplus(x) * x))
    body = QuAKE()(relay.transform.InferType()(mod))["main"].body
    bound_values = []
    while isinstance(body, relay.Let):
        bound_values.append(body.value)
        body = body.body
    assert [v.op.name for v in bound_values if isinstance(v, relay.Call)] == [
        "quake.softplus",
        "multiply",
    ]


def test_let_that_is_renamed_stays() -> None:
    x = relay.var("x", shape=(4,))
    a, b = relay.var("a"), relay.var("b")
    body = relay.Let(a, exp(x), relay.Let(b, a, relay.log(a + c(1)) * b))
    mod = QuAKE()(typed(relay.Function([x], body)))
    assert set(lowered(mod)) == {"softplus", "exp"}
    assert not relay.analysis.free_vars(mod["main"])


def test_one_value_under_two_names() -> None:
    x = relay.var("x", shape=(4,))
    a, b, e = relay.var("a"), relay.var("b"), exp(x)
    body = relay.Let(a, e, relay.Let(b, e, relay.log(b + c(1)) * a))
    mod = QuAKE()(typed(relay.Function([x], body)))
    assert "exp" in lowered(mod)
    assert not relay.analysis.free_vars(mod["main"])


@pytest.mark.parametrize("lets", [False, True], ids=["graph", "lets"])
def test_branches_and_tuples(lets: bool) -> None:
    x, p = relay.var("x", shape=(4,)), relay.var("p", shape=(), dtype="bool")
    then = relay.Tuple([nn.softmax(-x), x])
    otherwise = relay.Tuple([x * sigmoid(x), tanh(x)])
    both = relay.If(p, then, otherwise)
    result = relay.TupleGetItem(both, 0) + exp(relay.TupleGetItem(both, 1))
    mod = typed(relay.Function([x, p], result))
    if lets:
        mod = relay.transform.InferType()(relay.transform.ToANormalForm()(mod))
    assert set(lowered(QuAKE()(mod))) == {"softmax", "silu", "tanh", "exp"}


def test_shared_sites_in_both_branches() -> None:
    x, p = relay.var("x", shape=(4,)), relay.var("p", shape=(), dtype="bool")
    e = exp(x)
    mod = QuAKE()(typed(relay.Function([x, p], relay.If(p, relay.log(e + c(1)), e))))
    assert set(lowered(mod)) == {"softplus", "exp"}


def test_several_functions() -> None:
    x, y = relay.var("x", shape=(4,)), relay.var("y", shape=(4,))
    helper = relay.GlobalVar("helper")
    main = relay.Function([x], relay.Call(helper, [gelu(x)]))
    called = relay.Function([y], softmax(y), relay.TensorType((4,)))
    mod = tvm.IRModule({relay.GlobalVar("main"): main, helper: called})
    mod = QuAKE()(relay.transform.InferType()(mod))
    assert set(lowered(mod)) == {"gelu", "softmax"}
    assert {name.name_hint for name in mod.get_global_vars()} == {"main", "helper"}


def test_function_without_sites_is_the_same() -> None:
    x, y = relay.var("x", shape=(4,)), relay.var("y", shape=(4,))
    mod = typed(relay.Function([x], exp(x)), other=relay.Function([y], y + y))
    same(QuAKE()(mod)["other"], mod["other"])


def test_closure() -> None:
    x, y = relay.var("x", shape=(4,)), relay.var("y", shape=(4,))
    inner = relay.Function([y], softplus(y) + x)
    mod = QuAKE()(typed(relay.Function([x], relay.Call(inner, [tanh(x)]))))
    assert set(lowered(mod)) == {"softplus", "tanh"}


def test_fused_module() -> None:
    mod = relay.transform.FuseOps(2)(module(lambda x: sum(gelu(x), 1)))
    assert set(lowered(QuAKE()(mod))) == {"gelu"}


def test_types_that_modules_define() -> None:
    box = relay.GlobalTypeVar("Box")
    fill = relay.Constructor("Fill", [relay.TensorType((4,))], box)
    mod = tvm.IRModule()
    mod[box] = relay.TypeData(box, [], [fill])
    x, inside = relay.var("x", shape=(4,)), relay.var("inside")
    clause = relay.Clause(relay.PatternConstructor(fill, [relay.PatternVar(inside)]), exp(inside))
    mod["main"] = relay.Function([x], relay.Match(fill(tanh(x)), [clause]))
    mod = QuAKE()(relay.transform.InferType()(mod))
    assert set(lowered(mod)) == {"tanh", "exp"}
    assert [name.name_hint for name in mod.get_global_type_vars()] == ["Box"]


@pytest.mark.parametrize("mark", ["Compiler", "Composite"])
def test_functions_of_another_compiler_stay(mark: str) -> None:
    x, y = relay.var("x", shape=(4,)), relay.var("y", shape=(4,))
    theirs = relay.Function([y], sigmoid(y)).with_attr(mark, "theirs")
    mod = QuAKE()(typed(relay.Function([x], exp(relay.Call(theirs, [x])))))
    assert set(lowered(mod)) == {"exp"}
    calls = []
    relay.analysis.post_order_visit(mod["main"], calls.append)
    assert "sigmoid" in [e.op.name for e in calls if isinstance(getattr(e, "op", 0), tvm.ir.Op)]


def test_partitioned_functions_stay() -> None:
    x, y = relay.var("x", shape=(4,)), relay.var("y", shape=(4,))
    theirs = relay.Function([y], sigmoid(y), relay.TensorType((4,)))
    for name, value in {"Compiler": "theirs", "Primitive": 1, "global_symbol": "theirs"}.items():
        theirs = theirs.with_attr(name, value)
    called = relay.GlobalVar("theirs")
    main = relay.Function([x], exp(relay.Call(called, [x])))
    mod = tvm.IRModule({relay.GlobalVar("main"): main, called: theirs})
    mod = relay.transform.InferType()(mod)
    same(QuAKE()(mod)["theirs"], mod["theirs"])


def test_kernel_in_the_module() -> None:
    a = tvm.te.placeholder((4,), name="a")
    kernel = tvm.te.create_prim_func([a, tvm.te.compute((4,), lambda i: tvm.te.exp(a[i]))])
    mod = module(exp)
    mod[relay.GlobalVar("kernel")] = kernel
    mod = QuAKE()(mod)
    assert set(lowered(mod)) == {"exp"}
    assert intrinsics(mod["kernel"]) == []


def test_deep_module() -> None:
    """More steps than Python's recursion limit."""

    def formula(x: relay.Expr) -> relay.Expr:
        for _ in range(1500):
            x = relay.reverse(tanh(x), 0)
        return x

    graph = Graph(QuAKE()(module(formula, (4,)))["main"])
    assert [operator_of(v) for v in graph.values.values()] == ["tanh", None] * 1500


def test_dynamic_module() -> None:
    mod = QuAKE()(module(lambda x: nn.softmax(gelu(x)), (relay.Any(), 8)))
    assert set(lowered(mod)) == {"softmax", "gelu"}


def test_parameters_are_read_from_constants() -> None:
    x, root = relay.var("x", shape=(4,)), relay.var("root", shape=())
    function = relay.Function([x, root], x * c(0.5) * (c(1) + erf(x / root)))
    assert set(lowered(QuAKE()(typed(function)))) == {"erf"}
    bound_function = relay.build_module.bind_params_by_name(
        function, {"root": tvm.nd.array(np.float32(2**0.5))}
    )
    assert set(lowered(QuAKE()(typed(bound_function)))) == {"gelu"}
