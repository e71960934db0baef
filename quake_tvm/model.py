"""The compiled model: run, time, export, load, and say what it is made of.

Knows the runtime and no pass: what the compiler found out travels inside the library as a
description.
"""

import json
import os
import shutil
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tvm
from tvm import relax
from tvm.support import cc

from .errors import QuakeError
from .report import Report

# The virtual machine's function that returns the model's description.
DESCRIPTION = "quake_description"
Inputs = Mapping[str, np.ndarray] | Sequence[np.ndarray] | np.ndarray


@dataclass(frozen=True)
class Input:
    """A model input: symbolic dimensions by name."""

    name: str
    shape: tuple[int | str, ...]
    dtype: str


class Model:
    """A compiled model.

    Attributes
    ----------
    inputs : list of Input
    report : Report
        What became of every nonlinearity and kernel.
    options : dict
        The target and the options it was compiled with.
    """

    def __init__(self, executable: Any, description: str) -> None:
        raw = json.loads(description)
        self.inputs = [Input(i["name"], tuple(i["shape"]), i["dtype"]) for i in raw["inputs"]]
        self.report = Report.from_json(json.dumps(raw["report"]))
        self.options = raw["options"]
        self._executable = executable
        self._machine: relax.VirtualMachine | None = None

    @property
    def _vm(self) -> relax.VirtualMachine:
        if self._machine is None:  # a cross-compiled model cannot run here: start when asked
            self._machine = relax.VirtualMachine(self._executable, tvm.cpu())
        return self._machine

    def run(self, *inputs: Inputs) -> list[np.ndarray]:
        """Run once.

        Parameters
        ----------
        inputs : one mapping of name to array, or the arrays in the order of ``self.inputs``

        Returns
        -------
        list of numpy.ndarray
            The outputs in the model's order.

        Raises
        ------
        QuakeError
            For a missing or unknown name, a wrong shape or a wrong dtype.
        """
        result = self._vm["main"](*self._arguments(inputs))
        return _flatten(result)

    def benchmark(self, *inputs: Inputs, number: int = 10, repeat: int = 5) -> list[float]:
        """Time calls inside the runtime, without Python between them.

        Returns
        -------
        list of float
            Seconds a call, one figure a repeat, each the mean over ``number`` calls.
        """
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
        path = Path(path)
        try:
            handle, name = tempfile.mkstemp(dir=path.parent, suffix=".so")
            os.close(handle)
        except OSError as error:
            raise QuakeError(f"cannot write {path}: {error.strerror}") from None
        temporary = Path(name)
        try:
            if path.is_dir():
                raise QuakeError(f"cannot write {path}: it is a folder")
            self._executable.export_library(
                str(temporary), fcompile=_linker(self.options["target"])
            )
            temporary.chmod(0o755)
            os.replace(temporary, path)
        except OSError as error:
            raise QuakeError(f"cannot write {path}: {error.strerror}") from None
        finally:
            temporary.unlink(missing_ok=True)
        return path

    def _arguments(self, inputs: tuple[Inputs, ...]) -> list[tvm.runtime.Tensor]:
        names = [i.name for i in self.inputs]
        if len(inputs) == 1 and isinstance(inputs[0], Mapping):
            given = dict(inputs[0])
        else:
            flat = inputs
            if len(inputs) == 1 and isinstance(inputs[0], list | tuple):
                flat = tuple(inputs[0])
            if len(flat) != len(names):
                raise QuakeError(
                    f"the model takes {len(names)} inputs ({', '.join(names)}), got {len(flat)}"
                )
            given = dict(zip(names, flat, strict=True))
        for name in given:
            if name not in names:
                raise QuakeError(f"unknown input {name!r}; the model's inputs: {', '.join(names)}")
        sizes: dict[str, int] = {}
        return [_tensor(spec, given, sizes) for spec in self.inputs]


def _tensor(spec: Input, given: Mapping[str, Any], sizes: dict[str, int]) -> tvm.runtime.Tensor:
    if spec.name not in given:
        raise QuakeError(f"input {spec.name!r} is missing")
    array = np.asarray(given[spec.name])
    if str(array.dtype) != spec.dtype:
        raise QuakeError(f"input {spec.name!r} must be {spec.dtype}, got {array.dtype}")
    fits = len(array.shape) == len(spec.shape) and all(
        n == (wanted if isinstance(wanted, int) else sizes.setdefault(wanted, n))
        for n, wanted in zip(array.shape, spec.shape, strict=False)
    )
    if not fits:
        wanted = ", ".join(
            str(sizes.get(n, n)) if isinstance(n, str) else str(n) for n in spec.shape
        )
        raise QuakeError(f"input {spec.name!r} must have shape ({wanted}), got {array.shape}")
    return tvm.runtime.tensor(np.ascontiguousarray(array).reshape(array.shape))


def _flatten(result: Any) -> list[np.ndarray]:
    if hasattr(result, "numpy"):
        return [result.numpy()]
    if all(isinstance(item, int) for item in result):  # a shape
        return [np.array(list(result), dtype=np.int64)]
    return [leaf for item in result for leaf in _flatten(item)]


def _linker(target: str) -> Callable | None:
    triple = json.loads(target).get("mtriple", "")
    if not triple or triple.startswith("x86_64"):
        return None
    compiler = f"{triple}-g++"
    if shutil.which(compiler) is None:
        raise QuakeError(f"no cross-compiler for {triple}: install {compiler}")
    return cc.cross_compiler(compiler)


def load(path: str | Path) -> Model:
    """Load what :meth:`Model.export` wrote.

    Raises
    ------
    QuakeError
        If there is no such file or it is not a compiled model of this library.
    """
    path = Path(path)
    if not path.is_file():
        raise QuakeError(f"no such file: {path}")
    try:
        executable = tvm.runtime.load_module(str(path))
        description = str(relax.VirtualMachine(executable, tvm.cpu())[DESCRIPTION]())
    except Exception:
        raise QuakeError(f"{path} is not a model that quake_tvm compiled for this CPU") from None
    return Model(executable, description)
