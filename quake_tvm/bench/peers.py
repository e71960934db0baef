"""The contenders: this library, TVM's own pipelines, and other runtimes."""

from ..tvm_version import RELAY
from .runtimes import RUNTIMES, Unavailable

if RELAY:
    from .relay_peers import NOTES, TVM, check, job, multiply, quake
else:
    from .relax_peers import NOTES, TVM, check, job, multiply, quake

EXACT, MULTIPLY = "exact", "multiply"
PEERS = {**TVM, **RUNTIMES}

__all__ = [
    "EXACT",
    "MULTIPLY",
    "NOTES",
    "PEERS",
    "Unavailable",
    "check",
    "job",
    "multiply",
    "quake",
]
