"""Equal extents get one name."""

import pytest
from tvm import relax, tirx

from quake_tvm.errors import QuakeError
from quake_tvm.passes.relax.unify_extents import UnifyExtents
from quake_tvm.runtime.extent_limits import ExtentLimits
from tests.helpers import module


def shapes(mod):
    return [[str(n) for n in p.ty.shape] for p in mod["main"].params]


def named(*names):
    return [tirx.Var(name, "int64") for name in names]


def test_what_a_product_sums_over():
    a, k, other, b = named("a", "k", "other", "b")
    mod = UnifyExtents()(module(relax.op.matmul, (a, k), (other, b)))
    (_, inner), (outer, _) = shapes(mod)
    assert inner == outer


def test_a_number_is_no_name():
    a, k, b = named("a", "k", "b")
    for given in (((a, k), (4, b)), ((a, 4), (k, b))):
        (_, inner), (outer, _) = shapes(UnifyExtents()(module(relax.op.matmul, *given)))
        assert "4" in inner
        assert "4" in outer


def test_modules_that_agree_stay():
    a, k, b = named("a", "k", "b")
    mod = module(relax.op.matmul, (a, k), (k, b))
    assert UnifyExtents()(mod).same_as(mod)


def test_channels_of_a_convolution():
    a, c, n, d, other = named("a", "c", "n", "d", "other")
    mod = UnifyExtents()(module(relax.op.nn.conv1d, (a, c, n), (d, other, 3)))
    (_, data, _), (_, weight, _) = shapes(mod)
    assert data == weight


def test_limits_follow_the_names():
    a, k, other, b = named("a", "k", "other", "b")
    mod = module(relax.op.matmul, (a, k), (other, b))
    given = ExtentLimits(("other <= 7*b",), {"k": (1, 9), "other": (4, None)})
    mod["main"] = given.write(mod["main"])
    unified = UnifyExtents()(mod)
    (_, inner), _ = shapes(unified)
    limits = ExtentLimits.of(unified["main"])
    assert limits == ExtentLimits((f"{inner} <= 7*b",), {inner: (4, 9)})


def test_a_size_that_the_limits_exclude():
    a, k, b = named("a", "k", "b")
    for wrong in (ExtentLimits(ranges={"k": (5, 9)}), ExtentLimits(("k > 4",))):
        mod = module(relax.op.matmul, (a, k), (4, b))
        mod["main"] = wrong.write(mod["main"])
        with pytest.raises(QuakeError, match=r"takes 5 to 9|sizes with k > 4, got k = 4"):
            UnifyExtents()(mod)
