"""The registry and its bounds. tests/accuracy checks that kernels keep the bounds."""

import dataclasses
import json

import pytest

import quake_tvm
from quake_tvm.numerics.ladder import METHODS
from quake_tvm.numerics.operators import OPERATORS, Bound, bound, within

ELEMENTWISE = [name for name, row in OPERATORS.items() if row.elementwise]
# The largest errors that are accepted for exp.
PROMISED = {"quake1": 0.03, "quake2": 2.7e-3, "quake3": 1.1e-4, "quake4": 5e-6, "quake5": 4e-7}


@pytest.mark.parametrize("method", METHODS)
def test_promises_on_exp(method):
    assert bound("exp", method).relative <= PROMISED[method]


@pytest.mark.parametrize("operator", ELEMENTWISE)
@pytest.mark.parametrize("method", METHODS)
def test_no_operator_is_much_worse_than_its_exp(operator, method):
    # quake5's exp is near float32's own rounding error, and every further step adds one. In GELU
    # the argument x^2 doubles the relative rounding error of x.
    rounding = 2.0**-24 * (16 if operator == "gelu_tanh" else 6)
    ours, exp = bound(operator, method).relative, bound("exp", method).relative
    assert ours <= exp * 1.02 + rounding


def test_bounds_are_machine_readable():
    row = quake_tvm.bound("softmax", method="quake2")
    assert isinstance(row, Bound)
    assert json.loads(json.dumps(dataclasses.asdict(row)))["relative"] == row.relative


def test_rungs_within_an_error_the_cheapest_first():
    assert within("gelu", 0.5) == ["quake1", "quake2", "quake3", "quake4", "quake5"]
    assert within("gelu", 1e-2)[0] == "quake2"
    assert within("exp", bound("exp", "quake4").relative) == ["quake4", "quake5"]
    assert within("exp", 1e-12) == []


@pytest.mark.parametrize("call", [("nope", "quake2"), ("exp", "quake9")])
def test_unknown_names_are_refused(call):
    with pytest.raises(quake_tvm.QuakeError, match="choose from"):
        bound(*call)
