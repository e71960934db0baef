"""Sections of a page are replaced whole, and the text around them is unchanged."""

import pytest

from quake_tvm.errors import QuakeError
from quake_tvm.support.generated_page import write_section

PAGE = """# Page

by hand
<!-- one: written by `make one` -->
old
<!-- end of one -->
between
<!-- two: written by `make two` -->
<!-- end of two -->
"""


@pytest.fixture
def page(tmp_path):
    path = tmp_path / "PAGE.md"
    path.write_text(PAGE)
    return path


def test_a_section_is_replaced_whole(page):
    write_section(page, "one", "new\n")
    write_section(page, "two", r"| back\1slash |")
    text = page.read_text()
    assert "old" not in text
    assert "`make one` -->\n\nnew\n\n<!-- end of one -->\nbetween\n" in text
    assert r"| back\1slash |" in text


def test_writing_again_changes_nothing(page):
    write_section(page, "one", "new")
    once = page.read_text()
    write_section(page, "one", "new")
    assert page.read_text() == once


def test_unknown_section(page):
    with pytest.raises(QuakeError, match="no section 'three'"):
        write_section(page, "three", "new")
    assert page.read_text() == PAGE


def test_no_such_page(tmp_path):
    with pytest.raises(QuakeError, match="cannot read"):
        write_section(tmp_path / "none.md", "one", "new")
