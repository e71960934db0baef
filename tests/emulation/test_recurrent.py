"""Recurrent layers have the same bits on emulated machines as here."""

import functools

import numpy as np
import pytest

from quake_tvm.emulation import kernel
from quake_tvm.kernels.recurrent_cells import cell
from quake_tvm.schedules.recurrent import key_of, tile
from tests.emulation import machines
from tests.kernels.test_recurrent import IN_BYTES, LAYERS
from tests.kernels.test_recurrent import kernel as layer

STEPS, ROWS, UNITS = 4, 3, 21


@functools.cache
def results(name: str) -> dict[str, np.ndarray]:
    """The result of each layer on a machine."""
    on, functions, calls = machines.emulated(name), {}, []
    for key, options in LAYERS.items():
        gates = len(cell(**options).parts[0].gates)
        cut = tile(key_of(STEPS, ROWS, 2, gates, UNITS), on)
        for kind in (None, on) if key in IN_BYTES else (None,):
            made = key if kind is None else f"{key}_of_bytes"
            functions[made], arrays, shapes = layer(key, STEPS, ROWS, UNITS, cut, on=kind)
            calls.append(kernel.Call(made, arrays, [(shape, "float32") for shape in shapes]))
    return dict(zip(functions, machines.run(functions, calls, on), strict=True))


@pytest.mark.parametrize("name", ["x86-64-v3", "cortex-a72", "cortex-a76"])
@pytest.mark.parametrize("key", [*LAYERS, *(f"{key}_of_bytes" for key in IN_BYTES)])
def test_same_bits(key, name):
    here, there = results("native")[key], results(name)[key]
    np.testing.assert_array_equal(here, there)
