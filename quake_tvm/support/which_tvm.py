"""Which TVM is installed. It is found without loading TVM, which takes a second."""

from importlib import util
from pathlib import Path


def has_relay() -> bool:
    """Whether TVM is installed and has Relay, as TVM 0.16 does."""
    found = util.find_spec("tvm")
    folders = (found and found.submodule_search_locations) or ()
    return any(Path(folder, "relay").is_dir() for folder in folders)
