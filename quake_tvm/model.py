"""The compiled model: run, time, export, load, and say what it is made of.

Knows the runtime and no pass: what the compiler found out travels inside the library as a
description.
"""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import tvm
import tvm_ffi
from tvm import relax

from . import given
from .description import DESCRIPTION, Described, Inputs
from .errors import QuakeError, last_line
from .exchange import Inlet, arrays
from .toolchain import linker
from .whole_file import whole_file

Instrument = Callable[..., int]
# LLVM ends the process where it cannot write; the least that a library and its parts take.
_ROOM = 4 << 20


class Model(Described):
    """A compiled model, with the attributes of :class:`Described`."""

    def __init__(self, executable: Any, description: str) -> None:
        super().__init__(description)
        self._owned: list[bool] = json.loads(description)["owned"]
        self._executable = executable
        self._inlets = [Inlet(i.dtype) for i in self.inputs]

    # Started when asked for: a cross-compiled model cannot run here.
    @cached_property
    def _vm(self) -> relax.VirtualMachine:
        return relax.VirtualMachine(self._executable, tvm.cpu(), memory_cfg="pooled")

    @cached_property
    def _main(self) -> tvm_ffi.Function:
        return self._vm["main"]

    def run(self, *inputs: Inputs) -> list[np.ndarray]:
        """Run once.

        Parameters
        ----------
        inputs : one mapping of name to array, or the arrays in the order of ``self.inputs``

        Returns
        -------
        list of numpy.ndarray
            The outputs in the model's order, the caller's to keep and to change (with NumPy before
            2.1 only to read).

        Raises
        ------
        QuakeError
            For a missing or unknown name, a wrong shape or a wrong dtype.

        Notes
        -----
        Contiguous, writable inputs on a 64-byte address, as outputs are, are not copied. Not to be
        called from two threads at once.
        """
        result = self._main(*self._arguments(inputs))
        return [
            array if owned else array.copy()
            for array, owned in zip(arrays(result), self._owned, strict=True)
        ]

    def benchmark(self, *inputs: Inputs, number: int = 10, repeat: int = 5) -> list[float]:
        """Time calls inside the runtime, without Python between them.

        Returns
        -------
        list of float
            Seconds a call, one figure a repeat, each the mean over ``number`` calls.

        Raises
        ------
        QuakeError
            As :meth:`run`, and for a number or repeat below 1.
        """
        given.count(number, "number")
        given.count(repeat, "repeat")
        arguments = self._arguments(inputs)
        timer = self._vm.time_evaluator("main", tvm.cpu(), number=number, repeat=repeat)
        return list(timer(*arguments).results)

    def export(self, path: str | Path) -> Path:
        """Write a shared library for the target, all or nothing; :func:`load` reads it.

        Raises
        ------
        QuakeError
            If the path cannot be written or no linker for the target is found.
        """
        path = given.path(path, "the library")
        target = tvm.target.Target(json.loads(self.options["target"]))
        compiler = linker(target)
        with whole_file(path, mode=0o777, room=_ROOM) as file:
            # TVM takes the kind of file from its name, and links only libraries.
            library = file.with_name("library.so")
            try:
                self._executable.export_library(
                    str(library), fcompile=compiler, workspace_dir=str(file.parent)
                )
            except OSError:
                raise
            except Exception as error:
                raise QuakeError(f"cannot write {path}: {last_line(error)}") from error
            library.rename(file)
        return path

    @property
    def kernels(self) -> tvm_ffi.Module:
        """The kernels by name, of a model that was compiled here."""
        return self._executable.mod.imports[0]

    @contextmanager
    def instrumented(self, instrument: Instrument) -> Iterator[None]:
        """Have the runtime call ``instrument`` before and after everything that it calls.

        With the function, its name, whether it is before, the result after it, and the arguments;
        1 for an answer before it skips the call.
        """
        self._vm.set_instrument(instrument)
        try:
            yield
        finally:
            self._vm.set_instrument(None)  # any other costs more than small kernels take

    def _arguments(self, inputs: tuple[Inputs, ...]) -> list[tvm.runtime.Tensor]:
        ordered = self._ordered(inputs)
        return [inlet.tensor(a) for inlet, a in zip(self._inlets, ordered, strict=True)]


def load(path: str | Path) -> Model:
    """Load what :meth:`Model.export` wrote.

    Raises
    ------
    QuakeError
        If there is no such file or it is not a compiled model of this library.
    """
    path = given.path(path, "the library")
    if path.is_dir():
        raise QuakeError(f"no such file: {path} is a folder")
    if not path.is_file():
        raise QuakeError(f"no such file: {path}")
    try:
        executable = tvm.runtime.load_module(str(path))
        description = str(relax.VirtualMachine(executable, tvm.cpu())[DESCRIPTION]())
    except Exception:
        raise QuakeError(f"{path} is not a model that quake_tvm compiled for this CPU") from None
    return Model(executable, description)
