"""Every named target has a row of tunable parameters that the rules can use."""

import pytest

from quake_tvm.machines.targets import target, targets
from quake_tvm.schedules.choices import choices

# The number of vector registers for a tile, by the beginning of the target's triple.
REGISTERS = {"aarch64": 32, "armv7l": 16}


@pytest.mark.parametrize("name", targets())
def test_every_target_has_tiles_and_widths(name):
    row = choices(target(name))
    assert 1 in row.tiles  # a tile for the narrowest products
    assert all(n >= 1 for n in (*row.several, *row.tiles, *row.tiles.values()))


@pytest.mark.parametrize("name", ["aarch64", "raspberry-pi-3", "raspberry-pi-4", "armv7"])
def test_a_tile_and_its_operands_fit_the_registers(name):
    triple = str(target(name).attrs["mtriple"])
    for vectors, rows in choices(target(name)).tiles.items():
        assert vectors * rows + vectors + 1 <= REGISTERS[triple.partition("-")[0]]


def test_cpus_that_issue_in_order_have_a_row_of_their_own():
    assert choices(target("cortex-a53")) != choices(target("cortex-a72"))
    assert choices(target("cortex-a53")) == choices(target("raspberry-pi-zero-2-w"))
    assert choices(target("cortex-a72")) == choices(target("cortex-a76"))
