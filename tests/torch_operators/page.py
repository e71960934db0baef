"""The page docs/torch_operators.md: the verdicts, written below its marker."""

from collections.abc import Mapping
from pathlib import Path

from .judge import REFUSED, RIGHT, Verdict

PAGE = Path(__file__).parents[2] / "docs" / "torch_operators.md"
_MARKER = "<!-- written by `python -m tests.torch_operators` -->\n"


def write(verdicts: Mapping[str, list[Verdict]]) -> None:
    """Replace everything below the page's marker."""
    head, _ = PAGE.read_text().split(_MARKER)
    PAGE.write_text(head + _MARKER + "\n" + _tables(verdicts))


def _tables(verdicts: Mapping[str, list[Verdict]]) -> str:
    every = [verdict for found in verdicts.values() for verdict in found]
    counts = {kind: sum(v.outcome == kind for v in every) for kind in (RIGHT, REFUSED)}
    other = len(every) - sum(counts.values())
    whole = [n for n, found in verdicts.items() if found and all(v.outcome == RIGHT for v in found)]
    untried = [name for name, found in verdicts.items() if not found]
    lines = [
        f"{len(every)} cases of {len(verdicts) - len(untried)} operators: {counts[RIGHT]} right, "
        f"{counts[REFUSED]} refused, {other} wrong or faulty.",
        "",
        f"All cases of these {len(whole)} operators are right:",
        ", ".join(f"`{name}`" for name in whole) + ".",
        "",
        "| operator | right | others | the first reason |",
        "|---|---|---|---|",
    ]
    for name, found in verdicts.items():
        rest = [v for v in found if v.outcome != RIGHT]
        if rest:
            reason = rest[0].reason.split(";")[0].replace("|", "\\|")[:110]
            if rest[0].outcome != REFUSED:
                reason = f"**{rest[0].outcome}**: {reason}"
            lines.append(f"| `{name}` | {len(found) - len(rest)} | {len(rest)} | {reason} |")
    lines += ["", "Not tried, since torch exports no case or the results are random:"]
    lines.append(", ".join(f"`{name}`" for name in untried) + ".")
    return "\n".join(lines) + "\n"
