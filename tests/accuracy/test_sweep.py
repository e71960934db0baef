"""Sweeps: kernels are what is recorded, and nothing that can be wrong goes unseen."""

import functools

import numpy as np
import pytest

from quake_tvm.accuracy import Findings, record, sweep
from quake_tvm.accuracy import sweep as sweep_module
from quake_tvm.accuracy.kernels import kernel
from quake_tvm.accuracy.page import wrong
from quake_tvm.accuracy.sweep import Sweep, combined, hashed
from quake_tvm.accuracy.truth import precise
from quake_tvm.approximation import METHODS
from quake_tvm.inputs import BLOCK, STRATUM, every_magnitude, stratum
from quake_tvm.named_targets import target
from quake_tvm.operators import OPERATORS, bound
from tests.test_bits import ELEMENTWISE, require
