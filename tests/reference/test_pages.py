"""The pages of docs/reference/ are those of the code."""

import pytest

from tests.reference.pages import FOLDER, PAGES


@pytest.mark.parametrize("name", PAGES)
def test_a_page_is_up_to_date(name):
    written = (FOLDER / f"{name}.md").read_text()
    assert written == PAGES[name](), "write it again: python -m tests.reference"


def test_there_are_no_others():
    assert {path.stem for path in FOLDER.glob("*.md")} == set(PAGES)
