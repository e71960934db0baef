"""Pictures of tables: equal for equal tables, well-formed, with all breakpoints."""

from xml.etree import ElementTree

import pytest

from quake_tvm.lut import picture, records
from quake_tvm.lut.functions import FUNCTIONS


@pytest.mark.parametrize("name", FUNCTIONS)
def test_every_function(name: str) -> None:
    of, table = FUNCTIONS[name], records.record(name, 8).best[4]
    drawn = picture.svg(of, table, 4)
    assert drawn == picture.svg(of, table, 4)
    assert len(drawn) < 20_000
    root = ElementTree.fromstring(drawn)
    lines = [e for e in root.iter() if e.tag.endswith("path")]
    assert len(lines) == len(table.breakpoints)
    text = picture.text(of, table, 4)
    assert text.count("|") == len(table.breakpoints)
    assert "*" in text
    assert max(map(len, text.splitlines())) <= 80
