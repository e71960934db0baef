"""A file with every trial of a session, so that an interrupted session can be resumed.

A trial is one candidate of one kernel with its timing, as one line of JSON. Knows no search.
"""

import json
import math
from dataclasses import asdict, dataclass
from pathlib import Path

from ..errors import QuakeError
from ..schedules.records.files import append_line, read_lines
from .runner import Timing

SCHEMA = 1
# The suffix must differ from that of records.
NAME = "trials.journal"


@dataclass(frozen=True)
class Trial:
    """A candidate and its timing.

    Attributes
    ----------
    session : str
        The name of the session that measured it.
    context : str
        Everything else a timing depends on: runner, target, threads, TVM.
    kernel : str
        The hash of the unscheduled PrimFunc.
    name : str
        The kernel's name, for people.
    candidate : str
        The hash of the scheduled PrimFunc.
    choices : dict
        The tunable parameters, for people.
    at : float
        Seconds since the session began.
    timing : Timing
    """

    session: str
    context: str
    kernel: str
    name: str
    candidate: str
    choices: dict[str, int]
    at: float
    timing: Timing


class Journal:
    """The trials in a folder of records.

    Parameters
    ----------
    folder : Path
        The folder of a target.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / NAME

    def check(self) -> None:
        """Raise QuakeError if the file cannot be written, before anything is measured."""
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self.path.open("ab").close()
        except OSError as error:
            raise QuakeError(f"cannot write {self.path}: {error.strerror or error}") from None

    def add(self, trial: Trial) -> None:
        """Append a trial. It is on the disk when this returns.

        Raises
        ------
        QuakeError
            If the file cannot be written.
        """
        append_line(self.path, json.dumps({"schema": SCHEMA, **asdict(trial)}))

    def trials(self) -> list[Trial]:
        """All readable trials in their order. Unreadable lines are skipped with a warning."""
        return read_lines(self.path, _parse) if self.path.is_file() else []


def _parse(line: bytes) -> Trial:
    try:
        raw = json.loads(line)
        if raw.pop("schema") != SCHEMA:
            raise QuakeError("another version of quake_tvm has written it")
        trial = Trial(**raw | {"timing": Timing(**raw["timing"])})
        words = trial.context, trial.kernel, trial.candidate, trial.timing.digest
        cost = trial.timing.cost
        if all(isinstance(w, str) for w in words) and (cost is None or 0 < cost < math.inf):
            return trial
    except QuakeError:
        raise
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        pass
    raise QuakeError("it is no trial, or cut off")
