"""The page docs/optimised_models.md: the verdicts, written below its marker."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

PAGE = Path(__file__).parents[4] / "docs" / "optimised_models.md"
_MARKER = "<!-- written by `python -m tests.importers.onnx.optimised` -->\n"


def write(rows: Sequence[tuple[str, str, str, str, Sequence[str]]]) -> None:
    """Replace everything below the page's marker.

    Parameters
    ----------
    rows : sequence of (model, form, precision, outcome, fused operators)
    """
    head, _ = PAGE.read_text().split(_MARKER)
    count = Counter(row[3].split(":")[0] for row in rows)
    total = ", ".join(f"{count[kind]} {kind}" for kind in ("right", "refused", "wrong"))
    lines = [
        f"{len(rows)} files: {total}.",
        "",
        "| model | optimised by | precision | outcome | operators of ONNX Runtime in the file |",
        "|---|---|---|---|---|",
    ]
    for model, form, precision, outcome, fused in rows:
        said = outcome.split("\n")[0].replace("|", "\\|")
        lines.append(f"| {model} | {form} | {precision} | {said} | {', '.join(fused) or '-'} |")
    PAGE.write_text(head + _MARKER + "\n" + "\n".join(lines) + "\n")
