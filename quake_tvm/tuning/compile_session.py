"""Compiles kernels to libraries, in a worker process (:mod:`compilation` is the other end)."""

from pathlib import Path

import tvm

from ..emulation import kernel
from ..machines.targets import target as resolve
from ..support import worker


class CompileSession:
    """Compiles one kernel after another."""

    def compile(self, function: str, target: str, library: str, name: str) -> None:
        """Write a library with one kernel, which is given as TVM's JSON."""
        functions = {name: tvm.ir.load_json(function)}
        kernel.export(functions, resolve(target), Path(library))


if __name__ == "__main__":
    worker.limit_memory()
    worker.serve(CompileSession())
