"""Modules that may not be loaded."""

import sys
from concurrent.futures import ThreadPoolExecutor
from importlib import import_module

import pytest

from quake_tvm.support.hidden_module import hidden


def test_a_module_cannot_be_loaded_inside():
    sys.modules.pop("colorsys", None)
    with hidden("colorsys"), pytest.raises(ImportError):
        import colorsys
    assert "colorsys" not in sys.modules
    import colorsys  # noqa: F401


def test_another_thread_can_load_it_meanwhile():
    sys.modules.pop("colorsys", None)
    with hidden("colorsys"), ThreadPoolExecutor() as threads:
        assert threads.submit(import_module, "colorsys").result().__name__ == "colorsys"


def test_a_loaded_module_stays():
    with hidden("sys"):
        import sys as again
    assert again is sys
    assert sys.modules["sys"] is sys
