"""A library with a digest appended, so that a damaged file is refused before its code is mapped.

The file ends with ``SEAL`` and the SHA-256 of everything before it; library loaders ignore both.
Without this check, a truncated or changed library crashes the runtime. Knows no model.
"""

import hashlib
from pathlib import Path

from ..errors import QuakeError

SEAL = b"quake_tvm seal 2"
_LENGTH = len(SEAL) + hashlib.sha256().digest_size
_CHUNK = 1 << 20


def seal(path: Path) -> None:
    """Append the digest to a library."""
    digest = _digest(path, path.stat().st_size)
    with path.open("ab") as file:
        file.write(SEAL + digest)


def check_seal(path: Path) -> bytes:
    """The digest of a library, after a check that the library did not change since it was sealed.

    Raises
    ------
    QuakeError
        If the library is truncated or changed, has no digest, or cannot be read.
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
    """The SHA-256 of the first ``size`` bytes of a file."""
    total = hashlib.sha256()
    with path.open("rb") as file:
        while size > 0 and (chunk := file.read(min(size, _CHUNK))):
            total.update(chunk)
            size -= len(chunk)
    return total.digest()
