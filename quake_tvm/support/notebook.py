"""How reports look in a notebook: rich's text as HTML. Knows no report."""

import io
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console

WIDTH = 140
_FORMAT = '<pre style="white-space: pre; line-height: 1.2; overflow-x: auto">{code}</pre>'


def console() -> "Console":
    """A console that keeps what is printed."""
    from rich.console import Console

    return Console(width=WIDTH, record=True, file=io.StringIO())


def page(title: str, write: Callable[["Console"], None]) -> str:
    """HTML of a title and of what ``write`` prints on a console."""
    shown = console()
    if title:
        shown.print(title, markup=False, highlight=False, soft_wrap=True)
    write(shown)
    return shown.export_html(inline_styles=True, code_format=_FORMAT)
