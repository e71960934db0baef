"""Our operators are fused wherever TVM fuses its own, in every layout that TVM chooses."""

import re

import numpy as np
import pytest
import tvm
from tvm import relay
from tvm.relay import nn

import quake_tvm
from quake_tvm.machines.targets import target

from .modules import Formula, gelu, kernels, module, random, run, silu

METHOD = "quake5"


def weight(*shape: int) -> relay.Expr:
    return relay.const(random(*shape) * np.float32(0.2))


def dense(x: relay.Expr) -> relay.Expr:
    return nn.bias_add(nn.dense(x, weight(32, 16)), weight(32))


def conv(x: relay.Expr, channels: int = 32, source: int = 16) -> relay.Expr:
    kernel = weight(channels, source, 3, 3)
    return nn.bias_add(
        nn.conv2d(x, kernel, padding=1, channels=channels, kernel_size=3), weight(channels)
    )


def lowered(mod: tvm.IRModule, opt_level: int = 3, **options) -> object:
    with quake_tvm.PassContext(opt_level=opt_level, method=METHOD, **options) as context:
        lib = relay.build(mod, target())
    assert context.report.sites
    return lib


def assert_near_exact(lib: object, mod: tvm.IRModule, shape: tuple) -> None:
    x = random(*shape)
    with tvm.transform.PassContext(opt_level=3):
        expected = run(relay.build(mod, target()), x)
    np.testing.assert_allclose(run(lib, x), expected, rtol=1e-4, atol=1e-5)


IMAGE = (1, 16, 12, 12)


@pytest.mark.parametrize(
    ("formula", "shape", "operators"),
    [
        pytest.param(lambda x: gelu(dense(x)), (4, 16), ["dense", "add", "quake_gelu"], id="dense"),
        pytest.param(lambda x: silu(conv(x)), IMAGE, ["conv2d", "add", "quake_silu"], id="conv"),
        pytest.param(
            lambda x: relay.tanh(conv(x)) * relay.const(2.0) + relay.const(1.0),
            IMAGE,
            ["conv2d", "add", "quake_tanh", "multiply", "add"],
            id="steps_behind",
        ),
        pytest.param(
            lambda x: relay.sum(relay.sigmoid(x), 1), (4, 16), ["quake_sigmoid", "sum"], id="sum"
        ),
    ],
)
def test_one_kernel(formula: Formula, shape: tuple, operators: list[str]) -> None:
    mod = module(formula, shape)
    lib = lowered(mod)
    (kernel,) = [name for name in kernels(lib) if "quake" in name]
    for operator in operators:
        before, found, kernel = kernel.partition(operator)
        assert found, (operator, before)
    assert_near_exact(lib, mod, shape)


@pytest.mark.parametrize(
    ("formula", "shape"),
    [
        pytest.param(lambda x: nn.dense(nn.softmax(dense(x)), weight(8, 32)), (4, 16), id="dense"),
        pytest.param(lambda x: nn.softmax(relay.exp(x)) + x, (4, 16), id="elementwise"),
    ],
)
def test_rows_are_a_kernel_of_their_own(formula: Formula, shape: tuple) -> None:
    mod = module(formula, shape)
    lib = lowered(mod)
    assert "quake_softmax" in kernels(lib)
    assert_near_exact(lib, mod, shape)


def test_blocked_layout_goes_through() -> None:
    """Between two convolutions in NCHWc, element-wise operators need no change of layout."""
    mod = module(lambda x: silu(conv(gelu(conv(x)), 16, 32)), IMAGE)
    lib = lowered(mod)
    names = kernels(lib)
    middle = names[1:-1] if "layout_transform" in names[0] else names[:-1]
    assert len([name for name in names if "conv2d_NCHWc" in name]) == 2
    assert not [name for name in middle if name.startswith("layout_transform")]
    assert_near_exact(lib, mod, IMAGE)


@pytest.mark.parametrize("axis", [1, 2, 3])
def test_rows_after_a_blocked_layout(axis: int) -> None:
    mod = module(lambda x: nn.softmax(conv(x), axis=axis), IMAGE)
    assert_near_exact(lowered(mod), mod, IMAGE)


@pytest.mark.parametrize("before", [False, True], ids=["convert_first", "lower_first"])
def test_channels_last(before: bool) -> None:
    mod = module(lambda x: silu(conv(gelu(conv(x)), 16, 32)), IMAGE)
    convert = relay.transform.ConvertLayout({"nn.conv2d": ["NHWC", "HWIO"]})
    steps = [quake_tvm.QuAKE(METHOD), convert] if before else [convert, quake_tvm.QuAKE(METHOD)]
    with tvm.transform.PassContext(opt_level=3):
        converted = tvm.transform.Sequential([*steps, relay.transform.FoldConstant()])(mod)
    order = []
    relay.analysis.post_order_visit(
        converted["main"], lambda e: order.append(getattr(getattr(e, "op", None), "name", ""))
    )
    inside = order[order.index("nn.conv2d") : len(order) - order[::-1].index("nn.conv2d")]
    assert "quake.gelu" in inside
    assert "layout_transform" not in inside
    assert_near_exact(lowered(converted), mod, IMAGE)


@pytest.mark.parametrize("opt_level", range(5))
def test_every_level(opt_level: int) -> None:
    mod = module(lambda x: nn.softmax(silu(conv(x))), IMAGE)
    assert_near_exact(lowered(mod, opt_level), mod, IMAGE)


@pytest.mark.parametrize(
    "disabled", ["SimplifyInference", "AlterOpLayout", "FoldConstant", "EliminateCommonSubexpr"]
)
def test_without_a_pass_of_tvm(disabled: str) -> None:
    mod = module(lambda x: silu(conv(x)), IMAGE)
    lib = lowered(mod, disabled_pass=[disabled])
    assert any("quake_silu" in name for name in kernels(lib))
    assert any("NCHWc" in name for name in kernels(lib)) == (disabled != "AlterOpLayout")
    assert_near_exact(lib, mod, IMAGE)


def loops(formula: Formula, shape: tuple) -> list[str]:
    """The kinds of the loops in the scheduled kernels."""
    found: list[str] = []

    @tvm.tir.transform.prim_func_pass(opt_level=0)
    def see(function, mod, context):
        found.extend(
            re.findall(r"T\.(?:parallel|vectorized|unroll|serial|grid)", function.script())
        )
        return function

    config = {"tir.add_lower_pass": [(0, see)]}
    with quake_tvm.PassContext(opt_level=3, method=METHOD, config=config):
        relay.build(module(formula, shape), target())
    return found


@pytest.mark.parametrize(
    ("before", "shape"),
    [
        pytest.param(dense, (4, 16), id="dense"),
        pytest.param(conv, IMAGE, id="conv"),
        pytest.param(lambda x: conv(x, 16) + x, IMAGE, id="conv_add"),
        pytest.param(lambda x: nn.global_avg_pool2d(x), IMAGE, id="pool"),
        pytest.param(lambda x: relay.sum(x, 1), (4, 16), id="sum"),
    ],
)
def test_kernels_are_scheduled_as_with_tvms_own(before: Formula, shape: tuple) -> None:
    def behind(formula: Formula) -> Formula:
        return lambda x: formula(before(x))

    assert loops(behind(nn.relu), shape)
    assert loops(behind(relay.tanh), shape) == loops(behind(nn.relu), shape)


def test_equal_sites_are_computed_once() -> None:
    mod = module(lambda x: relay.sum(gelu(x), 1) + relay.max(gelu(x), 1), (4, 16))
    lib = lowered(mod)
    assert [name for name in kernels(lib) if "quake_gelu" in name] == ["quake_gelu"]
    assert_near_exact(lib, mod, (4, 16))


@pytest.mark.parametrize(
    "formula",
    [
        pytest.param(lambda x: relay.sum(gelu(x), 1), id="elementwise"),
        pytest.param(lambda x: nn.softmax(x, axis=0) * relay.const(2.0), id="rows"),
    ],
)
def test_module_that_is_fused_already(formula: Formula) -> None:
    mod = module(formula, (4, 16))
    assert_near_exact(lowered(relay.transform.FuseOps(2)(mod)), mod, (4, 16))


def test_dropout_and_batch_norm_are_simplified_as_ever() -> None:
    def formula(x: relay.Expr) -> relay.Expr:
        ones = relay.const(np.ones(32, np.float32))
        normal = nn.batch_norm(conv(x), ones, weight(32), weight(32), ones)[0]
        return silu(nn.dropout(normal))

    mod = module(formula, IMAGE)
    lib = lowered(mod)
    assert not any("norm" in name or "dropout" in name for name in kernels(lib))
    assert_near_exact(lib, mod, IMAGE)
