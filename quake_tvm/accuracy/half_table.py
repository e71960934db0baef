"""The bounds in half precision as a table of ``docs/accuracy/half_precision.md``.

``python -m quake_tvm.accuracy.half_table`` measures them on every input, stores them and writes the
table: a minute. :mod:`halves` measures. Knows the registry.
"""

import sys
from pathlib import Path

from ..errors import QuakeError
from ..machines.targets import target
from ..numerics.half_bounds import update
from ..numerics.ladder import METHODS
from ..numerics.number_formats import FORMATS, HALVES
from ..numerics.operators import OPERATORS, Bound, bound
from ..support.generated_page import write_section
from .halves import measure

PAGE = Path(__file__).parents[2] / "docs" / "accuracy" / "half_precision.md"
OPERATORS_MEASURED = [name for name, row in OPERATORS.items() if row.elementwise]


def section() -> str:
    """The table of the bounds that are stored, as Markdown."""
    halves = (f"{FORMATS[dtype].rounding:.3g} in {dtype}" for dtype in sorted(HALVES))
    lines = [
        "Largest relative error where input and result are in half precision, over all 65,536 "
        f"inputs. Half of the distance between two numbers is {', '.join(halves)}: no result can "
        "be nearer. In brackets the input where the error occurs. *falls*: some larger input gives "
        "a smaller result.",
    ]
    for dtype in sorted(HALVES):
        lines += [
            "",
            "| " + " | ".join((dtype, *METHODS)) + " |",
            "|---" * (len(METHODS) + 1) + "|",
        ]
        for name in OPERATORS_MEASURED:
            cells = [_cell(bound(name, method, dtype)) for method in METHODS]
            lines.append("| " + " | ".join((name, *cells)) + " |")
    return "\n".join(lines)


def _cell(proven: Bound) -> str:
    falls = " falls" if proven.monotone is False else ""
    return f"{proven.relative:.3g} ({proven.witness:.4g}){falls}"


def main() -> None:
    """Measure every element-wise operator, store the bounds, write the table."""
    for operator in OPERATORS_MEASURED:
        for dtype in sorted(HALVES):
            found = measure(operator, dtype, target())
            for method, measured in found.items():
                if measured.wrong:
                    where = f"{operator} on {method} in {dtype}"
                    raise QuakeError(f"{where} has {measured.wrong} wrong results")
            update({m: (f.bound, f.hash) for m, f in found.items()})
    write_section(PAGE, "halves", section())


if __name__ == "__main__":
    try:
        main()
    except QuakeError as error:
        sys.exit(f"error: {error}")
