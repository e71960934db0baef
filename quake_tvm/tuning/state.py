"""The state of a tuning session, for the live view and as the result."""

from dataclasses import dataclass, field
from pathlib import Path

from ..schedules.space import Candidate
from .kernels import Kernel, Task

# The value of ``State.stopped`` after Ctrl-C.
INTERRUPTED = "interrupted"


@dataclass
class Work:
    """One task and its progress.

    Attributes
    ----------
    task : Task
    kernel : Kernel
        The task's kernel with the most time. The candidates are measured for it.
    spent : float
        The cost of all calls of all kernels of the task, with the rule's defaults.
    rule, best : float
        The cost of a call of ``kernel`` with the rule's default, and with the best candidate so
        far.
    choice : Candidate or None
        The best candidate so far; None if it is the rule's default.
    trials : int
    stale : int
        Trials since the last improvement.
    left : int
        The number of the rules' candidates that are not tried yet.
    finished : str
        Why the task is finished; empty if it is not.
    """

    task: Task
    kernel: Kernel
    spent: float
    rule: float
    best: float
    choice: Candidate | None = None
    trials: int = 0
    stale: int = 0
    left: int = 0
    finished: str = ""

    @property
    def name(self) -> str:
        """The task's name as text."""
        return str(self.task.key) if self.task.key else self.kernel.name

    @property
    def calls(self) -> int:
        """The number of calls of all its kernels in one run of each model."""
        return sum(kernel.calls for kernel in self.task.kernels)

    @property
    def ratio(self) -> float:
        """Cost after tuning divided by cost before."""
        return self.best / self.rule

    @property
    def saved(self) -> float:
        """The part of ``spent`` that tuning saves."""
        return self.spent * (1 - self.ratio)


@dataclass
class State:
    """The state of all tasks of a session.

    Attributes
    ----------
    unit : {"s", "cycles", "instructions"}
        The unit of all costs.
    works : list of Work
        The tasks, those with the largest share of the models' time first.
    current : Work or None
    doing : str
        The current step.
    trials : int
        The number of trials, including those of a resumed session.
    failed : int
        The number of failed trials.
    seconds : float
        Since the session began.
    curve : list of (trials, seconds, ratio)
        One point per improvement; the ratio is that of all kernels together.
    records : int
        The number of records written.
    stopped : str
        Why the session ended.
    """

    unit: str = "s"
    works: list[Work] = field(default_factory=list)
    current: Work | None = None
    doing: str = ""
    trials: int = 0
    failed: int = 0
    seconds: float = 0.0
    curve: list[tuple[int, float, float]] = field(default_factory=list)
    records: int = 0
    stopped: str = ""

    @property
    def untuned(self) -> float:
        """The cost of all kernels with the rules' defaults."""
        return sum(work.spent for work in self.works)

    @property
    def ratio(self) -> float:
        """The cost of all kernels after tuning divided by the cost before."""
        untuned = self.untuned
        return 1 - sum(work.saved for work in self.works) / untuned if untuned else 1.0

    def __str__(self) -> str:
        from .show import text

        return text(self)

    def plot(self, path: str | Path) -> None:
        """Draw the tuning curve and each task's ratio, in the format of the file's suffix.

        Raises
        ------
        QuakeError
            If matplotlib is missing, or the file cannot be written.
        """
        from .show import plot

        plot(self, Path(path))
