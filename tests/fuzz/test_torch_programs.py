"""A fixed set of random torch programs, and the fuzzer itself: that it sees and shrinks a fault."""

import pytest

torch = pytest.importorskip("torch")

from . import torch_programs as fuzz  # noqa: E402

# Programs of these seeds are imported, those of the first few are compiled the whole way.
IMPORTED, WHOLE = 36, 6


def test_programs_are_right_or_refused():
    programs = [fuzz.generate(seed) for seed in range(IMPORTED)]
    failures = []
    for first in range(0, IMPORTED, fuzz.BATCH):
        batch = programs[first : first + fuzz.BATCH]
        for program, outcome in zip(batch, fuzz.outcomes(batch, ["import"]), strict=True):
            if outcome.kind not in ("right", "refused", "not exported"):
                failures.append(f"{outcome.kind}: {outcome.reason}\n{program.script()}")
    assert not failures, "\n\n".join(failures)


def test_programs_are_right_the_whole_way():
    programs = [fuzz.generate(seed) for seed in range(WHOLE)]
    kinds = {outcome.kind for outcome in fuzz.outcomes(programs, fuzz.WAYS)}
    assert kinds <= {"right", "refused"}


def test_the_same_seed_is_the_same_program():
    assert fuzz.generate(7) == fuzz.generate(7)
    assert fuzz.generate(7) != fuzz.generate(8)


def test_a_wrong_value_is_seen_beyond_rounding():
    program = fuzz.Program(
        0, (fuzz.Input("float32", (4, 4), 1),), (), ("torch.exp(x0)", "v0 + 1"), ("v1",)
    )
    right = fuzz.allowed(program, program.module(), 1e-6)
    (value,) = right.values
    assert fuzz.difference([value * (1 + 1e-6)], right, True) is None
    assert "wrong" in fuzz.difference([value * (1 + 1e-3)], right, True)
    assert "float64" in fuzz.difference([value.astype("float64")], right, True)


def test_the_smallest_program_that_fails_is_found():
    steps = ("torch.exp(x0)", "x1 + 1", "torch.sinh(v0)", "v2 * v1", "v3.sum()")
    inputs = (fuzz.Input("float32", (3,), 1), fuzz.Input("float32", (3,), 2))
    program = fuzz.Program(0, inputs, (), steps, ("v4", "v1"))

    def judge(candidate: fuzz.Program) -> fuzz.Outcome:
        return fuzz.Outcome("wrong" if any("sinh" in s for s in candidate.steps) else "right")

    smallest = fuzz.shrink(program, "wrong", judge)
    assert smallest.steps == ("torch.sinh(x0)",)
    compile(smallest.script(), "script", "exec")
