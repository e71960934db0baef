"""A run of calls that continue each other: one conversation with a decoder, one stream.

Knows the model's runs and its state, no operator.
"""

import threading
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from .description import Inputs

if TYPE_CHECKING:
    from .model import Model


class Session:
    """The state of a model between calls; :meth:`quake_tvm.Model.session` makes one.

    Sessions of one model share its code and weights and nothing else, so that several threads may
    each have their own. Calls of one session wait for each other.
    """

    def __init__(self, model: "Model") -> None:
        self.model = model
        self._lock = threading.Lock()
        self._state = model.initial_state()

    def run(self, *inputs: Inputs, **named: ArrayLike) -> list[np.ndarray]:
        """Run the model once, from the state that the last call left. As :meth:`Model.run`.

        Raises
        ------
        QuakeError
            As :meth:`Model.run`. The state of a call that raised it while it ran is not defined:
            :meth:`reset` it.
        """
        with self._lock:
            return self.model.run_from(self._state, inputs, named)

    __call__ = run

    def reset(self) -> None:
        """Return to the state before the first call."""
        with self._lock:
            self._state = self.model.initial_state()
