"""Which lower limits follow from torch's assumption that every size is at least 2."""

import pytest

sympy = pytest.importorskip("sympy")
pytest.importorskip("torch")

from quake_tvm.importers.torch.assumed import follows  # noqa: E402

A, B, C = sympy.symbols("a b c", integer=True, positive=True)


@pytest.mark.parametrize(
    ("limit", "condition"),
    [
        (4, sympy.Eq(A, B + C)),
        (4, sympy.Eq(B + C, A)),
        (4, B + C <= A),
        (5, B + C < A),
        (3, A > B),
        (3, sympy.Eq(2 * A, B + 4)),
        (7, sympy.Eq(A - 3, 2 * B)),
    ],
)
def test_limits_that_follow(limit, condition):
    assert follows(A, limit, [A < 99, condition])
    assert not follows(A, limit + 1, [A < 99, condition])


@pytest.mark.parametrize(
    "condition",
    [A <= B, sympy.Eq(A + B, 9), sympy.Ne(A, B), A >= B * C, A >= B - C, B >= C, sympy.true],
)
def test_conditions_that_give_none(condition):
    assert not follows(A, 3, [condition])


@pytest.mark.parametrize("condition", [A >= 3, A - 3 >= 0, 2 * A > 7])
def test_conditions_that_are_limits(condition):
    """They assume no other size to be 2."""
    assert not follows(A, 3, [condition])
