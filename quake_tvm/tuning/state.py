"""The progress of a tuning session, for the view and for the result."""

from dataclasses import dataclass, field
from pathlib import Path

from ..schedules.space import Candidate
from .kernels import Kernel, Task

# Why a session ended, by Ctrl-C.
INTERRUPTED = "interrupted"


@dataclass
class Work:
    """One task and how far it has come.

    Attributes
    ----------
    task : Task
    kernel : Kernel
        The one of its kernels that takes the most time: the candidates are measured for it.
    spent : float
        What all calls of all its kernels cost together, untuned.
    rule, best : float
        What a call of ``kernel`` costs with the rule's own choice, and with the best one so far.
    choice : Candidate or None
        The best one so far, None if it is the rule's own.
    trials : int
    stale : int
        Trials since ``best`` has last improved.
    left : int
        Candidates of the rule's that are still to be tried.
    finished : str
        Why nothing more is tried; empty while it goes on.
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
        """The task for people."""
        return str(self.task.key) if self.task.key else self.kernel.name

    @property
    def calls(self) -> int:
        """Of all its kernels, in one run of each model."""
        return sum(kernel.calls for kernel in self.task.kernels)

    @property
    def ratio(self) -> float:
        """Tuned over untuned."""
        return self.best / self.rule

    @property
    def saved(self) -> float:
        """What tuning saves of ``spent``."""
        return self.spent * (1 - self.ratio)


@dataclass
class State:
    """All tasks of a session.

    Attributes
    ----------
    unit : {"s", "cycles", "instructions"}
        Of all costs.
    works : list of Work
        Those with the largest share of the models' time first.
    current : Work or None
    doing : str
    trials : int
        Measured, here or by the session that this one resumes.
    failed : int
        Of them.
    seconds : float
        Since the beginning.
    curve : list of (trials, seconds, ratio)
        The models' kernels together, tuned over untuned, whenever it changed.
    records : int
        Saved.
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
        """All kernels together with the rules' own choices."""
        return sum(work.spent for work in self.works)

    @property
    def ratio(self) -> float:
        """All kernels together, tuned over untuned."""
        untuned = self.untuned
        return 1 - sum(work.saved for work in self.works) / untuned if untuned else 1.0

    def __str__(self) -> str:
        from .show import text

        return text(self)

    def plot(self, path: str | Path) -> None:
        """Draw the tuning curve and each task's ratio, as the file's ending says.

        Raises
        ------
        QuakeError
            Without matplotlib, or for a file that cannot be written.
        """
        from .show import plot

        plot(self, Path(path))
