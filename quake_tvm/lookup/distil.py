"""Train a look-up to give what a feed-forward layer gives, on rows that a model has seen.

The tables take steps of normalised least mean squares. The hash takes steps of Adam; its gradient
goes through the scores only, since codes have none. Both steps become small in the end. A
distillation depends on its data, its numbers and its seed alone: stopped and continued, it gives
the same tables.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..support import given
from ..support.whole_file import whole_file
from .layer import Hashed, LookupLayer, hashed
from .training_kernels import LANES, aligned, gather, update

# Rows whose hash is one step of Adam, and rows whose errors are of the same tables.
_BATCH, _TOGETHER = 512, 32
# The largest and the last step of the tables, relative to the one that makes an error zero.
_LARGEST, _LAST = 0.53, 0.03
_RATE, _DECAY, _DECAY_OF_SQUARES = 2e-3, 0.9, 0.98
# Rows before Adam's rate is whole.
_WARM_UP = 20_000


@dataclass(frozen=True)
class Settings:
    """The numbers of a distillation.

    Attributes
    ----------
    tables, bits : int
        The number of tables, and the bits of their codes, at most 16.
    rows : int
        The number of rows to train on; rows of the data are used again.
    seed : int

    Raises
    ------
    QuakeError
        For other values, and if all tables together have 2^31 rows or more.
    """

    tables: int = 128
    bits: int = 8
    rows: int = 400_000
    seed: int = 0

    def __post_init__(self) -> None:
        given.count(self.bits, "bits", most=16)
        given.count(self.tables, "tables", most=(2**31 - 1) >> self.bits)
        given.count(self.rows, "rows")
        given.count(self.seed, "seed", least=0)


class Distillation:
    """A look-up in training.

    Parameters
    ----------
    x, y : ndarray
        float32, of shape (n, width of x) and (n, width of y): the rows before and behind the layer.
    settings : Settings
    """

    def __init__(self, x: np.ndarray, y: np.ndarray, settings: Settings) -> None:
        self.x, self.settings = np.ascontiguousarray(x), settings
        self.width = y.shape[1]
        self.y = np.zeros((len(y), -(-self.width // LANES) * LANES), np.float32)
        self.y[:, : self.width] = y
        # Rows count alike, however large they are.
        self.weights = (1 / np.maximum(np.mean(self.y**2, axis=1), 1e-12)).astype(np.float32)
        self.weights /= self.weights.mean()
        random = np.random.default_rng(settings.seed)
        columns = settings.tables * settings.bits
        projection = random.standard_normal((x.shape[1], columns)).astype(np.float32)
        projection /= np.maximum(self.x.std(axis=0), 1e-6)[:, None]
        sample = self.x[random.permutation(len(x))[:10_000]] @ projection
        spread = np.maximum(sample.std(axis=0), 1e-6)
        entries = settings.tables << settings.bits
        self.state: dict[str, np.ndarray] = {
            "projection": projection / spread,
            "offset": -np.median(sample, axis=0).astype(np.float32) / spread,
            "tables": aligned(np.zeros((entries, self.y.shape[1]), np.float32)),
            "bias": self.y.mean(axis=0),
            "seen": np.array(0),
        }
        for name in ("projection", "offset"):
            for moment in ("mean", "square"):
                self.state[f"{name}_{moment}"] = np.zeros_like(self.state[name])

    @property
    def seen(self) -> int:
        """The rows that were trained on so far."""
        return int(self.state["seen"])

    @property
    def done(self) -> bool:
        """Whether the training is over."""
        return self.seen >= self.settings.rows

    def layer(self) -> LookupLayer:
        """The look-up as it is now."""
        state, width = self.state, self.width
        return LookupLayer(
            state["projection"],
            state["offset"],
            np.ascontiguousarray(state["tables"][:, :width]),
            state["bias"][:width].copy(),
            self.settings.bits,
        )

    def save(self, path: Path) -> None:
        """Write the state to a file, whole or not at all."""
        with whole_file(path) as temporary, temporary.open("wb") as file:
            np.savez(file, **self.state)  # type: ignore[arg-type]

    def restore(self, path: Path) -> None:
        """Continue from a file that :meth:`save` wrote."""
        with np.load(path) as kept:
            self.state = {name: kept[name] for name in self.state}
        self.state["tables"] = aligned(self.state["tables"])

    def run(self, tick: Callable[["Distillation"], None]) -> None:
        """Train to the end. ``tick`` is called after each batch."""
        while not self.done:
            self._batch(self._rows())
            tick(self)

    def _rows(self) -> np.ndarray:
        """The numbers of the next batch's rows, each epoch in an order of its own."""
        batch = min(_BATCH, len(self.x))
        epoch, place = divmod(self.seen // batch, len(self.x) // batch)
        random = np.random.default_rng((self.settings.seed, epoch))
        return random.permutation(len(self.x))[place * batch : (place + 1) * batch]

    def _batch(self, chosen: np.ndarray) -> None:
        state, left = self.state, max(0.0, 1 - self.seen / self.settings.rows)
        size = _LAST + (_LARGEST - _LAST) * left**1.5
        x, y, weights = self.x[chosen], self.y[chosen], self.weights[chosen]
        found = self.layer_hash(x)
        norms = np.sum(found.scores**2, axis=1, keepdims=True) + 1e-6
        gradients = np.empty((len(x), self.settings.tables), np.float32)
        for first in range(0, len(x), _TOGETHER):
            part = slice(first, first + _TOGETHER)
            codes, scores = found.codes[part], found.scores[part]
            errors = gather(codes, scores, state["tables"], state["bias"]) - y[part]
            # Rows that read the same entry share a step.
            together = np.bincount(codes.ravel(), minlength=len(state["tables"]))[codes]
            steps = (size * scores / norms[part] / together).astype(np.float32)
            weighted = errors * weights[part, None]
            gradients[part] = update(codes, steps, errors, weighted, state["tables"])
            state["bias"] = state["bias"] - np.float32(0.02 * size) * errors.mean(axis=0)
        slopes = found.slopes.reshape(len(x), self.settings.bits, -1) * gradients[:, None]
        slopes = slopes.reshape(len(x), -1)
        state["seen"] = np.array(self.seen + len(x))
        rate = _RATE * (0.02 + left) * min(1.0, self.seen / _WARM_UP)
        self._adam("projection", x.T @ slopes / len(x), rate)
        self._adam("offset", slopes.mean(axis=0), rate)

    def layer_hash(self, x: np.ndarray) -> "Hashed":
        """The codes and scores of rows."""
        return hashed(x @ self.state["projection"] + self.state["offset"], self.settings.bits)

    def _adam(self, name: str, gradient: np.ndarray, rate: float) -> None:
        state, steps = self.state, self.seen / min(_BATCH, len(self.x))
        mean, square = f"{name}_mean", f"{name}_square"
        state[mean] = (_DECAY * state[mean] + (1 - _DECAY) * gradient).astype(np.float32)
        state[square] = (
            _DECAY_OF_SQUARES * state[square] + (1 - _DECAY_OF_SQUARES) * gradient**2
        ).astype(np.float32)
        first = state[mean] / (1 - _DECAY**steps)
        second = state[square] / (1 - _DECAY_OF_SQUARES**steps)
        state[name] = (state[name] - rate * first / (np.sqrt(second) + 1e-8)).astype(np.float32)
