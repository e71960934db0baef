"""Draw lines as an SVG picture, with logarithmic axes. Knows nothing of what they show."""

from collections.abc import Iterator, Mapping, Sequence
from math import ceil, floor, log10
from xml.sax.saxutils import escape

WIDTH, HEIGHT, LEFT, TOP, RIGHT, BOTTOM = 760, 420, 60, 20, 240, 50
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000", "#999999")

Line = Sequence[tuple[float, float]]


def picture(lines: Mapping[str, Line], x_title: str, y_title: str) -> str:
    """An SVG with one line per name.

    Parameters
    ----------
    lines : mapping of str to sequences of (x, y)
        All numbers must be positive.
    x_title, y_title : str

    Returns
    -------
    str
        The text of the SVG file.
    """
    axes = list(zip(*(point for line in lines.values() for point in line), strict=True))
    (x_low, x_high), (y_low, y_high) = (
        (floor(log10(min(axis))), ceil(log10(max(axis)))) for axis in axes
    )

    def place(x: float, y: float) -> tuple[float, float]:
        across = (log10(x) - x_low) / max(x_high - x_low, 1)
        up = (log10(y) - y_low) / max(y_high - y_low, 1)
        return LEFT + across * (WIDTH - LEFT - RIGHT), HEIGHT - BOTTOM - up * (
            HEIGHT - TOP - BOTTOM
        )

    def parts() -> Iterator[str]:
        right, bottom = WIDTH - RIGHT, HEIGHT - BOTTOM
        for power in range(x_low, x_high + 1):
            x, _ = place(10**power, 10**y_low)
            yield f'<path class="grid" d="M{x:.1f} {TOP}V{bottom}"/>'
            yield f'<text x="{x:.1f}" y="{bottom + 16}" text-anchor="middle">{10**power:,}</text>'
        for power in range(y_low, y_high + 1):
            _, y = place(10**x_low, 10**power)
            yield f'<path class="grid" d="M{LEFT} {y:.1f}H{right}"/>'
            yield f'<text x="{LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{10**power:g}</text>'
        middle = (LEFT + right) / 2
        yield f'<text x="{middle}" y="{HEIGHT - 12}" text-anchor="middle">{escape(x_title)}</text>'
        yield f'<text x="{LEFT + 6}" y="{TOP + 12}">{escape(y_title)}</text>'
        for n, (name, line) in enumerate(lines.items()):
            colour, y = COLOURS[n % len(COLOURS)], TOP + 14 + 18 * n
            places = [place(*point) for point in line]
            track = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
            yield f'<polyline fill="none" stroke="{colour}" stroke-width="2" points="{track}"/>'
            for each in places:
                yield f'<circle cx="{each[0]:.1f}" cy="{each[1]:.1f}" r="3" fill="{colour}"/>'
            yield f'<rect x="{right + 16}" y="{y - 9}" width="12" height="4" fill="{colour}"/>'
            yield f'<text x="{right + 34}" y="{y - 3}">{escape(name)}</text>'

    style = "text{font:12px sans-serif;fill:#333}.grid{stroke:#ddd;fill:none}"
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}">'
    background = f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#fff"/>'
    return "\n".join([head, f"<style>{style}</style>", background, *parts(), "</svg>", ""])
