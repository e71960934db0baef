"""``python -m quake_tvm.cli``: the same as ``quake-tvm``."""

from .start import main

main()
