"""Check that a plot can be drawn, before anything is measured for it."""

from pathlib import Path

from ..errors import QuakeError


def require_matplotlib(path: Path) -> None:
    """Refuse a plot that matplotlib cannot draw.

    Raises
    ------
    QuakeError
        If matplotlib is missing, or does not support the file's format.
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
