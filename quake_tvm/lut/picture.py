"""Draw a table and its function, as text and as an SVG picture. Knows no search."""

from collections.abc import Iterator

import numpy as np

from . import scaled
from .functions import Function
from .table import Table

_COLUMNS, _ROWS = 64, 16
_WIDTH, _HEIGHT, _MARGIN, _ERROR = 760, 420, 50, 110


def text(function: Function, table: Table, exponent: int) -> str:
    """The table in characters: ``*`` its values, ``.`` the function's, ``|`` its breakpoints."""
    x, exact, found = _curves(function, table, exponent)
    low, high = _limits(exact, found)
    place = np.linspace(0, _COLUMNS - 1, len(x)).round().astype(int)
    rows = [[" "] * _COLUMNS for _ in range(_ROWS)]
    for mark, curve in ((".", exact), ("*", found)):
        height = ((curve - low) / (high - low) * (_ROWS - 1)).round().astype(int)
        for column, row in zip(place, height, strict=True):
            rows[_ROWS - 1 - row][column] = mark
    axis = ["-"] * _COLUMNS
    for point in _inside(table, exponent, x):
        axis[int(np.rint((point - x[0]) / (x[-1] - x[0]) * (_COLUMNS - 1)))] = "|"
    names = [f"{high:8.3g} ", *[" " * 9] * (_ROWS - 2), f"{low:8.3g} "]
    lines = [name + "".join(row).rstrip() for name, row in zip(names, rows, strict=True)]
    ends = f"{x[0]:<{_COLUMNS // 2}g}{x[-1]:>{_COLUMNS // 2}g}"
    return "\n".join([*lines, " " * 9 + "".join(axis), " " * 9 + ends])


def svg(function: Function, table: Table, exponent: int) -> str:
    """The table above its error, as the text of an SVG file."""
    x, exact, found = _curves(function, table, exponent)
    apart = found - exact
    most = float(np.abs(apart).max()) or 1.0
    split = _HEIGHT - _ERROR - _MARGIN
    upper = (_limits(exact, found), (split, 20))
    lower = ((-most, most), (_HEIGHT - 30, split + 30))

    def across(value: float) -> float:
        return _MARGIN + (value - x[0]) / (x[-1] - x[0]) * (_WIDTH - _MARGIN - 20)

    def up(value: float, panel: tuple) -> float:
        (low, high), (bottom, top) = panel
        return bottom - (value - low) / (high - low) * (bottom - top)

    def line(curve: np.ndarray, panel: tuple, kind: str) -> str:
        points = " ".join(
            f"{across(a):.1f},{up(b, panel):.1f}" for a, b in zip(x, curve, strict=True)
        )
        return f'<polyline class="{kind}" points="{points}"/>'

    def parts() -> Iterator[str]:
        for point in _inside(table, exponent, x):
            yield f'<path class="grid" d="M{across(point):.1f} 20V{_HEIGHT - 30}"/>'
        for limits, (bottom, top) in (upper, lower):
            for value, y in zip(limits, (bottom, top), strict=True):
                yield f'<text x="{_MARGIN - 4}" y="{y + 4}" text-anchor="end">{value:.2g}</text>'
        yield line(exact, upper, "exact")
        yield line(found, upper, "table")
        yield line(np.zeros_like(x), lower, "grid")
        yield line(apart, lower, "table")
        for value, anchor in ((x[0], "start"), (x[-1], "end")):
            place = f'x="{across(value):.1f}" y="{_HEIGHT - 12}" text-anchor="{anchor}"'
            yield f"<text {place}>{value:g}</text>"
        title = f"{function.name}, {len(table.slopes)} entries, x in steps of 2^-{exponent}"
        yield f'<text x="{_MARGIN + 6}" y="16">{title}; below: the error</text>'

    style = (
        "text{font:12px sans-serif;fill:#333}.grid{stroke:#ddd;fill:none}"
        ".exact{stroke:#0072b2;stroke-width:4;stroke-opacity:.4;fill:none}"
        ".table{stroke:#d55e00;stroke-width:1.5;fill:none}"
    )
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}">'
    background = f'<rect width="{_WIDTH}" height="{_HEIGHT}" fill="#fff"/>'
    return "\n".join([head, f"<style>{style}</style>", background, *parts(), "</svg>", ""])


def _curves(
    function: Function, table: Table, exponent: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The real inputs, the function and the table at them."""
    x = scaled.inputs(function, exponent)
    real = np.ldexp(x.astype(np.float64), -exponent)
    return real, scaled.exact(function, exponent), table.values(x)


def _limits(*curves: np.ndarray) -> tuple[float, float]:
    return float(min(c.min() for c in curves)), float(max(c.max() for c in curves))


def _inside(table: Table, exponent: int, x: np.ndarray) -> list[float]:
    """The breakpoints as real numbers, those within the range."""
    places = (point * 2.0**-exponent for point in table.breakpoints)
    return [place for place in places if x[0] <= place <= x[-1]]
