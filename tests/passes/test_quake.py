"""The whole pass: its output, what its options exclude, and that TVM fuses the result."""

import json
import math
from functools import partial

import numpy as np
import pytest
import tvm
from tvm import relax
from tvm.relax.op import astype, erf, exp, matmul, nn, sigmoid, sum
from tvm.script import ir as I
from tvm.script import relax as R
from tvm.tirx import PrimFunc

from quake_tvm.kernels import compute
from quake_tvm.kernels.kernel_spec import KernelSpec
from quake_tvm.numerics.ladder import METHODS
from quake_tvm.numerics.number_formats import HALVES
from quake_tvm.numerics.operators import OPERATORS, bound
from quake_tvm.passes.lower_tir import intrinsics
from quake_tvm.passes.quake import QuAKE
from quake_tvm.passes.relax.graph import shape_text
from tests.helpers import Formula, c, module, once, run

same = tvm.ir.assert_structural_equal


def kernel(
    x: relax.Expr,
    operator: str,
    *more: relax.Expr,
    source: str,
    method: str = "quake4",
    ieee: bool = True,
    **parameters: float,
) -> relax.Expr:
    """The expected call of the PrimFunc for an operator."""
    elementwise = OPERATORS[operator].elementwise
    site = {
        "operator": operator,
        "method": method,
        "special_values": "ieee" if ieee else "finite",
        "source": source,
        "shape": shape_text(x),
        **parameters,
    }
    attrs = {"quake.sites": json.dumps([site])}
    if elementwise:
        options = {"operator": operator, "method": method, "ieee": ieee, **parameters}
        function = partial(compute.elementwise, **options)
    else:
        function = KernelSpec(operator, parameters | {"method": method, "ieee": ieee})
        attrs |= {"op_pattern": 8, **function.attributes}
    return relax.BlockBuilder.current().call_te(
        function, x, *more, primfunc_name_hint=f"quake_{operator}", primfunc_attrs=attrs
    )


def gelu(x: relax.Expr) -> relax.Expr:
    return x * c(0.5) * (c(1) + erf(x / c(math.sqrt(2))))


def softmax(x: relax.Expr, axis: int = -1) -> relax.Expr:
    e = once(exp(x))
    return e / sum(e, axis, keepdims=True)


def methods(mod: tvm.IRModule) -> dict[str, str]:
    """The rung of each lowered operator."""
    functions = [f for f in mod.functions.values() if isinstance(f, PrimFunc)]
    sites = [site for f in functions for site in json.loads(f.attrs.get("quake.sites", "[]"))]
    return {site["operator"]: site["method"] for site in sites}


def intrinsics_left(mod: tvm.IRModule) -> list[tuple[str, str]]:
    return [
        found for f in mod.functions.values() if isinstance(f, PrimFunc) for found in intrinsics(f)
    ]


GELU = "divide+erf+add+multiply+multiply"


@pytest.mark.parametrize(
    ("before", "expected"),
    [
        pytest.param(exp, lambda x: kernel(x, "exp", source="exp"), id="exp"),
        pytest.param(gelu, lambda x: kernel(x, "gelu", source=GELU), id="gelu"),
        pytest.param(
            lambda x: x * sigmoid(x * c(2)),
            lambda x: kernel(x, "silu", source="multiply+sigmoid+multiply", beta=2.0),
            id="silu_beta",
        ),
        pytest.param(
            lambda x: exp(c(1) - x),
            lambda x: kernel(x, "exp", source="exp", scale=-1.0, shift=1.0),
            id="exp_affine",
        ),
        pytest.param(
            nn.softmax, lambda x: kernel(x, "softmax", source="nn.softmax"), id="softmax_op"
        ),
        pytest.param(
            softmax, lambda x: kernel(x, "softmax", source="exp+sum+divide"), id="softmax"
        ),
        pytest.param(
            lambda x: nn.softmax(x / c(8)),
            lambda x: kernel(x, "softmax", source="nn.softmax", scale=0.125),
            id="softmax_scale",
        ),
    ],
)
def test_site_becomes_its_kernel(before: Formula, expected: Formula) -> None:
    same(QuAKE()(module(before)), module(expected))


def test_attention_logits_become_one_kernel() -> None:
    shapes = (2, 4, 8), (8,)
    mod = QuAKE("quake3")(module(lambda x, mask: nn.softmax(x / c(8) + mask), *shapes))
    same(
        mod,
        module(
            lambda x, mask: kernel(
                x, "softmax", mask, source="nn.softmax", method="quake3", scale=0.125
            ),
            *shapes,
        ),
    )


def test_softmax_of_another_axis_is_transposed() -> None:
    mod = QuAKE("quake5")(module(lambda x: nn.softmax(x, axis=0), (5, 3)))
    x = np.random.default_rng(0).normal(size=(5, 3)).astype("float32")
    e = np.exp(x.astype("float64"))
    exact = e / e.sum(axis=0)
    error = bound("softmax", "quake5")
    assert np.all(np.abs(run(mod, x) - exact) <= error.relative * exact + error.absolute)


def test_finite_special_values() -> None:
    mod = QuAKE(special_values="finite")(module(exp))
    same(mod, module(lambda x: kernel(x, "exp", source="exp", ieee=False)))


@pytest.mark.parametrize(
    "formula",
    [
        pytest.param(lambda x: nn.relu(x) + x * c(0.5), id="elementwise"),
        pytest.param(lambda x: matmul(x, x), id="matmul"),
        pytest.param(lambda x: sum(x, 1), id="sum"),
    ],
)
def test_without_nonlinearities_nothing_changes(formula: Formula) -> None:
    mod = module(formula, (3, 3))
    assert QuAKE()(mod).same_as(mod)


@pytest.mark.parametrize(
    ("formula", "shapes"),
    [
        pytest.param(lambda x: nn.softmax(nn.gelu(x)), [(2, 3)], id="operators"),
        pytest.param(softmax, [(2, 3)], id="written_out"),
        pytest.param(nn.attention, [(1, 4, 2, 8)] * 3, id="attention"),
    ],
)
def test_other_dtypes_stay(formula: Formula, shapes: list[tuple]) -> None:
    mod = module(formula, *shapes, dtype="float64")
    same(QuAKE()(mod), mod)


@pytest.mark.parametrize("dtype", sorted(HALVES))
@pytest.mark.parametrize(
    ("operator", "formula"), [("softmax", nn.softmax), ("gelu", nn.gelu), ("sigmoid", sigmoid)]
)
def test_half_precision_computes_in_float32(operator: str, formula: Formula, dtype: str) -> None:
    def expected(x: relax.Expr) -> relax.Expr:
        wide = once(astype(x, "float32"))
        source = operator if operator == "sigmoid" else f"nn.{operator}"
        return astype(once(kernel(wide, operator, source=source)), dtype)

    mod = module(formula, dtype=dtype)
    same(QuAKE()(mod), module(expected, dtype=dtype))


def everything(x: relax.Expr) -> relax.Expr:
    return nn.log_softmax(nn.softmax(gelu(x)) + sigmoid(x)) * exp(x + x)


@pytest.mark.parametrize(
    "options",
    [{}, {"only": ["softmax"]}, {"skip": ["gelu"]}, {"method": "exact"}],
    ids=["default", "only", "skip", "exact"],
)
def test_second_run_changes_nothing(options: dict) -> None:
    once_run = QuAKE(**options)(module(everything))
    same(QuAKE(**options)(once_run), once_run)


def test_exact_changes_nothing() -> None:
    mod = module(everything)
    same(QuAKE(method="exact")(mod), mod)


@pytest.mark.parametrize(
    ("options", "lowered"),
    [
        ({"only": ["softmax", "exp"]}, {"softmax", "exp"}),
        ({"skip": ["softmax", "exp"]}, {"gelu", "sigmoid", "log_softmax"}),
    ],
    ids=["only", "skip"],
)
def test_choice_of_operators(options: dict, lowered: set[str]) -> None:
    assert set(methods(QuAKE(**options)(module(everything)))) == lowered


@pytest.mark.parametrize(
    ("operator", "formula"), [("gelu", gelu), ("softmax", softmax)], ids=["gelu", "softmax"]
)
def test_inside_of_a_skipped_operator_stays_exact(operator: str, formula: Formula) -> None:
    mod = module(formula)
    same(QuAKE(skip=[operator])(mod), mod)


def test_last_step_of_a_skipped_operator_is_not_folded() -> None:
    def half_last(x: relax.Expr) -> relax.Expr:
        return x * (c(1) + erf(x / c(math.sqrt(2)))) * c(0.5)

    mod = QuAKE(skip=["gelu"])(module(lambda x: nn.softmax(half_last(x))))
    same(mod, module(lambda x: kernel(once(half_last(x)), "softmax", source="nn.softmax")))


def test_part_used_elsewhere_is_lowered_too() -> None:
    def both(x: relax.Expr) -> tuple[relax.Expr, relax.Expr]:
        e = once(exp(x))
        return e / sum(e, -1, keepdims=True), e

    assert set(methods(QuAKE()(module(both)))) == {"softmax", "exp"}


@pytest.mark.parametrize("max_error", [1e-1, 1e-2, 1e-3, 1e-5])
def test_max_error_takes_the_cheapest_rung_within(max_error: float) -> None:
    for operator, method in methods(QuAKE(max_error=max_error)(module(everything))).items():
        cheaper = METHODS[: METHODS.index(method)]
        assert bound(operator, method).error <= max_error
        assert all(bound(operator, m).error > max_error for m in cheaper)


def test_max_error_that_no_rung_meets() -> None:
    mod = module(everything)
    same(QuAKE(max_error=1e-30)(mod), mod)


def test_dynamic_shape() -> None:
    @I.ir_module
    class Module:
        @R.function
        def main(x: R.Tensor(("m", "n"), "float32")) -> R.Tensor(("m", "n"), "float32"):
            e = R.exp(x)
            s = R.sum(e, axis=[1], keepdims=True)
            y = R.divide(e, s)
            return R.nn.silu(y)

    mod = QuAKE("quake5")(Module)
    assert set(methods(mod)) == {"softmax", "silu"}
    x = np.linspace(-4, 4, 3 * 21, dtype="float32").reshape(3, 21)
    p = np.exp(x) / np.exp(x).sum(axis=1, keepdims=True)
    error = bound("softmax", "quake5").error + bound("silu", "quake5").error
    np.testing.assert_allclose(run(mod, x), p / (1 + np.exp(-p)), rtol=4 * error)


def test_branches() -> None:
    @I.ir_module
    class Module:
        @R.function
        def main(x: R.Tensor((4,), "float32"), p: R.Tensor((), "bool")) -> R.Tensor(
            (4,), "float32"
        ):
            z = R.negative(x)
            if p:
                a = R.exp(z)
                y = R.add(a, z)
            else:
                b = R.sigmoid(x)
                y = R.multiply(x, b)
            return y

    mod = QuAKE()(Module)
    assert set(methods(mod)) == {"exp", "silu"}
    relax.analysis.well_formed(mod)
    assert not intrinsics_left(mod)


def test_other_functions_and_dead_code_stay() -> None:
    @I.ir_module
    class Module:
        @R.function
        def unrelated(x: R.Tensor((4,), "float32")) -> R.Tensor((4,), "float32"):
            _ = R.multiply(x, x)
            return x

        @R.function
        def main(x: R.Tensor((4,), "float32")) -> R.Tensor((4,), "float32"):
            _ = R.multiply(x, x)
            y = R.exp(x)
            return y

    mod = QuAKE()(Module)
    same(mod["unrelated"], Module["unrelated"])
    kept, lowered = mod["main"].body.blocks[0].bindings
    same(kept.value, Module["main"].body.blocks[0].bindings[0].value, map_free_vars=True)
    assert lowered.value.op.name == "relax.call_tir"


def test_exponential_inside_attention() -> None:
    mod = QuAKE()(module(nn.attention, *[(1, 4, 2, 8)] * 3))
    assert set(methods(mod)) == {"exp"}
    assert not intrinsics_left(mod)


def test_skipped_attention_stays() -> None:
    mod = module(nn.attention, *[(1, 4, 2, 8)] * 3)
    same(QuAKE(skip=["exp"])(mod), mod)


def test_tvm_fuses_the_kernel() -> None:
    shapes = (4, 8), (8, 16), (16,)
    mod = QuAKE()(module(lambda x, w, b: gelu(once(matmul(x, w) + b)), *shapes))
    fuse = tvm.transform.Sequential(
        [
            relax.transform.LegalizeOps(),
            relax.transform.AnnotateTIROpPattern(),
            relax.transform.FuseOps(),
            relax.transform.FuseTIR(),
        ]
    )
    (fused,) = (f for f in fuse(mod).functions.values() if isinstance(f, PrimFunc))
    assert not intrinsics(fused)


def test_module_is_not_changed_in_place() -> None:
    mod = module(gelu)
    QuAKE()(mod)
    same(mod, module(gelu))
