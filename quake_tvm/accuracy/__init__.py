"""The error of compiled kernels against exact values, over any part of all float32.

``kernels.py`` compiles the kernels, ``truth.py`` gives exact values, ``statistics.py`` is the
compiled pass over both, ``findings.py`` holds its results, and ``sweeps.py`` combines them.
``exhaustive.py`` distributes all 2^32 inputs over processes (``session.py``), and ``record.py``
stores the results. ``page.py``, ``pictures.py`` and ``latency.py`` present them. ``row_*.py`` do
the same for rows. Knows the registry and no graph.
"""

from .findings import Findings
from .kernels import exact, kernel
from .sweeps import sweep

__all__ = ["Findings", "exact", "kernel", "sweep"]
