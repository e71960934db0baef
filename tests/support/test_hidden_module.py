"""Modules that may not be loaded."""

import sys

import pytest

from quake_tvm.support.hidden_module import hidden


def test_a_module_cannot_be_loaded_inside():
    sys.modules.pop("colorsys", None)
    with hidden("colorsys"), pytest.raises(ImportError):
        import colorsys
    assert "colorsys" not in sys.modules
    import colorsys  # noqa: F401


def test_a_loaded_module_stays():
    with hidden("sys"):
        import sys as again
    assert again is sys
    assert sys.modules["sys"] is sys
