"""The page's section on rows, and that the derivation uses the numbers that were measured."""

from pathlib import Path

import pytest
from rich.progress import Progress

from quake_tvm.accuracy import row_table
from quake_tvm.machines.targets import target
from quake_tvm.numerics import row_bounds
from quake_tvm.numerics.ladder import METHODS
from quake_tvm.numerics.operators import bound

DERIVATION = Path(__file__).parents[2] / "docs" / "row_operators.md"


def test_section(monkeypatch):
    names = "softmax", "logsumexp"
    for name, value in {"NAMES": names, "METHODS": ("quake2",), "LENGTHS": (2, 16)}.items():
        monkeypatch.setattr(row_table, name, value)
    monkeypatch.setattr(row_table, "ROUNDS", 2)
    with Progress(disable=True) as progress:
        table = row_table.rows(target(), progress)
    assert [row["operator"] for row in table] == list(names)
    assert all(0 < row["used"] <= 1 for row in table)
    data = {"date": "2026-11-26", "versions": {"numpy": "2"}, "target": "any", "rows": table}
    text = row_table.markdown(data)
    assert f"| quake2 | {bound('softmax', 'quake2').relative:.3g} | " in text
    assert "| logsumexp | quake2 | " in text


def test_what_a_sweep_finds_is_what_bounds_are_derived_from(monkeypatch, tmp_path):
    zeros = {"weight": [0.0, 0.0], "exp": [0.0, 0.0], "tie": 0.0}
    found = {method: row_bounds.kept(method) | zeros for method in METHODS}
    before = row_bounds.softmax("quake2")
    monkeypatch.setattr(row_bounds.resources, "files", lambda package: tmp_path)
    try:
        row_bounds.update(found)
        assert row_bounds.kept("quake2") == found["quake2"]
        assert row_bounds.softmax("quake2")["relative"] < before["relative"]
    finally:
        monkeypatch.undo()
        row_bounds._table.cache_clear()
    assert row_bounds.softmax("quake2") == before


@pytest.mark.parametrize("method", METHODS)
def test_derivation_has_the_ties_that_were_found(method):
    (line,) = (row for row in DERIVATION.read_text().splitlines() if row.startswith("| ulp |"))
    cells = [cell.strip() for cell in line.strip("|").split("|")][1:]
    assert float(cells[METHODS.index(method)]) == pytest.approx(row_bounds.tie(method), abs=6e-3)
