"""A tuning session: tasks in order of promise, until the budget or the candidates run out.

Every trial is written to the journal at once. An improvement is written to the records after an
interleaved comparison with what it replaces has confirmed it. So a session may end at any moment.
"""

import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import tvm

from ..errors import QuakeError
from ..schedules import schedule
from ..schedules.records.trace import fingerprint
from ..schedules.repack import panel_width
from ..schedules.space import Candidate
from ..support.interrupts import interrupts_come_through
from ..tvm_version import tir
from .confirmation import confirm
from .cost_model import CostModel
from .journal import Journal, Trial
from .kernels import Kernel, Task
from .runner import Runner, Timing
from .search import Search
from .state import INTERRUPTED, State, Work

# So many of a batch's best candidates are confirmed, if their cost is below NEAR times the best: a
# single timing has an error of that size.
CHALLENGERS, NEAR = 2, 1.03
# A task is finished after PATIENCE trials without an improvement, and has at most CANDIDATES
# candidates of the rules.
PATIENCE, CANDIDATES = 48, 192
# Each trial without an improvement multiplies a task's promise by this: sixteen trials by 0.6.
FADING = 0.6 ** (1 / 16)

Progress = Callable[[State], None]


@dataclass(frozen=True)
class Budget:
    """The limits of a session.

    Attributes
    ----------
    trials : int or None
        The number of candidates to measure, over all tasks.
    seconds : float or None
        The time. A batch that began within it is completed.
    """

    trials: int | None = None
    seconds: float | None = None


class Session:
    """One tuning session.

    Parameters
    ----------
    target : tvm.target.Target
    runner : Runner
    model : CostModel
    journal : Journal
    save : callable
        Writes (Work, cost, the rule's cost) as a record.
    budget : Budget
    known : sequence of Trial
        Trials that need not be measured again.
    context : str
        As in :class:`Trial`.
    seed : int
    progress : callable
        Called with the state after every change.
    """

    def __init__(
        self,
        target: tvm.target.Target,
        runner: Runner,
        model: CostModel,
        journal: Journal,
        save: Callable[[Work, float, float], None],
        budget: Budget,
        *,
        known: Sequence[Trial] = (),
        context: str = "",
        seed: int = 0,
        progress: Progress = lambda _: None,
    ) -> None:
        self.state = State(runner.unit)
        self._target, self._runner, self._model = target, runner, model
        self._journal, self._save, self._budget = journal, save, budget
        self._known = {(t.kernel, t.candidate): t.timing for t in known if t.context == context}
        self._context, self._seed, self._progress = context, seed, progress
        self._name = time.strftime("%Y-%m-%dT%H:%M:%S")
        self._began = time.monotonic()
        self._searches: dict[str, Search] = {}  # by the kernel's hash
        # Digests of a kernel's correct outputs, by the layout of its weights.
        self._digests: dict[tuple[str, int], str] = {}

    def run(self, tasks: Sequence[Task], wanted: Callable[[Task], bool]) -> State:
        """Tune the tasks that are wanted. An interrupt ends the session, whose results are kept.

        Raises
        ------
        QuakeError
            If nothing can be measured or written any more.
        """
        state = self.state
        try:
            with interrupts_come_through() as check_interrupt:
                self._measure_rules(tasks, wanted)
                while not state.stopped:
                    check_interrupt()
                    open_works = [work for work in state.works if not work.finished]
                    if not open_works:
                        state.stopped = "nothing left to try"
                    elif self._is_spent():
                        state.stopped = "the budget is used up"
                    else:
                        self._step(max(open_works, key=_promise))
        except KeyboardInterrupt:
            state.stopped = INTERRUPTED
        state.current = None
        self.show("")
        return state

    def _measure_rules(self, tasks: Sequence[Task], wanted: Callable[[Task], bool]) -> None:
        """Measure every kernel with the rules' defaults, to find out where the time goes."""
        kernels = [kernel for task in tasks for kernel in task.kernels]
        pairs = [(k, f) for k in kernels if (f := schedule(k.function, self._target)) is not None]
        costs: dict[str, float] = {}
        errors: dict[str, str] = {}
        self.show(f"measuring {len(pairs)} kernels as the rules schedule them")
        for n, timing in self._timings(pairs, [{} for _ in pairs]):
            kernel = pairs[n][0]
            if timing.cost is None:
                errors[kernel.name] = timing.error
            else:
                costs[kernel.hash] = timing.cost
                self._digests[kernel.hash, panel_width(kernel.function)] = timing.digest
            done = f"{len(costs) + len(errors)} of {len(pairs)}"
            self.show(f"measuring kernels as the rules schedule them: {done}")
        for name, error in errors.items():
            if not costs:
                raise QuakeError(f"no kernel can be measured: {name}: {error}")
            warnings.warn(f"{name} is left out: {error}", stacklevel=2)
        works = []
        for task in tasks:
            own = [k for k in task.kernels if k.hash in costs]
            if not own:
                continue
            heaviest = max(own, key=lambda k: k.calls * costs[k.hash])
            spent = sum(k.calls * costs[k.hash] for k in own)
            cost = costs[heaviest.hash]
            work = Work(task, heaviest, spent, cost, cost)
            if task.key is None:
                work.finished = "nothing to choose"
            elif not wanted(task):
                work.finished = "not asked for"
            works.append(work)
        self.state.works = sorted(works, key=lambda work: -work.spent)

    def _step(self, work: Work) -> None:
        """Measure one batch of one task."""
        state = self.state
        state.current = work
        search = self._searches.get(work.kernel.hash)
        if search is None:
            self.show(f"candidates for {work.name}")
            search = Search(
                work.kernel,
                self._target,
                self._model,
                self._runner.batch,
                CANDIDATES,
                self._seed,
                self._runner.sees_threads,
            )
            self._searches[work.kernel.hash] = search
            batch = search.recall(partial(self._is_known, work.kernel))
        else:
            batch = []
        if not batch:
            self.show(f"choosing candidates for {work.name}")
            batch = search.propose()
            if self._budget.trials is not None:
                batch = batch[: self._budget.trials - state.trials]
        work.left = search.left
        if not batch:
            work.finished = "all tried"
            self._keep_rule(work)
            return
        self.show(f"measuring {len(batch)} candidates for {work.name}")
        measured: list[Candidate] = []
        costs: list[float | None] = []
        pairs = [(work.kernel, candidate.function) for candidate in batch]
        for n, timing in self._timings(pairs, [candidate.numbers for candidate in batch]):
            measured.append(batch[n])
            costs.append(self._checked(work, batch[n], timing))
            work.trials += 1
            work.stale += 1
            state.trials += 1
            state.failed += costs[-1] is None
            self.show(state.doing)
        search.learn(measured, costs)
        self._improve(work, search, measured, costs)
        if work.stale >= PATIENCE:
            work.finished = "no improvement"
            self._keep_rule(work)

    def _is_known(self, kernel: Kernel, candidate: Candidate) -> bool:
        return (kernel.hash, fingerprint(candidate.function)) in self._known

    def _timings(
        self, pairs: Sequence[tuple[Kernel, tir.PrimFunc]], choices: Sequence[dict[str, int]]
    ) -> Iterator[tuple[int, Timing]]:
        """Yield each function's index and timing. Known functions are not measured again."""
        places: dict[tuple[str, str], list[int]] = {}
        for n, (kernel, function) in enumerate(pairs):
            places.setdefault((kernel.hash, fingerprint(function)), []).append(n)
        known = [code for code in places if code in self._known]
        new = [code for code in places if code not in self._known]
        for code in known:
            yield from ((n, self._known[code]) for n in places[code])
        for place, timing in self._runner.measure([pairs[places[code][0]][1] for code in new]):
            code = digest, candidate = new[place]
            first = places[code][0]
            self._known[code] = timing
            self._journal.add(
                Trial(
                    self._name,
                    self._context,
                    digest,
                    pairs[first][0].name,
                    candidate,
                    dict(choices[first]),
                    round(time.monotonic() - self._began, 3),
                    timing,
                )
            )
            yield from ((n, timing) for n in places[code])

    def _checked(self, work: Work, candidate: Candidate, timing: Timing) -> float | None:
        """The cost of a candidate; None if it fails or computes something else.

        The first valid result for each layout of the weights is the reference.
        """
        if timing.cost is None:
            return None
        if candidate.layout and (candidate.key.get("columns") or 0) % candidate.layout:
            # Panels overlap, and random weights differ there, so results cannot be compared.
            return timing.cost
        expected = self._digests.setdefault((work.kernel.hash, candidate.layout), timing.digest)
        return timing.cost if timing.digest == expected else None

    def _improve(
        self,
        work: Work,
        search: Search,
        measured: Sequence[Candidate],
        costs: Sequence[float | None],
    ) -> None:
        """Compare the batch's best with what it would replace, and save it if it is better."""
        ranked = sorted((cost, n) for n, cost in enumerate(costs) if cost is not None)
        near = [measured[n] for cost, n in ranked if cost < NEAR * work.best][:CHALLENGERS]
        if not near:
            return
        self.show(f"confirming an improvement of {work.name}")
        found = confirm(self._runner, search.own, work.choice, near)
        if found is None:
            return
        # The ratio never rises, even if the rule's default was faster in these rounds.
        ratio = min(found.ratio, work.ratio * found.gain)
        work.best, work.choice = work.rule * ratio, found.candidate
        work.stale = 0
        self._save(work, found.rule * ratio, found.rule)
        state = self.state
        state.curve.append((state.trials, time.monotonic() - self._began, state.ratio))

    def _keep_rule(self, work: Work) -> None:
        """Record that nothing beat the rule's default, so that no neighbouring record applies."""
        if work.choice is None and work.trials:
            self._save(work, work.rule, work.rule)

    def _is_spent(self) -> bool:
        seconds, trials = self._budget.seconds, self._budget.trials
        late = seconds is not None and time.monotonic() - self._began >= seconds
        return late or (trials is not None and self.state.trials >= trials)

    def show(self, doing: str) -> None:
        """Report the current step."""
        self.state.doing = doing
        self.state.seconds = time.monotonic() - self._began
        self._progress(self.state)


def _promise(work: Work) -> float:
    """The possible gain of a task: its time, reduced by trials without an improvement."""
    return work.spent * work.ratio * FADING**work.stale
