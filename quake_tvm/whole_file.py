"""Files that are written whole or not at all. Knows nothing else."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .errors import QuakeError


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """A file to write that takes the place of ``path`` when all went well, and else goes."""
    temporary = None
    try:
        handle, name = tempfile.mkstemp(dir=path.parent, suffix=path.suffix)
        os.close(handle)
        temporary = Path(name)
        yield temporary
        temporary.chmod(0o644)
        os.replace(temporary, path)
    except OSError as error:
        raise QuakeError(f"cannot write {path}: {error.strerror}") from None
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)
