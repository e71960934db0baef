"""The table of docs/torch_compile.md. Measures nothing."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from quake_tvm.support.generated_page import write_section

PAGE = Path(__file__).parents[2] / "docs" / "torch_compile.md"
HEADER = """\
| model | graphs | eager | inductor | this library | to inductor | compile s, inductor \
| this library | difference, inductor | this library |
|---|---|---|---|---|---|---|---|---|---|"""


@dataclass(frozen=True)
class Row:
    """One model: graphs, milliseconds a call, seconds to compile, differences from eager."""

    model: str
    graphs: int
    eager: float
    inductor: float
    ours: float
    inductor_compiling: float
    our_compiling: float
    inductor_difference: float
    our_difference: float

    def markdown(self) -> str:
        """A line of the table."""
        times = " | ".join(f"{t:.3g}" for t in (self.eager, self.inductor, self.ours))
        return (
            f"| {self.model} | {self.graphs} | {times} | {self.ours / self.inductor:.2f} "
            f"| {self.inductor_compiling:.1f} | {self.our_compiling:.1f} "
            f"| {self.inductor_difference:.1g} | {self.our_difference:.1g} |"
        )


def write(rows: Sequence[Row], facts: str, page: Path = PAGE) -> None:
    """Write the table into its section of the page."""
    lines = [HEADER, *(row.markdown() for row in rows)]
    write_section(page, "models", f"{facts}.\n\n" + "\n".join(lines))
