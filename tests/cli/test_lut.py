"""``quake-tvm lut``: tables as text, as JSON and as a picture; errors in one line."""

import json

import pytest

from quake_tvm.lut import records
from tests.shell import quake


def test_table(tmp_path) -> None:
    path = tmp_path / "gelu.svg"
    shown = quake("lut", "gelu", "--entries", "8", "--plot", str(path)).stdout
    assert "mean squared error" in shown
    assert f"written: {path}" in shown
    assert path.read_text().startswith("<svg")


def test_json() -> None:
    found = json.loads(quake("lut", "exp", "-n", "16", "-e", "3", "--json").stdout)
    kept = records.record("exp", 16).best[3]
    assert tuple(found["breakpoints"]) == kept.breakpoints
    assert tuple(found["slopes"]) == kept.slopes
    found = json.loads(quake("lut", "exp", "--search", "genetic", "--json").stdout)
    assert tuple(found["slopes"]) == records.record("exp", 8).genetic()[5].slopes


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["sine"], "unknown function 'sine'"),
        (["gelu", "-n", "9"], "tables have 8 or 16 entries, not 9"),
        (["gelu", "-e", "7"], "--exponent"),
        (["gelu", "--search", "random"], "--search"),
        (["gelu", "--seed", "1"], "--seed is for --search genetic"),
        (["gelu", "--search", "genetic", "--seed", "-1"], "--seed"),
    ],
)
def test_errors(words, said) -> None:
    done = quake("lut", *words)
    assert done.returncode == 2
    assert said in done.stderr
    assert done.stderr.count("\n") == 1
