"""The actions, good and bad, that tests request from a worker."""

import importlib
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from quake_tvm.support import worker


class Session:
    def double(self, array):
        return 2 * array

    def can_import(self, name):
        try:
            importlib.import_module(name)
        except ImportError:
            return False
        return True

    def sleep(self, seconds):
        time.sleep(seconds)

    def spin(self):
        while True:
            pass

    def have_others(self, path):
        """Start two programs that do not end. Their process ids are written to a file."""
        started = [subprocess.Popen(["sleep", "1000"]) for _ in range(2)]
        Path(path).write_text(" ".join(str(each.pid) for each in started))
        started[0].wait()

    def fail(self, text):
        raise RuntimeError(text)

    def end(self, status):
        print("first line\nlast words", file=sys.stderr, flush=True)
        os._exit(status)

    def send(self, number):
        os.kill(os.getpid(), number)

    def leave_files(self):
        Path(tempfile.gettempdir(), "left").touch()

    def fill(self, size):
        return len(np.ones(size, np.int8))


if __name__ == "__main__":
    worker.limit_memory()
    worker.serve(Session())
