"""``quake-tvm explain``: what it adds up, and how it ends."""

import json

import onnx
import pytest

from quake_tvm.bench.gain import Gain
from quake_tvm.cli.doctor_model import Nonlinearity
from quake_tvm.cli.explain import expected, verdict
from quake_tvm.numerics.operators import bound
from tests.shell import quake
from tests.test_compiler import mlp

GAINS = {"gelu": Gain(6e-9, 1e-9)}


def gelu(shape, exact="", dtype="float32"):
    return Nonlinearity("gelu", shape, dtype, exact)


def test_sites_of_one_operator_are_added_up():
    (row,) = expected([gelu("2x500"), gelu("1x1000"), gelu("scalar")], "quake4", GAINS)
    assert (row.sites, row.elements) == (3, 2001)
    assert row.relative == bound("gelu", "quake4").relative
    assert (row.exact_ns, row.lowered_ns) == pytest.approx((6.0, 1.0))
    assert row.saved_ms == pytest.approx(2001 * 5e-6)
    assert "expect about 0.01 ms a run less" in verdict("quake4", [row])


def test_open_sizes_have_no_milliseconds():
    (row,) = expected([gelu("nx500")], "quake4", GAINS)
    assert (row.elements, row.saved_ms) == (None, None)
    assert "give sizes with --shape" in verdict("quake4", [row])


def test_what_stays_exact_promises_nothing():
    (row,) = expected([gelu("2x5", exact="dtype float64", dtype="float64")], "quake4", GAINS)
    assert (row.relative, row.saved_ms) == (None, None)
    assert verdict("quake4", [row]).startswith("no nonlinearity is approximated")


def test_the_command(tmp_path):
    path = tmp_path / "mlp.onnx"
    onnx.save(mlp(), path)
    found = json.loads(quake("explain", path, "--shape", "x=4,8", "-m", "quake3", "--json").stdout)
    assert found["method"] == "quake3"
    rows = {row["operator"]: row for row in found["operators"]}
    assert rows.keys() == {"gelu", "softmax"}
    assert all(row["elements"] == 64 and row["lowered_ns"] > 0 for row in rows.values())
    said = quake("explain", path, "--shape", "x=4,8")
    assert said.returncode == 0, said.stderr
    assert max(map(len, said.stdout.splitlines()[:-1])) <= 80
    assert said.stdout.splitlines()[-1].startswith("quake4: no error above ")
    refused = quake("explain", path, "-m", "exact")
    assert (refused.returncode, refused.stderr.count("\n")) == (2, 1)
