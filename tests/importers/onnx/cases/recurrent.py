"""LSTM, GRU and RNN."""

import numpy as np

from tests.recurrent import DEFAULTS, GATES

from .case import Case, K, c

STEPS, ROWS, FEATURES, HIDDEN = 5, 3, 4, 6


def recurrent() -> list[Case]:
    """Every attribute and operand of the three operators."""
    return [case for operator in GATES for case in _of(operator)]


def _of(operator: str) -> list[Case]:
    rng = np.random.default_rng(0)
    gates, states = GATES[operator], 1 + (operator == "LSTM")

    def random(*shape: int) -> np.ndarray:
        return rng.normal(size=shape).astype(np.float32)

    def given(directions: int, *more: object, **attributes: object) -> Case:
        weights = random(directions, gates * HIDDEN, FEATURES)
        recurrent = random(directions, gates * HIDDEN, HIDDEN) / 2
        return c(
            operator,
            random(STEPS, ROWS, FEATURES),
            K(weights),
            K(recurrent),
            *more,
            hidden_size=HIDDEN,
            outputs=1 + states,
            **attributes,
        )

    bias = random(2, 2 * gates * HIDDEN)
    lengths = np.array([2, STEPS, 3], np.int32)
    before = [random(2, ROWS, HIDDEN) for _ in range(states)]
    peepholes = [random(2, 3 * HIDDEN)] if operator == "LSTM" else []
    scaled = {"activations": ["ScaledTanh"] * len(DEFAULTS[operator]) * 2}
    scaled |= {f"activation_{p}": [0.9] * len(scaled["activations"]) for p in ("alpha", "beta")}
    found = [
        given(1, direction="reverse"),
        given(2, bias, lengths, *before, *peepholes, direction="bidirectional"),
        given(2, bias, direction="bidirectional", clip=0.7, **scaled),
        given(1, layout=1),
    ]
    if operator == "GRU":
        found.append(given(1, bias[:1], linear_before_reset=1))
    if operator == "LSTM":
        found.append(given(1, bias[:1], input_forget=1))
    return found
