"""A fixed set of random torch programs. The fuzzer detects and shrinks a planted fault."""

from math import inf, nan

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from .torch_programs.check import FAILURES, Outcome  # noqa: E402
from .torch_programs.compare import allowed, difference  # noqa: E402
from .torch_programs.exceptions import Otherwise  # noqa: E402
from .torch_programs.generate import generate  # noqa: E402
from .torch_programs.program import Input, Program  # noqa: E402
from .torch_programs.session import BATCH, outcomes  # noqa: E402
from .torch_programs.shrink import shrunk  # noqa: E402
from .torch_programs.ways import WAYS  # noqa: E402

# Programs of these seeds are compiled the short way, the first few also the other ways.
SHORT, WHOLE = 24, 4


def test_programs_are_right_or_refused():
    programs = [generate(seed) for seed in range(SHORT)]
    failures = []
    for first in range(0, SHORT, BATCH):
        batch = programs[first : first + BATCH]
        for program, outcome in zip(batch, outcomes(batch, WAYS[:1]), strict=True):
            if outcome.kind in FAILURES:
                failures.append(f"{outcome.kind}: {outcome.reason}\n{program.script()}")
    assert not failures, "\n\n".join(failures)


def test_programs_are_right_the_whole_way():
    programs = [generate(seed) for seed in range(WHOLE)]
    kinds = {outcome.kind for outcome in outcomes(programs)}
    assert kinds <= {"right", "refused"}


def test_the_same_seed_is_the_same_program():
    assert generate(7) == generate(7)
    assert generate(7) != generate(8)


def test_a_wrong_value_is_seen_beyond_rounding():
    program = Program(0, (Input("float32", (4, 4), 1),), (), ("torch.exp(x0)", "v0 + 1"), ("v1",))
    right = allowed(program, program.module(), 1e-6)
    (value,) = right.values
    assert difference([value * np.float32(1 + 1e-6)], right, True) is None
    assert "wrong" in difference([value * np.float32(1 + 1e-3)], right, True)
    assert "float64" in difference([value.astype("float64")], right, True)


FAR = "torch.tensor([[1e30, 2, 3]])"
PLAIN = "torch.tensor([[1.0, 2, 4]])"


@pytest.mark.parametrize(
    ("text", "other"),
    [
        ("torch.fmod(torch.ones(16), 1e-40)", 8.45e-42),
        ("torch.remainder(torch.ones(16), 1e-40)", 8.45e-42),
        (f"F.layer_norm({FAR}, [3])", 0.0),
        (f"F.group_norm({FAR}[None], 1)", 0.0),
        ("F.scaled_dot_product_attention(*[torch.full((1, 1, 2, 2), float('nan'))] * 3)", nan),
    ],
)
def test_either_of_two_results_of_torch_is_right(text, other):
    program = Program(0, (), (), (text,), ("v0",))
    right = allowed(program, program.module(), 1e-6)
    (value,) = right.values
    assert difference([np.full_like(value, other)], right, True) is None


@pytest.mark.parametrize(
    "text",
    [
        "torch.fmod(torch.ones(16), 0.0)",
        f"F.layer_norm({PLAIN}, [3])",
        f"F.group_norm({PLAIN}[None], 1)",
        "F.scaled_dot_product_attention(*[torch.ones(1, 1, 2, 2)] * 3)",
    ],
)
def test_where_torch_has_one_result_no_other_is_right(text):
    program = Program(0, (), (), (text,), ("v0",))
    right = allowed(program, program.module(), 1e-6)
    (value,) = right.values
    for other in (7.0, inf):
        assert "wrong" in difference([np.full_like(value, other)], right, True)


def test_other_kernels_give_eagers_values_of_plain_numbers():
    x = torch.randn(2, 4, 6, generator=torch.manual_seed(0))
    functions = (
        lambda: torch.remainder(x, 0.7),
        lambda: torch.nn.functional.layer_norm(x, [6]),
        lambda: torch.nn.functional.group_norm(x, 2),
        lambda: torch.nn.functional.scaled_dot_product_attention(x, x, x, is_causal=True),
    )
    for function in functions:
        value = function()
        with Otherwise():
            other = function()
        torch.testing.assert_close(value, other)


def test_the_tail_of_gelu_is_as_uncertain_as_a_last_place_of_erf():
    program = Program(0, (), (), ("F.gelu(torch.tensor([-4.0]))",), ("v0",))
    right = allowed(program, program.module(), 1e-6)
    (value,) = right.values
    assert difference([value - np.float32(2**-22)], right, True) is None
    assert "wrong" in difference([value * np.float32(1.02)], right, True)


def test_the_smallest_program_that_fails_is_found():
    steps = ("torch.exp(x0)", "x1 + 1", "torch.sinh(v0)", "v2 * v1", "v3.sum()")
    inputs = (Input("float32", (3,), 1), Input("float32", (3,), 2))
    program = Program(0, inputs, (), steps, ("v4", "v1"))

    def check(candidate: Program) -> Outcome:
        return Outcome("wrong" if any("sinh" in s for s in candidate.steps) else "right")

    smallest = shrunk(program, "wrong", check)
    assert smallest.steps == ("torch.sinh(x0)",)
    compile(smallest.script(), "script", "exec")
