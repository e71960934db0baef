"""Long values become buffers, a constant number for each link of a chain. Short ones do not."""

import pytest

from quake_tvm.kernels import short_lets
from quake_tvm.numerics.ladder import LADDER, METHODS
from quake_tvm.numerics.operators import OPERATORS
from quake_tvm.tvm_version import IF_THEN_ELSE, Expr, dtype_of, tir

ELEMENTWISE = [name for name, row in OPERATORS.items() if row.elementwise]


def chain(operator: str, method: str, links: int) -> Expr:
    """An operator of an operator of … of a load, ``links`` times."""
    row = OPERATORS[operator]
    value = tir.decl_buffer((16,), "float32", "x")[3]
    for _ in range(links):
        value = row.expression(value, LADDER[method], True, **row.parameters)
    return value


@pytest.mark.parametrize("operator", ELEMENTWISE)
def test_an_operator_alone_stays_as_it_is(operator):
    for method in METHODS:
        assert short_lets._Lengths(chain(operator, method, 1)).longest < short_lets.LONGEST


@pytest.mark.parametrize("operator", ["sigmoid", "tanh", "gelu_tanh", "mish", "softplus"])
def test_buffers_grow_with_the_length(operator):
    counts = [len(short_lets._Kept(chain(operator, "quake5", n)).before) for n in (1, 11, 21)]
    assert counts[2] - counts[1] == counts[1] - counts[0] > 0
    kept = short_lets._Kept(chain(operator, "quake5", 21)).value
    assert short_lets._Lengths(kept).longest == 0


def test_a_long_value_is_found():
    assert short_lets._Lengths(chain("sigmoid", "quake2", 2)).longest > short_lets.LONGEST


def test_what_is_computed_under_a_condition_stays_under_it():
    """Outside the condition the load may be out of bounds."""
    inside = tir.Var("i", "int32") < 3
    value = tir.if_then_else(inside, chain("sigmoid", "quake2", 3), tir.const(0, "float32"))
    kept = short_lets._Kept(value)
    guarded = [each for each in kept.before if isinstance(each, tir.IfThenElse)]
    stores = [each for each in kept.before if isinstance(each, tir.BufferStore)]
    assert guarded
    assert not stores
    assert kept.value.op.name == IF_THEN_ELSE
    assert dtype_of(kept.value) == "float32"
