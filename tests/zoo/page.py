"""The page docs/torch_models.md: the verdicts, written below its marker."""

from collections.abc import Mapping
from pathlib import Path

PAGE = Path(__file__).parents[2] / "docs" / "torch_models.md"
_MARKER = "<!-- written by `python -m tests.zoo` -->\n"


def write(verdicts: Mapping[str, Mapping[str, str]]) -> None:
    """Replace everything below the page's marker. A verdict is the outcome on each road tried."""
    head, _ = PAGE.read_text().split(_MARKER)
    right = [name for name, roads in verdicts.items() if "right" in roads.values()]
    lines = [
        f"{len(right)} of {len(verdicts)} architectures are right.",
        "",
        "| architecture | `torch.export` | `torch.onnx` |",
        "|---|---|---|",
    ]
    for name, roads in verdicts.items():
        cells = [_cell(roads.get(road, "-")) for road in ("torch.export", "torch.onnx")]
        lines.append(f"| {name} | {cells[0]} | {cells[1]} |")
    PAGE.write_text(head + _MARKER + "\n" + "\n".join(lines) + "\n")


def _cell(outcome: str) -> str:
    return outcome.split("\n")[0].split(";")[0].replace("|", "\\|")[:120]
