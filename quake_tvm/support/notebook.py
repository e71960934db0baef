"""How reports look when they are printed, and in a notebook. Knows no report."""

import io
import shutil
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console

# Columns of a notebook's page, which scrolls. A console of as many shows all that there is.
WIDTH = 140
_FORMAT = '<pre style="white-space: pre; line-height: 1.2; overflow-x: auto">{code}</pre>'


def text(write: Callable[["Console"], None]) -> str:
    """What ``write`` prints on a console as wide as the terminal; 80 columns without a terminal."""
    shown = _console(shutil.get_terminal_size().columns)
    write(shown)
    return shown.export_text().rstrip()


def page(title: str, write: Callable[["Console"], None]) -> str:
    """HTML of a title and of what ``write`` prints on a console."""
    shown = _console(WIDTH)
    if title:
        shown.print(title, markup=False, highlight=False, soft_wrap=True)
    write(shown)
    return shown.export_html(inline_styles=True, code_format=_FORMAT)


def _console(width: int) -> "Console":
    """A console that keeps what is printed."""
    from rich.console import Console

    return Console(width=width, record=True, file=io.StringIO())
