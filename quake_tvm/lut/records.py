"""The tables of every function, from ``tables.json``.

``python -m quake_tvm.lut.records`` makes them: some minutes. The genetic search runs once for each
of ``SEARCHES`` seeds, of which the one with the least error on its grid is kept. The dynamic
programme runs once for each scale.
"""

import json
from dataclasses import asdict, dataclass
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import QuakeError
from ..support.whole_file import whole_file
from . import genetic, scaled
from .functions import FUNCTIONS, Function, function
from .table import Table

FILE = "tables.json"
ENTRIES = (8, 16)
SEARCHES = 24


@dataclass(frozen=True)
class Record:
    """The tables of a function with so many entries.

    Attributes
    ----------
    function : str
    entries : int
    seed : int
        Of the genetic search.
    chords : Chords
        What the genetic search found.
    fitness : float
        Their mean squared error on the search's grid.
    best : tuple of Table
        The dynamic programme's, for each of the exponents.
    """

    function: str
    entries: int
    seed: int
    chords: genetic.Chords
    fitness: float
    best: tuple[Table, ...]

    def genetic(self) -> tuple[Table, ...]:
        """The genetic search's tables, for each of the exponents."""
        of = FUNCTIONS[self.function]
        return tuple(scaled.of_chords(of, self.chords, e) for e in scaled.EXPONENTS)

    def to_dict(self) -> dict[str, Any]:
        """The record as JSON has it."""
        return {
            "seed": self.seed,
            "fitness": self.fitness,
            "chords": {name: list(map(float, a)) for name, a in vars(self.chords).items()},
            "best": [asdict(table) for table in self.best],
        }


def record(name: str, entries: int) -> Record:
    """The record of a function.

    Raises
    ------
    QuakeError
        For an unknown function, and a number of entries that has no record.
    """
    function(name)
    if entries not in ENTRIES:
        raise QuakeError(f"tables have {' or '.join(map(str, ENTRIES))} entries, not {entries}")
    raw = _file()[name][str(entries)]
    chords = genetic.Chords(**{k: np.array(v) for k, v in raw["chords"].items()})
    return Record(
        name, entries, raw["seed"], chords, raw["fitness"], tuple(map(Table.from_dict, raw["best"]))
    )


@cache
def _file() -> dict[str, dict[str, dict[str, Any]]]:
    return json.loads(resources.files("quake_tvm.lut").joinpath(FILE).read_text())


def make(of: Function, entries: int, seed: int) -> Record:
    """Search for the tables of a function, with one seed."""
    chords = genetic.search(of, entries, seed)
    fitness = float(genetic.fitness(of, chords.breakpoints))
    best = tuple(scaled.best(of, entries, exponent) for exponent in scaled.EXPONENTS)
    return Record(of.name, entries, seed, chords, fitness, best)


def main() -> None:
    """Make all records and write the file (for developers: changes the package)."""
    made = {
        name: {
            entries: min((make(of, entries, s) for s in range(SEARCHES)), key=lambda r: r.fitness)
            for entries in ENTRIES
        }
        for name, of in FUNCTIONS.items()
    }
    text = {n: {k: r.to_dict() for k, r in each.items()} for n, each in made.items()}
    with whole_file(Path(str(resources.files("quake_tvm.lut").joinpath(FILE)))) as file:
        file.write_text(json.dumps(text, indent=1) + "\n")


if __name__ == "__main__":
    main()
