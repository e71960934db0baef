"""Choose the candidates of one kernel to measure next: from the rules and from MetaSchedule.

The rules' candidates are known beforehand and are ranked by the cost model. MetaSchedule's
candidates evolve. Each batch has candidates of one kind. MetaSchedule gets batches only while its
candidates are nearly as good as the best. Knows no clock.
"""

import math
import random
from collections.abc import Callable

import tvm

from ..schedules import analysis
from ..schedules.fence import fence_products
from ..schedules.space import Candidate, candidates
from .cost_model import CostModel
from .kernels import Kernel
from .sketches import Sketches, context_of

# This share of a batch of the rules' candidates is drawn at random.
DRAWN = 0.25
# Every EVERY-th batch is MetaSchedule's. MetaSchedule is dropped for good if its best costs more
# than FAR times the best.
EVERY, FAR = 3, 1.2


class Search:
    """The candidates of one kernel.

    Parameters
    ----------
    kernel : Kernel
    target : tvm.target.Target
    model : CostModel
    batch : int
        The number of candidates to propose together.
    most : int
        The most candidates of the rules.
    seed : int
    sees_threads : bool
        Whether costs reflect the number of threads. If not, the rule decides about threads, and
        MetaSchedule's candidates, which decide about threads too, are left out.

    Attributes
    ----------
    own : Candidate
        The rule's default.
    """

    def __init__(
        self,
        kernel: Kernel,
        target: tvm.target.Target,
        model: CostModel,
        batch: int,
        most: int,
        seed: int,
        sees_threads: bool = True,
    ) -> None:
        self._random = random.Random(f"{seed} {kernel.hash}")
        self._model, self._batch = model, batch
        self.own, *self._left = candidates(kernel.function, target, most=most, seed=seed)
        if not sees_threads:
            threads = self.own.numbers.get("parallel")
            self._left = [c for c in self._left if c.numbers.get("parallel") == threads]
        fenced = fence_products(kernel.function)
        self._context = context_of(fenced, target, seed)
        self._best: dict[bool, float] = {}
        self._turn = 0
        self._sketches: Sketches | None = None
        written_out = not analysis.blocks(analysis.start(fenced))
        if sees_threads and not written_out:
            self._sketches = Sketches(fenced, self._context, self.own, model, most, batch)

    @property
    def left(self) -> int:
        """The number of the rules' candidates that are not measured yet."""
        return len(self._left)

    def recall(self, known: Callable[[Candidate], bool]) -> list[Candidate]:
        """A batch of the rules' candidates that an earlier session measured."""
        return self._take({n for n, c in enumerate(self._left) if known(c)})

    def propose(self) -> list[Candidate]:
        """The next batch; empty if nothing is left to try."""
        self._turn += 1
        if self._sketches is not None and (self._turn % EVERY == 0 or not self._left):
            found = self._sketches.propose()
            if found:
                return [*found]
            self._sketches = None
        if len(self._left) > self._batch:
            scores = self._model.predict(self._context, [c.function for c in self._left])
            drawn = set(self._random.sample(range(len(scores)), round(self._batch * DRAWN)))
            ranked = sorted(
                (n for n in range(len(scores)) if n not in drawn), key=lambda n: -scores[n]
            )
            chosen = drawn | set(ranked[: self._batch - len(drawn)])
        else:
            chosen = set(range(len(self._left)))
        return self._take(chosen)

    def _take(self, chosen: set[int]) -> list[Candidate]:
        """Remove and return the remaining candidates at these indices."""
        batch = [c for n, c in enumerate(self._left) if n in chosen]
        self._left = [c for n, c in enumerate(self._left) if n not in chosen]
        return batch

    def learn(self, batch: list[Candidate], costs: list[float | None]) -> None:
        """Learn the costs of a batch, or of its measured part; None for a candidate that failed."""
        for candidate, cost in zip(batch, costs, strict=True):
            if cost is not None:
                sketch = candidate.trace is not None
                self._best[sketch] = min(cost, self._best.get(sketch, cost))
        self._model.learn(self._context, [c.function for c in batch], costs)
        theirs = [(c, cost) for c, cost in zip(batch, costs, strict=True) if c.trace is not None]
        if theirs and self._sketches is not None:
            self._sketches.learn(*zip(*theirs, strict=True))
            if self._best.get(True, math.inf) > FAR * min(self._best.values(), default=math.inf):
                self._sketches = None
