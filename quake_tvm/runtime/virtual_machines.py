"""The virtual machines of one model, so that it serves many threads at once.

A TVM virtual machine runs one call at a time. A call takes a machine and puts it back. If none is
left, another is made, up to the number of cores; beyond that, calls wait. The constants belong to
the executable: no machine copies them. Calls of the first machine use TVM's worker threads. Calls
of the others do not, since they run while the cores are in use. Short calls keep Python's lock
(:mod:`call_times`); calls of machines other than the first are timed for that. Knows the runtime,
no model.
"""

import math
import os
import threading
import time
import weakref
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import tvm
import tvm_ffi
from tvm import relax

from .arrays import InputBuffer
from .call_times import CallTimes
from .large_pages import WEIGHTS, use_large_pages
from .worker_threads import alone, cores, prepare, this_thread

# Seconds that a fork waits for calls in other threads, and that a call waits for a machine before
# it looks again.
PATIENCE = 0.2


class Machine:
    """A virtual machine with the input buffers of one call.

    Attributes
    ----------
    vm : tvm.relax.VirtualMachine
    main : callable
        The model's main function.
    short : callable
        The same for short calls of a model with dynamic shapes: it keeps Python's lock.
    buffers : list of InputBuffer
    home : list of Machine
        The list that the machine is put back to.
    """

    __slots__ = ("__weakref__", "buffers", "home", "main", "short", "vm")

    def __init__(self, executable: Any, dtypes: Sequence[str], home: "list[Machine]") -> None:
        self.vm = relax.VirtualMachine(executable, tvm.cpu(), memory_cfg="pooled")
        self.main, self.short = self.vm["main"], self.vm["main"]
        self.short.release_gil = False
        self.buffers = [InputBuffer(dtype) for dtype in dtypes]
        self.home = home


class Machines:
    """The virtual machines of an executable, made when they are needed.

    Parameters
    ----------
    executable
    dtypes : sequence of str
        The dtypes of the inputs.
    sized : sequence of int
        The positions of the inputs with dynamic shapes.
    times : CallTimes
    instrument : callable, optional
        As for :meth:`quake_tvm.Model.instrumented`.
    """

    def __init__(
        self,
        executable: Any,
        dtypes: Sequence[str],
        sized: Sequence[int],
        times: CallTimes,
        instrument: Any = None,
    ) -> None:
        self._executable, self._dtypes, self._instrument = executable, dtypes, instrument
        self._functions: list[tvm_ffi.Function] = []  # the main functions of all machines
        self._sized, self.times = sized, times
        # The pop and append of a list are atomic between threads.
        self.first: list[Machine] = []
        self._others: list[Machine] = []
        self._held: list[Machine] = []
        # All existing machines. The set is weak: the machine of an interrupted call is
        # garbage-collected.
        self._alive: weakref.WeakSet[Machine] = weakref.WeakSet()
        self.waiting = 0
        self._returned = threading.Condition()
        _all.add(self)

    def take(self) -> Machine:
        """A machine for one call of this thread. The caller must :meth:`put` it back."""
        if not this_thread.ready:
            prepare()
        try:
            return self.first.pop()
        except IndexError:
            return self._another()

    def put(self, machine: Machine) -> None:
        """Put back a machine that :meth:`take` returned."""
        machine.home.append(machine)
        if self.waiting:
            self.wake()

    def wake(self) -> None:
        """Wake one waiting thread, after a machine was put back."""
        with self._returned:
            self._returned.notify()

    def hold(self, until: float) -> None:
        """Before a fork: give out no machine, and wait until ``until`` for the machines in use.

        A running call may hold a lock of TVM's, which would stay locked in a forked child.
        """
        self._returned.acquire()
        while True:
            while self.first:
                self._held.append(self.first.pop())
            out = len(self._alive) - len(self._held) - len(self._others)
            if not out or time.monotonic() > until:
                return
            time.sleep(0.0005)

    def release(self) -> None:
        """Give out machines again, after :meth:`hold`."""
        self.first.extend(self._held)
        self._held.clear()
        self._returned.release()

    def in_child(self) -> None:
        """In a forked child: drop the machines of threads that do not exist in it."""
        self.first.extend(self._held)
        self._held.clear()
        self._alive = weakref.WeakSet([*self.first, *self._others])
        self.waiting = 0
        self._returned = threading.Condition()

    @contextmanager
    def one(self) -> Iterator[Machine]:
        """A machine for as long as the ``with`` block runs."""
        machine = self.take()
        try:
            yield machine
        finally:
            self.put(machine)

    def _another(self) -> Machine:
        with self._returned:
            self.waiting += 1
            try:
                while True:
                    for home in (self.first, self._others):
                        if home:
                            return home.pop()
                    if len(self._alive) < cores():
                        return self._make()
                    # then check whether a machine was garbage-collected
                    self._returned.wait(PATIENCE)
            finally:
                self.waiting -= 1

    def _make(self) -> Machine:
        is_first = all(machine.home is not self.first for machine in self._alive)
        machine = Machine(self._executable, self._dtypes, self.first if is_first else self._others)
        if is_first and not self._alive:
            use_large_pages(machine.vm[WEIGHTS]())
        if self._instrument is not None:  # it does not see the function of the weights
            machine.vm.set_instrument(self._instrument)
        machine.main.release_gil = not (self.times.settled and self.times.short_up_to)
        self._functions.append(machine.main)
        if not is_first:
            machine.main = alone(self._timed(machine.main))
            machine.short = alone(machine.short)
        self._alive.add(machine)
        return machine

    def _timed(self, call: Callable[..., Any]) -> Callable[..., Any]:
        """The call, timed until it is known whether the model's calls are short."""

        def timed(*arguments: Any) -> Any:
            if self.times.settled:
                return call(*arguments)
            began = time.thread_time_ns()
            result = call(*arguments)
            took = time.thread_time_ns() - began
            size = sum(math.prod(arguments[k].shape) for k in self._sized)
            # A fork holds the lock and waits for this call.
            if self._returned.acquire(blocking=False):
                try:
                    self.times.note(size, took)
                    if self.times.settled and self.times.short_up_to:
                        for function in self._functions:
                            function.release_gil = False
                finally:
                    self._returned.release()
            return result

        return timed


_all: "weakref.WeakSet[Machines]" = weakref.WeakSet()


def _hold_all() -> None:
    _forking.acquire()
    until = time.monotonic() + PATIENCE
    _held_for_fork.extend(_all)
    for machines in _held_for_fork:
        machines.hold(until)


def _release_all() -> None:
    for machines in _held_for_fork:
        machines.release()
    _held_for_fork.clear()
    _forking.release()


def _in_child() -> None:
    global _forking
    _forking = threading.RLock()
    for machines in _held_for_fork:
        machines.in_child()
    _held_for_fork.clear()


_forking = threading.RLock()  # one fork at a time
_held_for_fork: list[Machines] = []
if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_hold_all, after_in_parent=_release_all, after_in_child=_in_child)
