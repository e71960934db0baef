"""Sessions with a runner whose answers are all known, and their results."""

from functools import cache

from quake_tvm.machines.targets import target
from quake_tvm.schedules import schedule
from quake_tvm.schedules.records.trace import fingerprint
from quake_tvm.schedules.space import candidates
from quake_tvm.tuning.journal import Journal
from quake_tvm.tuning.session import Budget, Session
from tests.tuning.fakes import FakeModel, kernel_of, tasks_of


class Run:
    """A session and its results."""

    def __init__(self, folder, runner, *mods, known=(), context="here", **budget):
        self.journal, self.runner, self.saved, self.shown = Journal(folder), runner, [], []
        self.session = Session(
            target(),
            runner,
            FakeModel(),
            self.journal,
            self.save,
            Budget(**budget),
            known=known,
            context=context,
            progress=lambda state: self.shown.append((state.doing, state.trials)),
        )
        self.state = self.session.state
        self.tasks = tasks_of(*mods)

    def save(self, work, cost, rule):
        self.saved.append((work.name, work.choice and work.choice.numbers, cost, rule))

    def start(self, wanted=lambda _: True):
        return self.session.run(self.tasks, wanted)


def own(kernel):
    """The fingerprint of a kernel with its rule's default schedule."""
    return fingerprint(schedule(kernel.function, target()))


@cache
def others(make):
    """The candidates of a model's kernel, without the rule's default: fingerprints to numbers.

    The number for threads is left out if it equals the rule's.
    """
    first, *left = candidates(kernel_of(make()).function, target())

    def recorded(numbers):
        alike = numbers.get("parallel") == first.numbers.get("parallel")
        return {k: n for k, n in numbers.items() if not (alike and k == "parallel")}

    return {fingerprint(c.function): recorded(c.numbers) for c in left}


def trials(journal):
    """All trials in the journal, except those of the rules' defaults."""
    return [trial for trial in journal.trials() if trial.choices]
