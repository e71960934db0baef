"""Sizes, names and ranges of a module's dynamic dimensions."""

import pytest
from tvm import relax, tirx

from quake_tvm import QuakeError
from quake_tvm.importers.bound_extents import with_ranges, with_shapes
from quake_tvm.runtime.extent_limits import ExtentLimits
from tests.helpers import module


def dynamic(*shapes, conditions=(), ranges=None):
    """A module that returns its inputs' exponentials, with a variable for each name."""
    variables = {n: tirx.Var(n, "int64") for shape in shapes for n in shape if isinstance(n, str)}
    mod = module(
        lambda *xs: tuple(map(relax.op.exp, xs)),
        *[tuple(variables.get(n, n) for n in shape) for shape in shapes],
    )
    mod["main"] = ExtentLimits(conditions, ranges or {}).write(mod["main"])
    return mod


def shapes(mod):
    return [[str(getattr(n, "value", n)) for n in p.ty.shape] for p in mod["main"].params]


def test_names_follow_a_dimension_into_other_inputs():
    mod = with_shapes(dynamic(("a", "b"), ("b", "c")), {"x0": ("batch", "length")})
    assert shapes(mod) == [["batch", "length"], ["length", "c"]]


def test_names_can_be_exchanged():
    mod = with_shapes(dynamic(("a", "b"), ("b", "a")), {"x0": ("b", "a")})
    assert shapes(mod) == [["b", "a"], ["a", "b"]]


def test_dimensions_of_one_name_become_one():
    for given in ({"x0": ("n", 3), "x1": ("n",)}, {"x0": ("b", 3)}, {"x1": ("a",)}):
        mod = with_shapes(dynamic(("a", 3), ("b",)), given)
        (one, _), (other,) = (p.ty.shape for p in mod["main"].params)
        assert one.same_as(other)


def test_own_names_are_no_change():
    mod = dynamic(("a", 3))
    assert with_shapes(mod, {"x0": ("a", 3)}).same_as(mod)
    assert with_ranges(mod, {}).same_as(mod)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"x0": ("n", "k")}, r"a dimension of input 'x0' is 3 and takes no name 'k'"),
        ({"x0": ("n", 3), "x1": ("m", 3)}, r"\('m', 3\) does not fit input 'x1' \(n, 3\)"),
        ({"x0": (2, 3), "x1": ("m", 3)}, r"\('m', 3\) does not fit input 'x1' \(2, 3\)"),
        ({"x0": ("n",)}, r"shape \('n',\) does not fit input 'x0' \(a, 3\)"),
        ({"z": ("n",)}, "no input 'z'; the inputs: x0, x1"),
    ],
    ids=str,
)
def test_names_that_do_not_fit(given, message):
    with pytest.raises(QuakeError, match=message):
        with_shapes(dynamic(("a", 3), ("a", 3)), given)


def test_a_computed_dimension_takes_no_name():
    a = tirx.Var("a", "int64")
    mod = module(lambda x, y: (x, y), (a,), (a * 2,))
    with pytest.raises(QuakeError, match=r"is a \* .*2.* and takes no name 'n'"):
        with_shapes(mod, {"x1": ("n",)})


def test_conditions_and_ranges_follow_the_names():
    mod = dynamic(("a", "b"), conditions=("a*b <= 12", "aa >= a"), ranges={"a": (2, 9)})
    limits = ExtentLimits.of(with_shapes(mod, {"x0": ("n", 4)})["main"])
    assert limits == ExtentLimits(("n*4 <= 12", "aa >= n"), {"n": (2, 9)})
    for wrong in (1, 10):
        with pytest.raises(QuakeError, match=f"'a' is {wrong}, and takes 2 to 9"):
            with_shapes(mod, {"x0": (wrong, 1)})
    with pytest.raises(QuakeError, match="exported for sizes with"):
        with_shapes(mod, {"x0": (4, 4)})


def test_a_range_is_within_the_modules_own():
    mod = dynamic(("a", "b"), ranges={"a": (3, None)})
    limits = ExtentLimits.of(with_ranges(mod, {"a": (1, 9), "b": (2, 5)})["main"])
    assert limits.ranges == {"a": (3, 9), "b": (2, 5)}
    with pytest.raises(QuakeError, match=r"range 1 to 2 of dimension 'a' .* own, 3 or more"):
        with_ranges(mod, {"a": (1, 2)})


def test_a_range_of_one_size_is_a_size():
    mod = with_ranges(dynamic(("a", "b"), ("b",)), {"a": (1, 9), "b": (5, 5)})
    assert shapes(mod) == [["a", "5"], ["5"]]
    assert ExtentLimits.of(mod["main"]).ranges == {"a": (1, 9)}


def test_ranges_of_unknown_dimensions():
    with pytest.raises(QuakeError, match=r"unknown dimension 'z'; the dimensions: a, b$"):
        with_ranges(dynamic(("a", "b", "a")), {"z": (1, 2)})
    with pytest.raises(QuakeError, match="dimensions: none, since all sizes are static"):
        with_ranges(dynamic((2, 3)), {"z": (1, 2)})
