"""Runs compiled kernels in QEMU and counts instructions, in a worker process."""

from pathlib import Path

from ..emulation import kernel
from ..emulation.cost import cost
from ..kernels.arguments import Description, digest, examples
from ..machines.targets import target as resolve
from ..support import worker


class CountSession:
    """Counts one kernel after another."""

    def cost(
        self,
        library: str,
        name: str,
        inputs: list[Description],
        outputs: list[Description],
        target: str,
        sample: int,
    ) -> tuple[float, str]:
        """A kernel's cycles, or instructions if there is no cycle model, and its outputs' digest.

        Parameters
        ----------
        library, name : str
            The library's path, and the kernel's name in it.
        inputs, outputs : list of (shape, dtype)
        target : str
        sample : int
            The number of instructions whose cycles are modelled.
        """
        arrays, resolved = examples(inputs), resolve(target)
        call = Path(library), name, arrays, outputs, resolved
        written = kernel.run(*call)
        found = cost(*call, sample=sample)
        return found.instructions if found.cycles is None else found.cycles, digest(written)


if __name__ == "__main__":
    worker.limit_memory()
    worker.serve(CountSession())
