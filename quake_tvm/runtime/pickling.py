"""Models as bytes, for pickle: the library that :meth:`quake_tvm.Model.export` writes.

Knows files, and no runtime.
"""

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .model import Model


def packed(model: "Model") -> bytes:
    """The bytes of the model's library. Raises QuakeError if the library cannot be linked."""
    with tempfile.TemporaryDirectory() as folder:
        return model.export(Path(folder) / "model.so").read_bytes()


def unpacked(library: bytes) -> "Model":
    """The model from its library's bytes. Raises QuakeError if the library is not for this CPU."""
    from .model import load

    folder = tempfile.TemporaryDirectory(prefix="model-")
    path = Path(folder.name, "model.so")
    path.write_bytes(library)
    model = load(path)
    model.folder = folder  # the folder is deleted with the model
    return model
