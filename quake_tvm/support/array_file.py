"""Read arrays from NumPy's files, without trusting the sizes in their headers. Knows numpy only."""

import zipfile
from pathlib import Path

import numpy as np

from ..errors import QuakeError

_NPY, _ZIP = b"\x93NUMPY", b"PK"


def read_npy(path: str | Path) -> np.ndarray:
    """The array of a ``.npy`` file.

    Raises
    ------
    QuakeError
        If the file is missing, is no ``.npy`` file, or is shorter than its header says.
    """
    start = _start(path)
    if not start.startswith(_NPY):
        what = "empty" if not start else "a .npz file" if start.startswith(_ZIP) else "no .npy file"
        raise QuakeError(f"cannot read {path} as .npy: it is {what}; numpy.save writes one")
    try:
        # Map the file first, so that a huge shape in the header does not allocate memory.
        return np.array(np.load(path, mmap_mode="r", allow_pickle=False))
    except Exception as error:
        raise QuakeError(f"cannot read {path} as .npy: {_reason(error)}") from None


def read_npz(path: str | Path) -> dict[str, np.ndarray]:
    """The arrays of a ``.npz`` file by name.

    Raises
    ------
    QuakeError
        If the file is missing, is no ``.npz`` file, or has arrays that do not match their headers.
    """
    if not _start(path).startswith(_ZIP):
        raise QuakeError(f"cannot read {path} as .npz: numpy.savez writes such a file")
    try:
        _check_sizes(path)
        with np.load(path, allow_pickle=False) as file:
            return {name: file[name] for name in file.files}
    except Exception as error:
        raise QuakeError(f"cannot read {path} as .npz: {_reason(error)}") from None


def _start(path: str | Path) -> bytes:
    try:
        if not Path(path).is_file():
            raise QuakeError(f"cannot read {path}: no such file")
        with Path(path).open("rb") as file:
            return file.read(len(_NPY))
    except (OSError, ValueError) as error:
        if isinstance(error, QuakeError):
            raise
        raise QuakeError(f"cannot read {path}: {_reason(error)}") from None


def _check_sizes(path: str | Path) -> None:
    """Refuse archive members whose header declares more bytes than they hold."""
    with zipfile.ZipFile(path) as archive:
        for member in archive.infolist():
            with archive.open(member) as file:
                version = np.lib.format.read_magic(file)
                header = {(1, 0): "1_0", (2, 0): "2_0"}.get(version)
                if header is None:
                    raise ValueError(f"{member.filename} is of version {version}")
                reader = getattr(np.lib.format, f"read_array_header_{header}")
                shape, _, dtype = reader(file)
                size = dtype.itemsize
                for extent in shape:
                    size *= extent
                if size > member.file_size:
                    raise ValueError(f"{member.filename} has fewer bytes than its shape {shape}")


def _reason(error: Exception) -> str:
    """The error in one line: NumPy's message may have several lines, or none."""
    text = getattr(error, "strerror", None) or str(error).strip() or type(error).__name__
    return text.splitlines()[0][:160]
