"""Start a worker process: run its module, without torch.

TVM would load torch if it is installed, which takes seconds. No worker uses it.
"""

import runpy
import sys

from .hidden_module import hidden

if __name__ == "__main__":
    with hidden("torch"):
        runpy.run_module(sys.argv.pop(1), run_name="__main__", alter_sys=True)
