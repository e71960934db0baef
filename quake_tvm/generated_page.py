"""A page in Markdown with sections that commands write: what stands around them is people's.

A section lies between ``<!-- name: written by COMMAND -->`` and ``<!-- end of name -->``. Knows no
content.
"""

import re
from pathlib import Path

from .errors import QuakeError


def write_section(page: Path, name: str, text: str) -> None:
    """Put ``text`` between the marks of a section, all or nothing.

    Parameters
    ----------
    page : path
        Has both of the section's marks, each on a line of its own.
    name : str
    text : str
        Markdown.

    Raises
    ------
    QuakeError
        If there is no such page, it lacks the marks, or it cannot be written.
    """
    section = re.compile(
        rf"(?P<head><!-- {re.escape(name)}: .* -->\n).*?(?P<foot><!-- end of {re.escape(name)} -->)",
        re.DOTALL,
    )
    try:
        before = page.read_text()
        after, found = section.subn(lambda m: f"{m['head']}\n{text.strip()}\n\n{m['foot']}", before)
        if not found:
            raise QuakeError(f"{page} has no section {name!r}: put its two marks back")
        temporary = page.with_suffix(".new")
        temporary.write_text(after)
        temporary.replace(page)
    except OSError as error:
        raise QuakeError(f"cannot write {page}: {error.strerror}") from None
