"""The compiled model: run, time, export, load, and describe it.

Knows the runtime and no pass: what the compiler found out travels inside the library as a
description.
"""

import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tvm
from numpy.typing import ArrayLike
from tvm import relax

from ..errors import QuakeError, last_line
from ..support import given
from ..support.notebook import page
from ..support.quiet import without_notes
from ..support.toolchain import linker
from ..support.whole_file import whole_file
from .arrays import arrays
from .call_times import CallTimes
from .description import DESCRIPTION, Described, Inputs
from .memory_pool import MemoryPool
from .pickling import Folder, packed, unpacked
from .sealed_library import check_seal, seal
from .session import Session
from .state import Initial, keep
from .virtual_machines import Machines
from .worker_threads import this_thread

Instrument = Callable[..., int]
# LLVM ends the process if it cannot write. This is the least space, in bytes, that a library and
# its object files need.
_ROOM = 4 << 20
# Errors of a kernel's data checks, and of the runtime when it has no memory.
_REFUSALS = (IndexError, tvm.error.InternalError)


class Model(Described):
    """A compiled model, with the attributes of :class:`Described`.

    A model pickles as the library that :meth:`export` writes, for this CPU and similar ones. Copies
    share the code and the weights.
    """

    folder: Folder | None = None  # holds the library of an unpickled model

    def __init__(
        self, executable: Any, description: str, source: tuple[Path, bytes] | None = None
    ) -> None:
        super().__init__(description)
        self._source = source  # the library that the model was loaded from, and its digest
        told = json.loads(description)
        self._owned: list[bool] = told["owned"]
        self._initial = [Initial.from_json(text) for text in told.get("state", ())]
        self._all_owned = all(self._owned)
        self._executable = executable
        self._pool = MemoryPool.of(self)
        # The inputs whose sizes say how long a call takes.
        self._sized = [
            k for k, i in enumerate(self.inputs) if not all(isinstance(n, int) for n in i.shape)
        ]
        self._machines = self._new_machines()

    def run(self, *inputs: Inputs, **named: ArrayLike) -> list[np.ndarray]:
        """Run the model once. ``model(...)`` is the same.

        Parameters
        ----------
        inputs : one mapping of name to array, or the arrays in the order of ``self.inputs``
        **named
            The arrays by name, instead.

        Returns
        -------
        list of numpy.ndarray
            The outputs in the order of ``self.outputs``. The caller may keep and change them (with
            NumPy before 2.1 only read them).

        Raises
        ------
        QuakeError
            For a missing or unknown name, a wrong shape or a wrong dtype; for an index in the data
            that is out of range; and for sizes computed from the data that are negative or need
            more memory than there is.

        Notes
        -----
        Arrays and torch tensors must have the input's dtype. Lists and numbers get it, if it has
        their values or both are floats. Contiguous, writable arrays on a 64-byte address are not
        copied. Outputs have such addresses.

        Any number of threads may call at once. As many calls run as there are cores; the others
        wait. All calls share the weights. A call that finds the model idle uses TVM's worker
        threads: ``TVM_NUM_THREADS``, or else half of the processors on x86 and all on other CPUs,
        and no more than the process may run on. Calls that run at the same time use one core each.
        Workers are pinned to cores only with ``TVM_BIND_THREADS=1``. A forked child may call too,
        and has its own workers.

        Each call of a model with a state begins with the initial one. Calls of a :meth:`session`
        continue each other.
        """
        return self.run_from(self.initial_state() if self._initial else (), inputs, named)

    def session(self) -> Session:
        """Calls that continue each other, from the initial state."""
        return Session(self)

    def initial_state(self) -> list[tvm.runtime.Tensor]:
        """New tensors with the state before the first call."""
        return [initial.tensor() for initial in self._initial]

    def run_from(
        self,
        state: Sequence[tvm.runtime.Tensor],
        inputs: tuple[Inputs, ...],
        named: Mapping[str, ArrayLike] | None = None,
    ) -> list[np.ndarray]:
        """As :meth:`run`, from this state, which is changed."""
        ordered = self._served(inputs, named)
        machines = self._machines
        try:
            machine = machines.first.pop() if this_thread.ready else machines.take()
        except IndexError:
            machine = machines.take()
        try:
            call, short = machine.main, self._sized and machines.times.short_up_to
            if short and sum(ordered[k].size for k in self._sized) <= short:
                call = machine.short
            result = call(
                *[buffer.tensor(a) for buffer, a in zip(machine.buffers, ordered, strict=True)],
                *state,
            )
            result, new = (result[: -len(state)], result[-len(state) :]) if state else (result, ())
            outputs = arrays(result)
            if not self._all_owned:  # before the new state or another call overwrites their memory
                outputs = [
                    array if owned else array.copy()
                    for array, owned in zip(outputs, self._owned, strict=True)
                ]
            if state:
                keep(state, new)
            return outputs
        except _REFUSALS as error:
            raise _refusal(error) from error
        finally:
            machine.home.append(machine)
            if machines.waiting:
                machines.wake()

    __call__ = run

    def benchmark(self, *inputs: Inputs, number: int = 10, repeat: int = 5) -> list[float]:
        """Time calls inside the runtime, without Python between them.

        Parameters
        ----------
        inputs
            As for :meth:`run`.
        number : int
            Calls per repeat.
        repeat : int
            How many figures are returned.

        Returns
        -------
        list of float
            Seconds per call, one figure per repeat: the mean over ``number`` calls.

        Raises
        ------
        QuakeError
            As :meth:`run`, and for a number or repeat below 1.
        """
        given.count(number, "number")
        given.count(repeat, "repeat")
        ordered = self._served(inputs)
        with self._machines.one() as machine:
            arguments = [i.tensor(a) for i, a in zip(machine.buffers, ordered, strict=True)]
            arguments += self.initial_state()
            timer = machine.vm.time_evaluator("main", tvm.cpu(), number=number, repeat=repeat)
            try:
                return list(timer(*arguments).results)
            except _REFUSALS as error:
                raise _refusal(error) from error

    def export(self, path: str | Path) -> Path:
        """Write a shared library for the target, whole or not at all. :func:`load` reads it.

        Raises
        ------
        QuakeError
            If the path cannot be written, if no linker for the target is found, or if the file that
            the model was loaded from is missing or changed.
        """
        path = given.path(path, "the library")
        with whole_file(path, mode=0o777, room=_ROOM) as file:
            if self._source is not None:
                _copy(*self._source, file)
                return path
            # TVM takes the file type from the name's suffix, and links only for suffixes of
            # libraries.
            library = file.with_name("library.so")
            link = linker(tvm.target.Target(json.loads(self.options["target"])))
            try:
                with without_notes():
                    self._executable.export_library(
                        str(library), fcompile=link, workspace_dir=str(file.parent)
                    )
            except OSError:
                raise
            except Exception as error:
                raise QuakeError(f"cannot write {path}: {last_line(error)}") from error
            seal(library)
            library.rename(file)
        return path

    def __reduce__(self) -> tuple[Callable[[bytes], "Model"], tuple[bytes]]:
        return unpacked, (packed(self),)

    def __copy__(self) -> "Model":
        copy = Model(self._executable, self.description, self._source)
        copy.folder = self.folder
        return copy

    def __deepcopy__(self, _: dict) -> "Model":
        return self.__copy__()

    def __repr__(self) -> str:
        inputs, outputs = (", ".join(map(str, ts)) for ts in (self.inputs, self.outputs))
        chosen = self.options["method"] or f"max_error={self.options['max_error']:g}"
        count = len(self.report.sites)
        sites = f"{count} {'site' if count == 1 else 'sites'} lowered"
        return f"<quake_tvm.Model ({inputs}) -> ({outputs}), {chosen}, {sites}>"

    def _repr_html_(self) -> str:
        return page(repr(self), self.report.write)

    @property
    def kernels(self) -> tvm.runtime.Module:
        """The compiled kernels by name. Only for a model that was compiled in this process."""
        return self._executable.mod.imports[0]

    def instrumented(self, instrument: Instrument) -> "Model":
        """A copy of the model whose runtime calls ``instrument`` around every function call.

        The arguments of ``instrument`` are the function, its name, whether this is before the call,
        the result (after the call), and the function's arguments. If it returns 1 before a call,
        the call is skipped. This model itself is not changed: an instrument takes longer than small
        kernels.
        """
        copy = self.__copy__()
        copy._machines = self._new_machines(instrument)
        return copy

    def _served(
        self, inputs: tuple[Inputs, ...], named: Mapping[str, ArrayLike] | None = None
    ) -> list[np.ndarray]:
        """The inputs in order. Empties the runtime's memory pool if the run needs it."""
        ordered = self._ordered(inputs, named)
        if self._pool is not None:
            self._pool.serve(ordered)
        return ordered

    def _new_machines(self, instrument: Instrument | None = None) -> Machines:
        dtypes = [i.dtype for i in self.inputs]
        times = CallTimes(steady=not self._sized, settled=self.sizes_depend_on_data)
        return Machines(self._executable, dtypes, self._sized, times, instrument)


def _refusal(error: Exception) -> QuakeError:
    if isinstance(error, IndexError):
        return QuakeError(str(error))
    return QuakeError(f"the runtime cannot run this: {last_line(error)}")


def _copy(library: Path, digest: bytes, to: Path) -> None:
    """Copy a library. Raises QuakeError if the library is missing or has another digest."""
    try:
        source = library.open("rb")
    except (FileNotFoundError, NotADirectoryError):
        raise QuakeError(f"{library}, which the model was loaded from, is gone") from None
    except OSError as error:
        raise QuakeError(f"cannot read {library}: {error.strerror}") from None
    with source, to.open("wb") as copy:
        shutil.copyfileobj(source, copy)
    try:
        same = check_seal(to) == digest
    except QuakeError:
        same = False
    if not same:
        raise QuakeError(f"{library} is not the file any more that the model was loaded from")


def load(path: str | Path) -> Model:
    """Load a library that :meth:`Model.export` wrote.

    Raises
    ------
    QuakeError
        If there is no such file, if it is not a compiled model of this library, or if it changed
        since :meth:`Model.export` wrote it.
    """
    path = given.file(path, "the library", ".so")
    digest = check_seal(path)
    try:
        with without_notes():
            executable = tvm.runtime.load_module(str(path))
            description = str(relax.VirtualMachine(executable, tvm.cpu())[DESCRIPTION]())
    except Exception:
        raise QuakeError(f"{path} is not a model that quake_tvm compiled for this CPU") from None
    return Model(executable, description, (path.absolute(), digest))
