"""Tables of long measurements: printed row by row, and written to a section of a page."""

import pytest

from quake_tvm.bench.printed_table import print_table

HEADER, ROWS = "| a | b |", ["| 1 | 2 |", "| 3 | 4 |"]
PAGE = "before\n\n<!-- mine: written by me -->\n\nold\n\n<!-- end of mine -->\n\nafter\n"


def test_rows_are_printed_as_they_come(capsys):
    def rows():
        yield ROWS[0]
        raise RuntimeError("planted")

    with pytest.raises(RuntimeError, match="planted"):
        print_table(HEADER, rows(), None, "mine")
    assert capsys.readouterr().out.splitlines() == [HEADER, "|---|---|", ROWS[0]]


def test_a_page_has_the_whole_table(tmp_path):
    page = tmp_path / "page.md"
    page.write_text(PAGE)
    print_table(HEADER, ROWS, page, "mine")
    assert page.read_text() == PAGE.replace("old", "\n".join([HEADER, "|---|---|", *ROWS]))
