"""Exponential intrinsics inside PrimFuncs are lowered within the bound, and nothing else is."""

import json

import ml_dtypes
import numpy as np
import pytest
import tvm
from tvm import te, tirx
from tvm.script import ir as I
from tvm.script import tirx as T

from quake_tvm.machines.targets import target
from quake_tvm.numerics import reference
from quake_tvm.numerics.ladder import METHODS
from quake_tvm.numerics.number_formats import HALVES
from quake_tvm.numerics.operators import OPERATORS, bound
from quake_tvm.options import Options
from quake_tvm.passes.lower_tir import INTRINSICS, intrinsics, lower

NAMES = list(INTRINSICS.values())
POINTS = np.linspace(-30, 30, 4001, dtype="float32")


def module(*names: str, dtype: str = "float32") -> tvm.IRModule:
    """``main`` applies the intrinsics to a vector, one after the other."""
    x = te.placeholder(POINTS.shape, dtype, "x")

    def value(i: tirx.Var) -> tirx.Expr:
        result = x[i]
        for name in names:
            result = getattr(tirx, name)(result)
        return result

    main = te.create_prim_func([x, te.compute(POINTS.shape, value, "y")])
    return tvm.IRModule({"main": main.with_attr("global_symbol", "main")})


def left(mod: tvm.IRModule) -> list[str]:
    return sorted(name for name, _ in intrinsics(mod["main"]))


def sites(mod: tvm.IRModule) -> list[dict]:
    return json.loads(mod["main"].attrs["quake.sites"])


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("name", NAMES)
def test_result_is_within_the_bound(name: str, method: str) -> None:
    mod = lower(module(name), Options.parse(method))
    assert left(mod) == []
    result = tvm.runtime.tensor(np.empty_like(POINTS))
    tvm.compile(mod, target())["main"](tvm.runtime.tensor(POINTS), result)
    exact = OPERATORS[name].reference(reference.NUMPY, POINTS.astype("float64"))
    error = bound(name, method)
    assert np.all(np.abs(result.numpy() - exact) <= error.relative * abs(exact) + error.absolute)


@pytest.mark.parametrize("name", NAMES)
def test_site_is_written_down(name: str) -> None:
    assert sites(lower(module(name), Options.parse("quake3", special_values="finite"))) == [
        {"operator": name, "method": "quake3", "special_values": "finite", "source": "TIR"}
    ]


def test_nested_calls_are_all_lowered() -> None:
    mod = lower(module("tanh", "exp", "tanh"), Options.parse())
    assert left(mod) == []
    assert [site["operator"] for site in sites(mod)] == ["exp", "tanh"]


def test_other_dtypes_stay() -> None:
    mod = module("exp", dtype="float64")
    assert lower(mod, Options.parse()).same_as(mod)


@pytest.mark.parametrize("dtype", sorted(HALVES))
def test_half_precision_computes_in_float32(dtype: str) -> None:
    mod = lower(module("tanh", dtype=dtype), Options.parse("quake3"))
    assert left(mod) == []
    x = POINTS.astype(dtype)
    result = tvm.runtime.tensor(np.empty_like(x))
    tvm.compile(mod, target())["main"](tvm.runtime.tensor(x), result)
    exact, error = np.tanh(x.astype("float64")), bound("tanh", "quake3", dtype)
    found = result.numpy().astype("float64")
    assert np.all(np.abs(found - exact) <= error.relative * abs(exact) + error.absolute)


@pytest.mark.parametrize("dtype", sorted(HALVES))
def test_half_precision_that_is_computed(dtype: str) -> None:
    x = te.placeholder(POINTS.shape, dtype, "x")
    zero = tirx.const(0, dtype)

    def value(i: tirx.Var) -> tirx.Expr:
        kept = tirx.if_then_else(x[i] > zero, x[i], zero)
        return tirx.exp(tirx.tanh(x[i])) + tirx.tanh(x[i] + x[i]) + tirx.sigmoid(kept)

    main = te.create_prim_func([x, te.compute(POINTS.shape, value, "y")])
    before = tvm.IRModule({"main": main.with_attr("global_symbol", "main")})
    mod = lower(before, Options.parse("quake5"))
    # TVM could not compile what takes the bits of computed bfloat16 numbers.
    assert left(mod) == ([] if dtype == "float16" else ["sigmoid", "tanh"])
    assert {site["operator"] for site in sites(mod)} >= {"exp", "tanh"}
    given = POINTS.astype(dtype)
    result = tvm.runtime.tensor(np.empty_like(given))
    tvm.compile(mod, target())["main"](tvm.runtime.tensor(given), result)
    y = given.astype("float64")
    exact = np.exp(np.tanh(y)) + np.tanh(2 * y) + 1 / (1 + np.exp(-np.maximum(y, 0)))
    rounding = float(ml_dtypes.finfo(given.dtype).eps)
    assert np.abs(result.numpy().astype("float64") - exact).max() < 8 * rounding


@pytest.mark.parametrize("name", ["log", "sqrt", "sin"])
def test_other_intrinsics_stay(name: str) -> None:
    mod = module(name)
    assert lower(mod, Options.parse()).same_as(mod)


@pytest.mark.parametrize(
    ("options", "stays"),
    [
        ({"only": ["exp"]}, ["tanh"]),
        ({"skip": ["exp"]}, ["exp"]),
        ({"only": ["softmax"]}, ["exp", "tanh"]),
        ({"method": "exact"}, ["exp", "tanh"]),
    ],
    ids=["only", "skip", "only_another", "exact"],
)
def test_options(options: dict, stays: list[str]) -> None:
    assert left(lower(module("exp", "tanh"), Options.parse(**options))) == stays


def test_second_run_changes_nothing() -> None:
    mod = lower(module("exp", "tanh"), Options.parse())
    assert lower(mod, Options.parse()).same_as(mod)


def test_later_run_adds_its_sites() -> None:
    mod = lower(module("exp", "tanh"), Options.parse("quake1", only=["tanh"]))
    mod = lower(mod, Options.parse("quake5"))
    assert [(s["operator"], s["method"]) for s in sites(mod)] == [
        ("tanh", "quake1"),
        ("exp", "quake5"),
    ]


def test_dtypes_side_by_side_in_script() -> None:
    @I.ir_module
    class Module:
        @T.prim_func(s_tir=True)
        def main(x: T.Buffer((4,), "float32"), y: T.Buffer((4,), "float64")):
            for i in range(4):
                with T.sblock("b"):
                    k = T.axis.spatial(4, i)
                    x[k] = T.exp(x[k])
                    y[k] = T.exp(y[k]) + T.sigmoid(y[k])

        @T.prim_func(s_tir=True)
        def plain(x: T.Buffer((4,), "float32")):
            for i in range(4):
                x[i] = x[i] + T.float32(1)

    mod = lower(Module, Options.parse())
    assert sorted(intrinsics(mod["main"])) == [("exp", "float64"), ("sigmoid", "float64")]
    assert mod["plain"].same_as(Module["plain"])


def test_each_dtype_has_its_own_rung() -> None:
    @I.ir_module
    class Module:
        @T.prim_func(s_tir=True)
        def main(x: T.Buffer((4,), "float32"), y: T.Buffer((4,), "float16")):
            for i in range(4):
                x[i] = T.exp(x[i]) + T.tanh(x[i])
                y[i] = T.exp(y[i])

    assert bound("exp", "quake5", "float16").error > 2e-4
    mod = lower(Module, Options.parse(max_error=2e-4))
    assert intrinsics(mod["main"]) == [("exp", "float16")]
    assert [(s["operator"], s["method"]) for s in sites(mod)] == [
        ("exp", "quake3"),
        ("tanh", "quake3"),
    ]
