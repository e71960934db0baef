"""Branches of If become private functions."""

import numpy as np
from tvm import relax
from tvm.script import ir as I
from tvm.script import relax as R

from quake_tvm.passes.relax.outline_branches import OutlineBranches

from .check import check
