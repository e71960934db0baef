"""Replace the generated sections of a Markdown page and leave the rest as it is.

A section lies between ``<!-- name: written by COMMAND -->`` and ``<!-- end of name -->``. Knows no
content.
"""

import re
from pathlib import Path

from ..errors import QuakeError
from .whole_file import whole_file


def write_section(page: Path, name: str, text: str) -> None:
    """Replace the text between the two marks of a section. The page is written whole or not at all.

    Parameters
    ----------
    page : path
        Has both marks of the section, each on a line of its own.
    name : str
    text : str
        Markdown.

    Raises
    ------
    QuakeError
        If the page is missing, lacks the marks, or cannot be written.
    """
    marks = rf"(<!-- {re.escape(name)}: [^\n]* -->\n)(.*?)(<!-- end of {re.escape(name)} -->)"
    try:
        before = page.read_text()
        after, found = re.subn(
            marks, lambda m: f"{m[1]}\n{text.strip()}\n\n{m[3]}", before, flags=re.DOTALL
        )
    except OSError as error:
        raise QuakeError(f"cannot read {page}: {error.strerror}") from None
    if not found:
        raise QuakeError(f"{page} has no section {name!r}: put its two marks back")
    with whole_file(page) as file:
        file.write_text(after)
