"""The results of exhaustive runs, stored in the repository: JSON, the bounds, and the page.

For developers: an installed package has no such files. Knows no kernel.
"""

import json
from collections.abc import Mapping
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from ..errors import QuakeError
from ..numerics.operators import OPERATORS, update_bounds
from ..support.generated_page import write_section
from ..support.whole_file import whole_file
from .findings import Findings
from .page import section

REPOSITORY = Path(__file__).parents[2]
_FOLDER = REPOSITORY / "docs" / "accuracy"
PAGE, RECORD = _FOLDER / "every_float32.md", _FOLDER / "exhaustive.json"


def read() -> dict[str, Any]:
    """The recorded results by operator; empty outside of a repository."""
    return json.loads(RECORD.read_text()) if RECORD.is_file() else {}


def rungs(operator: str) -> dict[str, Any]:
    """An operator's recorded results by rung."""
    return read().get(operator, {}).get("rungs", {})


def require() -> None:
    """Refuse, before anything is measured, results that could not be stored afterwards.

    Raises
    ------
    QuakeError
        If this package is not in a repository.
    """
    if not PAGE.is_file():
        raise QuakeError("--update writes into a checkout: pip install -e . in one")


def keep(
    operator: str,
    facts: Mapping[str, Any],
    found: Mapping[str, tuple[Findings, str]],
    strata: Mapping[str, str],
) -> None:
    """Store new results of one operator in the record, the bounds and the page.

    Parameters
    ----------
    operator : str
    facts : mapping
        CPU, target and versions.
    found : mapping of method to (Findings, str)
        Of every float32 input.
    strata : mapping of method to str
        The hash of the stratum's results.
    """
    rungs = {
        method: {**findings.to_dict(), "hash": whole, "stratum": strata[method]}
        for method, (findings, whole) in found.items()
    }
    day = datetime.now(timezone.utc).date().isoformat()
    entries = read() | {operator: {"date": day, **facts, "rungs": rungs}}
    entries = {name: entries[name] for name in OPERATORS if name in entries}
    RECORD.parent.mkdir(parents=True, exist_ok=True)
    with whole_file(RECORD) as file:
        file.write_text(json.dumps(entries, indent=1) + "\n")
    update_bounds([findings.as_bound() for findings, _ in found.values()])
    write_section(PAGE, "exhaustive", section(entries))
