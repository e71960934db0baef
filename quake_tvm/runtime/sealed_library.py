"""A library with a digest behind it, so that a damaged one is refused before its code is mapped.

Behind the library stand ``SEAL`` and the SHA-256 of all before it; loaders of libraries do not look
there. The runtime dies of a library that is cut off or changed. Knows no model.
"""

import hashlib
from pathlib import Path

from ..errors import QuakeError

SEAL = b"quake_tvm seal 1"
_LENGTH = len(SEAL) + hashlib.sha256().digest_size
_CHUNK = 1 << 20


def seal(path: Path) -> None:
    """Write the digest behind a library."""
    digest = _digest(path, path.stat().st_size)
    with path.open("ab") as file:
        file.write(SEAL + digest)


def check_seal(path: Path) -> bytes:
    """The digest of a library that is whole and as it was when it was sealed.

    Raises
    ------
    QuakeError
        For a library that is cut off or changed, one without a digest, and one that cannot be read.
    """
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            file.seek(max(size - _LENGTH, 0))
            end = file.read()
        sealed = size >= _LENGTH and end.startswith(SEAL)
        found = _digest(path, size - _LENGTH) if sealed else None
    except OSError as error:
        raise QuakeError(f"cannot read {path}: {error.strerror}") from None
    if found is None:
        raise QuakeError(
            f"{path} is no whole model of this library: it is cut off, or not from Model.export of "
            "this version; export it again"
        )
    if found != end[len(SEAL) :]:
        raise QuakeError(f"{path} is damaged: it changed after its export; export or copy it again")
    return found


def _digest(path: Path, size: int) -> bytes:
    """The SHA-256 of the first bytes of a file."""
    total = hashlib.sha256()
    with path.open("rb") as file:
        while size > 0 and (chunk := file.read(min(size, _CHUNK))):
            total.update(chunk)
            size -= len(chunk)
    return total.digest()
