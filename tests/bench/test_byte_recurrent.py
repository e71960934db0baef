"""The program that compares recurrent layers of int8 weights. No time is asserted."""

from quake_tvm.bench.byte_recurrent import HEADER, OTHER, OWN, ByteLayer, line, measure


def test_all_compute_the_same_layer() -> None:
    layer = ByteLayer(8, 2, 3)
    _, errors = measure(layer, rounds=1)
    assert 0 < errors[OWN] <= errors[OTHER]


def test_a_row_has_the_ratio() -> None:
    seconds, errors = {OWN: 0.003, OTHER: 0.004}, {OWN: 0.001, OTHER: 0.002}
    row = line(ByteLayer(64, 16, 512), seconds, errors)
    assert row == "| 64 | 16 | 512 | 3.000 | 4.000 | 0.75 | 1.0e-03 | 2.0e-03 |"
    assert row.count("|") == HEADER.count("|")
