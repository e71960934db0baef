"""The page of ONNX operators: ``python -m quake_tvm.importers.onnx.page`` writes its tables.

Knows no node.
"""

from pathlib import Path

import onnx

from ...support.generated_page import write_section
from .contributed import MICROSOFT
from .operators import OLDEST, STANDARD, forms, honours

PAGE = Path(__file__).parents[3] / "docs" / "onnx_operators.md"


def standard() -> str:
    """One row per operator: the opsets of its forms, what is honoured, what is refused."""
    rows = ["| operator | forms of opsets | honoured | refused |", "|---|---|---|---|"]
    for operator in sorted(STANDARD):
        known: dict[str, bool] = {}
        for form in forms(operator):
            known |= honours(operator, form)
        opsets = ", ".join(str(max(f.since_version, OLDEST)) for f in forms(operator))
        rows.append(f"| {operator} | {opsets} | {_listed(known, True)} | {_listed(known, False)} |")
    return "\n".join(rows)


def microsoft() -> str:
    """One row per operator: its inputs, attributes and outputs that are honoured."""
    rows = ["| operator | inputs | attributes | outputs |", "|---|---|---|---|"]
    for operator, honoured in sorted(MICROSOFT.items()):
        inputs, outputs = (
            ", ".join(str(k) for k in sorted(numbers))
            for numbers in (honoured.inputs, honoured.outputs)
        )
        inputs += ", .." if honoured.variadic else ""
        attributes = ", ".join(f"`{name}`" for name in sorted(honoured.attributes))
        rows.append(f"| {operator} | {inputs} | {attributes or '-'} | {outputs} |")
    return "\n".join(rows)


def missing() -> str:
    """The operators of the standard that are always refused."""
    names = {
        s.name
        for s in onnx.defs.get_all_schemas_with_history()
        if not s.domain and s.name not in STANDARD and forms(s.name)
    }
    return ", ".join(sorted(names)) + "."


def _listed(known: dict[str, bool], honoured: bool) -> str:
    return ", ".join(f"`{name}`" for name, yes in sorted(known.items()) if yes is honoured) or "-"


if __name__ == "__main__":
    write_section(PAGE, "standard", standard())
    write_section(PAGE, "microsoft", microsoft())
    write_section(PAGE, "missing", missing())
