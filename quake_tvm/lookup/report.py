"""The table of a conversion: each layer's errors, size and time, before and after."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.table import Table

if TYPE_CHECKING:
    from .conversion import ConvertedLayer


def table(layers: "Sequence[ConvertedLayer]") -> Table:
    """The layers of a conversion."""
    made = Table("layer", title="relative errors of a layer's output, with what is added to it")
    for title in ("look-up", "left out", "affine map", "MB", "ms", "in the model"):
        made.add_column(title, justify="right")
    for layer in layers:
        found = layer.errors
        made.add_row(
            str(layer.number),
            *(f"{error:.3f}" for error in (found.look_up, found.left_out, found.affine)),
            f"{layer.bytes_before / 1e6:.1f} -> {layer.bytes_after / 1e6:.1f}",
            f"{layer.ms_before:.3g} -> {layer.ms_after:.3g}",
            "look-up" if layer.kept else "as it was",
        )
    return made
