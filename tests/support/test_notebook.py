"""Printed tables fit the terminal."""

import pytest
from rich.console import Console
from rich.table import Table

from quake_tvm.report import LoweredSite, Report
from quake_tvm.support import notebook


def write(shown: Console) -> None:
    table = Table("words")
    table.add_row("word " * 60)
    shown.print(table)


def widest(text: str) -> int:
    return max(map(len, text.splitlines()))


@pytest.mark.parametrize("columns", [60, 80, 200])
def test_text_is_as_wide_as_the_terminal(columns, monkeypatch):
    monkeypatch.setenv("COLUMNS", str(columns))
    assert columns - 10 < widest(notebook.text(write)) <= columns


def test_a_printed_report_fits_80_columns_and_has_all_columns_in_a_wide_terminal(monkeypatch):
    site = LoweredSite(
        "softmax", "128x128", "quake4", "ieee", 1e-5, 0.0, "a long way", "kernel_of_it", "rows"
    )
    monkeypatch.setenv("COLUMNS", "80")
    narrow = str(Report([site]))
    monkeypatch.setenv("COLUMNS", str(notebook.WIDTH))
    wide = str(Report([site]))
    assert widest(narrow) <= 80
    assert "kernel_of_it" in wide
    assert "kernel_of_it" not in narrow
