"""The page has the bounds in half precision that the registry has."""

from quake_tvm.accuracy import half_table


def test_the_page_is_current():
    assert half_table.section() in half_table.PAGE.read_text()
