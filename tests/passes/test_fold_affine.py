"""Scale, shift and mask before an operator are folded into it, if nothing else uses them."""

import pytest
import tvm
from tvm import relax
from tvm.relax.op import negative

from quake_tvm.passes.fold_affine import find
from quake_tvm.passes.graph import Site
from quake_tvm.passes.relax.graph import rewrite
from quake_tvm.passes.relax.ops import call
from tests.helpers import Formula, c, module, once

LOGITS, ROW = (2, 4, 4), (4,)


def quake(operator: str, *args: relax.Expr, **attributes: float) -> relax.Call:
    return call(operator, *args, method="quake2", ieee=True, source="", shape="", **attributes)


def softmax(*args: relax.Expr, axis: int = 2, **attributes: float) -> relax.Call:
    return quake("softmax", *args, axis=axis, **attributes)


def fold(mod: tvm.IRModule) -> tvm.IRModule:
    def make(site: Site) -> relax.Call:
        return call(site.operator, *site.args, **site.attributes)

    return rewrite(mod, find, make)


def check(before: Formula, after: Formula, *shapes: tuple) -> None:
    tvm.ir.assert_structural_equal(fold(module(before, *shapes)), module(after, *shapes))


@pytest.mark.parametrize(
    ("before", "scale"),
    [
        pytest.param(lambda x: x / c(8), 0.125, id="divide"),
        pytest.param(lambda x: x * c(0.125), 0.125, id="multiply"),
        pytest.param(lambda x: c(0.125) * x, 0.125, id="multiply_left"),
        pytest.param(lambda x: (x * c(4)) / c(32), 0.125, id="two_steps"),
    ],
)
@pytest.mark.parametrize("axis", [1, 2])
def test_scale_of_softmax(before: Formula, scale: float, axis: int) -> None:
    check(
        lambda x: softmax(before(x), axis=axis),
        lambda x: softmax(x, axis=axis, scale=scale),
        LOGITS,
    )


@pytest.mark.parametrize(
    "before",
    [lambda x, mask: x + mask, lambda x, mask: mask + x],
    ids=["mask_right", "mask_left"],
)
@pytest.mark.parametrize("shape", [ROW, (1, 1, 4), (2, 1, 4), (4, 1)], ids=str)
def test_mask_of_softmax(before: Formula, shape: tuple) -> None:
    check(
        lambda x, mask: softmax(before(x, mask)),
        lambda x, mask: softmax(x, mask, scale=1.0),
        LOGITS,
        shape,
    )


def test_scale_and_mask_of_softmax() -> None:
    check(
        lambda x, mask: softmax(x / c(8) + mask),
        lambda x, mask: softmax(x, mask, scale=0.125),
        LOGITS,
        ROW,
    )


def test_scaled_sum_is_not_masked() -> None:
    check(
        lambda x, mask: softmax((x + mask) / c(8)),
        lambda x, mask: softmax(x + mask, scale=0.125),
        LOGITS,
        ROW,
    )


def test_mask_may_be_used_elsewhere() -> None:
    check(
        lambda x, mask: (softmax(x + mask), mask + mask),
        lambda x, mask: (softmax(x, mask, scale=1.0), mask + mask),
        LOGITS,
        ROW,
    )


def test_scaled_logits_used_elsewhere_still_take_the_mask() -> None:
    def before(x: relax.Expr, mask: relax.Expr) -> tuple[relax.Expr, relax.Expr]:
        scaled = once(x / c(8))
        return softmax(scaled + mask), scaled

    def after(x: relax.Expr, mask: relax.Expr) -> tuple[relax.Expr, relax.Expr]:
        scaled = once(x / c(8))
        return softmax(scaled, mask, scale=1.0), scaled

    check(before, after, LOGITS, ROW)


@pytest.mark.parametrize(
    ("before", "scale", "shift"),
    [
        pytest.param(negative, -1, 0, id="negative"),
        pytest.param(lambda x: x * c(2), 2, 0, id="multiply"),
        pytest.param(lambda x: x / c(-4), -0.25, 0, id="divide"),
        pytest.param(lambda x: x + c(1), 1, 1, id="add"),
        pytest.param(lambda x: x - c(1), 1, -1, id="subtract"),
        pytest.param(lambda x: c(1) - x, -1, 1, id="subtract_from"),
        pytest.param(lambda x: x * c(2) + c(1), 2, 1, id="scale_then_shift"),
        pytest.param(lambda x: (x + c(1)) * c(2), 2, 2, id="shift_then_scale"),
        pytest.param(lambda x: negative(c(3) - x * c(2)), 2, -3, id="three_steps"),
    ],
)
def test_affine_input_of_exp(before: Formula, scale: float, shift: float) -> None:
    check(
        lambda x: quake("exp", before(x)),
        lambda x: quake("exp", x, scale=float(scale), shift=float(shift)),
    )


def test_positive_scale_of_sigmoid() -> None:
    check(lambda x: quake("sigmoid", x * c(2)), lambda x: quake("sigmoid", x, scale=2.0))


def test_folding_stops_where_it_must() -> None:
    check(
        lambda x: quake("sigmoid", negative(x) * c(2)),
        lambda x: quake("sigmoid", negative(x), scale=2.0),
    )


def test_shifts_are_folded_up_to_the_largest() -> None:
    """One shift of 40 is exact enough in the operator's constants, 80 is not."""
    check(
        lambda x: quake("exp", (x + c(40)) + c(40)),
        lambda x: quake("exp", x + c(40), scale=1.0, shift=40.0),
    )


def unchanged(formula: Formula, *shapes: tuple) -> None:
    mod = module(formula, *shapes)
    assert fold(mod).same_as(mod)


@pytest.mark.parametrize(
    "formula",
    [
        pytest.param(lambda x: softmax(x), id="nothing_to_fold"),
        pytest.param(lambda x: softmax(negative(x)), id="softmax_negative"),
        pytest.param(lambda x: softmax(x * c(-2)), id="softmax_negative_scale"),
        pytest.param(lambda x: softmax(x * c(0)), id="softmax_zero_scale"),
        pytest.param(lambda x: softmax(x / c(0)), id="softmax_divided_by_zero"),
        pytest.param(lambda x: softmax(c(8) / x), id="softmax_reciprocal"),
        pytest.param(lambda x: softmax(x + c(1)), id="softmax_shift"),
        pytest.param(lambda x: softmax(x * x), id="softmax_of_a_square"),
        pytest.param(lambda x: quake("exp", c(1) / x), id="exp_reciprocal"),
        pytest.param(lambda x: quake("exp", x + c(1e6)), id="exp_large_shift"),
        pytest.param(lambda x: quake("exp", x * c(1e38)), id="exp_large_scale"),
        pytest.param(lambda x: quake("exp", x * c(1e-38)), id="exp_small_scale"),
        pytest.param(lambda x: quake("exp", x + c(float("inf"))), id="exp_infinite_shift"),
        pytest.param(lambda x: quake("exp", x * c(float("nan"))), id="exp_nan"),
        pytest.param(lambda x: softmax(x / c(float("inf"))), id="softmax_divided_by_infinity"),
        pytest.param(lambda x: softmax(x * c(float("inf"))), id="softmax_infinite_scale"),
        pytest.param(lambda x: quake("sigmoid", x + c(1)), id="sigmoid_shift"),
        pytest.param(lambda x: quake("sigmoid", negative(x)), id="sigmoid_negative"),
        pytest.param(lambda x: quake("gelu", x * c(2)), id="gelu"),
        pytest.param(lambda x: quake("log_softmax", x * c(2), axis=2), id="log_softmax"),
    ],
)
def test_not_folded(formula: Formula) -> None:
    unchanged(formula, LOGITS)


@pytest.mark.parametrize(
    "step",
    [
        pytest.param(lambda x, mask: x / c(8), id="scale"),
        pytest.param(lambda x, mask: x + mask, id="mask"),
    ],
)
def test_logits_used_elsewhere_stay(step: Formula) -> None:
    def formula(x: relax.Expr, mask: relax.Expr) -> tuple[relax.Expr, relax.Expr]:
        logits = once(step(x, mask))
        return softmax(logits), logits

    unchanged(formula, LOGITS, ROW)


def test_overflow_between_two_scales_stays() -> None:
    """From x = 3.4e18 on the product is infinite and exp(-inf) is 0, whatever scale follows."""
    unchanged(lambda x: quake("exp", (x * c(1e20)) * c(1e-35)))


def test_mask_of_another_axis_stays() -> None:
    unchanged(lambda x, mask: softmax(x + mask, axis=1), LOGITS, ROW)


def test_scale_by_element_stays() -> None:
    unchanged(lambda x, scale: softmax(x * scale), LOGITS, ROW)


def test_broadcast_stays() -> None:
    """Neither x nor y has the sum's shape, so folding x + y would lose it."""
    unchanged(lambda x, y: softmax(x + y), (2, 1, 4), (2, 4, 1))


def test_constant_that_broadcasts_stays() -> None:
    ones = relax.const([[2.0] * 4] * 3, "float32")
    unchanged(lambda x: quake("exp", x * ones), (1, 4))
