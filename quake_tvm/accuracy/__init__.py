"""The error of compiled kernels against exact values, over any part of all float32.

``kernels.py`` compiles what is measured, ``truth.py`` says what is right, ``statistics.py`` is the
compiled pass over both, ``findings.py`` what comes of it, ``sweeps.py`` joins them;
``exhaustive.py`` shares all 2^32 inputs between processes (``session.py``), ``record.py`` keeps
what they found; ``page.py``, ``pictures.py`` and ``latency.py`` show it. ``row_*.py`` do the same
for rows. Knows the registry and no graph.
"""

from .findings import Findings
from .kernels import exact, kernel
from .sweeps import sweep

__all__ = ["Findings", "exact", "kernel", "sweep"]
