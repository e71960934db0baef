"""Whether a picture could be drawn, asked before anything is measured for it."""

from pathlib import Path

from ..errors import QuakeError


def require_matplotlib(path: Path) -> None:
    """Refuse what matplotlib could not draw.

    Raises
    ------
    QuakeError
        Without matplotlib, or for a file name it has no format for.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise QuakeError("--plot needs matplotlib: pip install matplotlib") from None
    formats = Figure().canvas.get_supported_filetypes()
    if path.suffix.removeprefix(".") not in formats:
        raise QuakeError(f"--plot writes {', '.join(sorted(formats))}, not {path.name!r}")
    if not path.absolute().parent.is_dir() or path.is_dir():
        raise QuakeError(f"cannot write {path}: no such folder, or a folder itself")
