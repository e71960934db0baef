"""Draw ratios as bars of an SVG picture, with a line at 1. Knows nothing of what they show."""

from collections.abc import Iterator, Mapping
from xml.sax.saxutils import escape

LEFT, WIDTH, RIGHT, STEP, TOP = 190, 480, 60, 20, 30
BETTER, WORSE = "#0072b2", "#d55e00"


def picture(ratios: Mapping[str, float], title: str) -> str:
    """The text of the SVG: a bar for each name, from 0; those above 1 in another colour."""
    scale = WIDTH / max(1.0, *ratios.values())
    height = TOP + STEP * len(ratios) + 10

    def parts() -> Iterator[str]:
        yield f'<text x="{LEFT}" y="18">{escape(title)}</text>'
        for n, (name, ratio) in enumerate(ratios.items()):
            y, colour = TOP + STEP * n, BETTER if ratio <= 1 else WORSE
            long = ratio * scale
            yield f'<text x="{LEFT - 8}" y="{y + 13}" text-anchor="end">{escape(name)}</text>'
            yield f'<rect x="{LEFT}" y="{y + 2}" width="{long:.1f}" height="14" fill="{colour}"/>'
            yield f'<text x="{LEFT + long + 5:.1f}" y="{y + 13}">{ratio:.2f}</text>'
        yield f'<path d="M{LEFT + scale:.1f} {TOP}V{height - 10}" stroke="#333"/>'

    size = f"0 0 {LEFT + WIDTH + RIGHT} {height}"
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="{size}">'
    style = "<style>text{font:12px sans-serif;fill:#333}</style>"
    return "\n".join(
        [head, style, '<rect width="100%" height="100%" fill="#fff"/>', *parts(), "</svg>", ""]
    )
