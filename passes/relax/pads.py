"""A pad of the pixels as a part of the window that moves over them."""

from dataclasses import replace
from typing import Any

from tvm import relax

from .graph import op_name
from .pack_convolutions import Window


def taken_pad(
    builder: relax.BlockBuilder, x: relax.Expr, window: Window
) -> tuple[relax.Expr, Window, int]:
    """What a pad of the pixels reads, with a window that pads in its place, and the pad's value.

    The operands and 0 if there is no such pad, or if the window has one of its own.
    """
    pad: Any = builder.lookup_binding(x) if isinstance(x, relax.Var) else None
    if op_name(pad) != "relax.nn.pad" or str(pad.attrs.pad_mode) != "constant":
        return x, window, 0
    width, rank = [int(n) for n in pad.attrs.pad_width], len(window.size)
    before, after = width[2 : 2 * rank + 2 : 2], width[3 : 2 * rank + 2 : 2]
    others = width[:2] + width[2 * rank + 2 :]
    if any((*others, *window.before, *window.after)) or min(width) < 0:
        return x, window, 0
    own = replace(window, before=tuple(before), after=tuple(after))
    return pad.args[0], own, int(pad.attrs.pad_value)
