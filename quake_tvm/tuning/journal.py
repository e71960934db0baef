"""Every trial of a session in a file, so that one that was cut short can go on where it was.

A trial is one candidate of one kernel and what came of it, a line of JSON. Knows no search.
"""

import json
import math
from dataclasses import asdict, dataclass
from pathlib import Path

from ..errors import QuakeError
from ..schedules.records.files import append_line, read_lines
from .runner import Timing

SCHEMA = 1
# Not with the ending of records.
NAME = "trials.journal"


@dataclass(frozen=True)
class Trial:
    """A candidate and its timing.

    Attributes
    ----------
    session : str
        The tune that measured it.
    context : str
        What a timing depends on besides the code: runner, target, threads, TVM.
    kernel : str
        The unscheduled PrimFunc's hash.
    name : str
        The kernel's, for people.
    candidate : str
        The scheduled PrimFunc's hash.
    choices : dict
        For people: the numbers that make it.
    at : float
        Seconds since the session began.
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
        A target's.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / NAME

    def check(self) -> None:
        """Raise QuakeError now, before anything is measured, if it cannot be written later."""
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self.path.open("ab").close()
        except OSError as error:
            raise QuakeError(f"cannot write {self.path}: {error.strerror or error}") from None

    def add(self, trial: Trial) -> None:
        """Write a trial; it is on the disk when this returns.

        Raises
        ------
        QuakeError
            If it cannot be written.
        """
        append_line(self.path, json.dumps({"schema": SCHEMA, **asdict(trial)}))

    def trials(self) -> list[Trial]:
        """All that can be read, in their order; what cannot is passed over with a warning."""
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
