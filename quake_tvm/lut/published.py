"""The errors of the tables in the repository that the paper publishes, from ``published.json``.

``python -m quake_tvm.lut.published FOLDER`` measures them, on the repository's folder of tables. A
file has a table for each exponent: real breakpoints, slopes and intercepts. Keeps no table.
"""

import json
import sys
from dataclasses import asdict, dataclass
from functools import cache
from importlib import resources
from pathlib import Path

import numpy as np

from ..support.whole_file import whole_file
from . import genetic, scaled
from .functions import FUNCTIONS, Function
from .table import Table

FILE = "published.json"


@dataclass(frozen=True)
class Published:
    """Mean squared errors of published tables.

    Attributes
    ----------
    fitness : float
        With the finest breakpoints, on the grid of the genetic search.
    mean : float
        The mean over the scales.
    """

    fitness: float
    mean: float


def published() -> dict[tuple[str, int], Published]:
    """The errors by function and entries."""
    return {
        (name, int(entries)): Published(**found)
        for name, each in _file().items()
        for entries, found in each.items()
    }


@cache
def _file() -> dict[str, dict[str, dict[str, float]]]:
    return json.loads(resources.files("quake_tvm.lut").joinpath(FILE).read_text())


def measure(path: Path, of: Function) -> Published:
    """The errors of the tables in a file."""
    raw = json.loads(path.read_text())[of.name]
    chords = []
    for exponent in scaled.EXPONENTS:
        lines = raw[str(exponent)]
        slopes, intercepts = (
            np.rint(np.ldexp(lines[name], of.fraction)) for name in ("slopes", "intercepts")
        )
        chords.append(genetic.Chords(np.array(lines["breakpoints"]), slopes, intercepts))
    tables: list[Table] = [
        scaled.of_chords(of, each, e) for each, e in zip(chords, scaled.EXPONENTS, strict=True)
    ]
    return Published(float(genetic.error_on_grid(of, chords[-1])), scaled.mean_error(of, tables))


def main() -> None:
    """Measure all files of a folder that are named ``<function>_pwl_<breakpoints>.json``."""
    found: dict[str, dict[str, dict[str, float]]] = {}
    for path in sorted(Path(sys.argv[1]).glob("*_pwl_*.json")):
        name, breakpoints = path.stem.split("_pwl_")
        if name in FUNCTIONS:
            errors = asdict(measure(path, FUNCTIONS[name]))
            found.setdefault(name, {})[str(int(breakpoints) + 1)] = errors
    with whole_file(Path(str(resources.files("quake_tvm.lut").joinpath(FILE)))) as file:
        file.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
