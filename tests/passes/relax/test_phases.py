"""The phases of transposed convolutions."""

import numpy as np

from quake_tvm.passes.relax.phases import Phases, phase_weights


def test_every_tap_belongs_to_one_phase():
    weights = np.arange(1, 6, dtype=np.float32).reshape(1, 5, 1)
    for pad in (0, 1, 2):
        phases = phase_weights(weights, Phases((2,), (3,), (pad,), (4,)))
        assert phases.shape == (3, 2, 1, 1)
        taps = [[k for k in range(5) if k % 3 == (r + pad) % 3] for r in range(3)]
        found = [[float(w) for w in phase.ravel() if w] for phase in phases]
        assert found == [[k + 1.0 for k in each] for each in taps]
