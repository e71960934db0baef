"""Models as bytes, for pickle: the library that :meth:`quake_tvm.Model.export` writes.

Knows files, and no runtime.
"""

import os
import shutil
import tempfile
import weakref
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .model import Model


class Folder:
    """A temporary folder that is removed with this object, or when the process ends.

    A forked child, which has a copy of this object, leaves the folder to its parent.
    """

    def __init__(self) -> None:
        self.path = Path(tempfile.mkdtemp(prefix="model-"))
        weakref.finalize(self, _remove, self.path, os.getpid())


def _remove(folder: Path, owner: int) -> None:
    if os.getpid() == owner:
        shutil.rmtree(folder, ignore_errors=True)


def packed(model: "Model") -> bytes:
    """The bytes of the model's library. Raises QuakeError if the library cannot be linked."""
    with tempfile.TemporaryDirectory() as folder:
        return model.export(Path(folder) / "model.so").read_bytes()


def unpacked(library: bytes) -> "Model":
    """The model from its library's bytes. Raises QuakeError if the library is not for this CPU."""
    from .model import load

    folder = Folder()
    path = folder.path / "model.so"
    path.write_bytes(library)
    model = load(path)
    model.folder = folder  # the folder is deleted with the model
    return model
