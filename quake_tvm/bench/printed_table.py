"""A table in Markdown, printed row by row since measuring it takes long, and written to a page."""

from collections.abc import Iterable
from pathlib import Path

from quake_tvm.support.generated_page import write_section


def print_table(header: str, rows: Iterable[str], page: Path | None, section: str) -> None:
    """Print the rows as they come; then write all of them to a section of a page, if there is one.

    Parameters
    ----------
    header : str
        The first line, ``| name | ... |``.
    rows : iterable of str
        The lines below.
    page : Path, optional
        A page with this section.
    section : str
    """
    lines = [header, "|---" * (header.count("|") - 1) + "|"]
    print(*lines, sep="\n", flush=True)
    for row in rows:
        lines.append(row)
        print(row, flush=True)
    if page:
        write_section(page, section, "\n".join(lines))
