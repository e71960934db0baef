"""Choices between layers and look-ups are made as a plan says."""

import pytest
from tvm import relax

from quake_tvm.errors import QuakeError
from quake_tvm.kernels.choice_operator import choice
from quake_tvm.passes.relax.choose_look_ups import choices, choose


def module(numbers=(0, 2)):
    """abs for each layer, and tanh for its look-up."""
    builder = relax.BlockBuilder()
    x = relax.Var("x", relax.TensorType((2, 3), "float32"))
    with builder.function("main", [x]):
        with builder.dataflow():
            y = x
            for number in numbers:
                layer = builder.emit(relax.op.abs(y))
                look_up = builder.emit(relax.op.tanh(y))
                y = builder.emit(choice(layer, look_up, number))
            y = builder.emit_output(y)
        builder.emit_func_output(y)
    return builder.get()


@pytest.mark.parametrize(
    ("numbers", "steps"),
    [((), ["abs", "abs"]), ((0,), ["tanh", "abs"]), ({0, 2}, ["tanh", "tanh"])],
)
def test_one_of_the_two_is_left(numbers, steps):
    main = choose(module(), numbers)["main"]
    bound = [b.value for block in main.body.blocks for b in block.bindings]
    names = [value.op.name for value in bound if isinstance(value, relax.Call)]
    assert names == [f"relax.{step}" for step in steps]


def test_choices_have_numbers():
    assert list(choices(module())) == [0, 2]
    with pytest.raises(QuakeError, match="a look-up 1, which is not there"):
        choose(module(), [1])


def test_a_module_without_choices_is_unchanged():
    mod = module(())
    assert choose(mod, ()) is mod
