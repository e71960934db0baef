"""The public names."""

import contextlib
import importlib
import pkgutil

import quake_tvm


def test_no_module_takes_a_public_name() -> None:
    for module in pkgutil.iter_modules(quake_tvm.__path__):
        with contextlib.suppress(ImportError, AttributeError):  # names of the other TVM
            importlib.import_module(f"quake_tvm.{module.name}")
    for name in quake_tvm.__all__:
        assert callable(getattr(quake_tvm, name)), name
