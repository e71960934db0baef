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


@pytest.mark.parametrize("method", METHODS)
def test_derivation_has_the_ties_that_were_found(method):
    (line,) = (row for row in DERIVATION.read_text().splitlines() if row.startswith("| ulp |"))
    cells = [cell.strip() for cell in line.strip("|").split("|")][1:]
    assert float(cells[METHODS.index(method)]) == pytest.approx(row_bounds.tie(method), abs=6e-3)
