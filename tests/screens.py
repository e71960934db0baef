"""Pictures of the shell, of a notebook's cell and of the documentation's first page.

``python -m tests.screens [NAME ...]`` writes them to docs/screens. Commands run in a terminal of 80
columns, which pyte emulates; chromium draws it. These are no dependencies of the project.
"""

import argparse
import contextlib
import html
import os
import pty
import select
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import onnx
import pyte
from PIL import Image

import quake_tvm
from tests.onnx_models import model, node, random, scalar

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "docs" / "screens"
SITE = ROOT / "build" / "site" / "index.html"
COLUMNS, LINES = 80, 60
# A glyph of the font is 0.6 of its size wide.
SIZE, LEADING, MARGIN = 14, 17, 12
# The colours of a terminal by pyte's names, on a dark ground.
_SHADES = {
    "black": "#777", "red": "#f48771", "green": "#89d185", "brown": "#dcb862",
    "blue": "#6cb6ff", "magenta": "#d6a0e8", "cyan": "#56d4dd", "white": "#ddd",
}  # fmt: skip
_COLOURS = 48
_STYLE = (
    f"margin:0;padding:{MARGIN}px;background:#1c1c1c;color:#ddd;"
    f"font:{SIZE}px/{LEADING}px 'DejaVu Sans Mono',monospace"
)


def encoder() -> onnx.ModelProto:
    """An attention and a feed-forward layer with SiLU, of 128 tokens."""
    nodes = [
        node("MatMul", "x wq", "q"),
        node("MatMul", "x wk", "k"),
        node("MatMul", "x wv", "v"),
        node("Transpose", "k", "kt", perm=[0, 2, 1]),
        node("MatMul", "q kt", "scores"),
        node("Div", "scores root", "scaled"),
        node("Softmax", "scaled", "p", axis=-1),
        node("MatMul", "p v", "attended"),
        node("MatMul", "attended w1", "h"),
        node("Sigmoid", "h", "gate"),
        node("Mul", "h gate", "inner"),
        node("MatMul", "inner w2", "y"),
    ]
    weights = {name: random(256, 256) / 16 for name in ("wq", "wk", "wv")}
    weights |= {"w1": random(256, 1024) / 16, "w2": random(1024, 256) / 32, "root": scalar(16)}
    return model(nodes, {"x": (1, 128, 256)}, weights)


def terminal(command: list[str], seconds: float, folder: Path) -> pyte.Screen:
    """The screen of a command when it ends, or after so many seconds."""
    screen = pyte.Screen(COLUMNS, LINES)
    stream = pyte.ByteStream(screen)
    child, descriptor = pty.fork()
    if not child:
        os.chdir(folder)
        size = {"COLUMNS": str(COLUMNS), "LINES": str(LINES), "TERM": "xterm-256color"}
        os.execve(
            sys.executable, [sys.executable, "-m", "quake_tvm.cli", *command], os.environ | size
        )
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if not select.select([descriptor], [], [], 0.2)[0]:
            continue
        try:
            stream.feed(os.read(descriptor, 1 << 16))
        except OSError:  # the command has ended
            break
    os.close(descriptor)
    with contextlib.suppress(ProcessLookupError):
        os.kill(child, 9)
    os.waitpid(child, 0)
    return screen


def text_page(prompt: str, screen: pyte.Screen) -> tuple[str, int]:
    """HTML of a screen with its colours, and how many lines it has."""
    shown = [_line(screen, y) for y in range(LINES)]
    while shown and not shown[-1].strip():
        shown.pop()
    lines = [f"<b>$ {html.escape(prompt)}</b>", *shown]
    return f'<body style="{_STYLE}"><pre style="margin:0;font:inherit">' + "\n".join(lines), len(
        lines
    )


def _line(screen: pyte.Screen, y: int) -> str:
    cells = [screen.buffer[y][x] for x in range(COLUMNS)]
    while cells and cells[-1].data == " ":
        cells.pop()
    return "".join(_cell(cell) for cell in cells)


def _cell(cell: pyte.screens.Char) -> str:
    text = html.escape(cell.data)
    style = "font-weight:bold;" if cell.bold else ""
    if cell.fg != "default":
        style += f"color:{_SHADES.get(cell.fg, '#' + cell.fg)};"
    return f'<span style="{style}">{text}</span>' if style else text


def draw(address: str, to: Path, width: int, height: int) -> None:
    """Draw a page as a PNG with chromium."""
    chromium = shutil.which("chromium") or sys.exit("apt install chromium")
    subprocess.run(
        [chromium, "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars",
         f"--window-size={width},{height}", f"--screenshot={to}", address],
        check=True, capture_output=True, timeout=120,
    )  # fmt: skip
    with Image.open(to) as picture:  # of few colours, which takes a third of the space
        picture.convert("RGB").quantize(_COLOURS).save(to, optimize=True)
    print(f"written: {to.relative_to(ROOT)}, {to.stat().st_size / 1000:.0f} kB", flush=True)


def _shell(*command: str, seconds: float = 600) -> Callable[[str, Path], None]:
    def shoot(name: str, folder: Path) -> None:
        prompt = " ".join(["quake-tvm", *command])
        page, lines = text_page(prompt, terminal([*command], seconds, folder))
        file = folder / f"{name}.html"
        file.write_text(page)
        width = int(COLUMNS * SIZE * 0.602) + 2 * MARGIN + 2
        draw(file.as_uri(), FOLDER / f"{name}.png", width, lines * LEADING + 2 * MARGIN)

    return shoot


def _notebook(name: str, folder: Path) -> None:
    model = quake_tvm.compile(folder / "encoder.onnx")
    file = folder / f"{name}.html"
    file.write_text(f'<body style="margin:12px">{model._repr_html_()}')
    draw(file.as_uri(), FOLDER / f"{name}.png", 1140, 200)


def _site(name: str, _: Path) -> None:
    if not SITE.exists():
        sys.exit("make docs builds the site")
    draw(SITE.as_uri(), FOLDER / f"{name}.png", 1280, 760)


SCREENS: dict[str, Callable[[str, Path], None]] = {
    "help": _shell("--help"),
    "report": _shell("compile", "encoder.onnx"),
    "compare": _shell("compare", "encoder.onnx"),
    "tune": _shell("tune", "encoder.onnx", "--minutes", "5", seconds=100),
    "notebook": _notebook,
    "site": _site,
}


def main() -> None:
    """Make the pictures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", help=f"of: {', '.join(SCREENS)}")
    names = parser.parse_args().names or SCREENS
    FOLDER.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        onnx.save(encoder(), Path(folder) / "encoder.onnx")
        for name in names:
            SCREENS[name](name, Path(folder))


if __name__ == "__main__":
    main()
