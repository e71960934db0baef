"""Kernels beside the machine's peaks: the counts, the least times, the table. No time."""

import json
import math

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

from quake_tvm.bench.cases import Case
from quake_tvm.bench.operations import work
from quake_tvm.bench.peaks import Peaks, measure
from quake_tvm.bench.roofline import Kernel, Roofline, roofline
from quake_tvm.bench.show_roofline import plot, tables
from quake_tvm.build import import_model
from quake_tvm.machines.targets import target
from quake_tvm.passes.relax.pipeline import Pipeline
from quake_tvm.tvm_version import tir

PEAKS = Peaks(flops=1e11, first=2e11, second=1e11, memory=1e10, second_size=1 << 20)
ROWS, INNER, COLUMNS = 40, 64, 48


def case(rows: int | str = ROWS) -> Case:
    """A product, and a table that is read at a few places."""
    random = np.random.default_rng(0)
    weights = {"w": (INNER, COLUMNS), "table": (1000, COLUMNS)}
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["y"]),
        helper.make_node("Gather", ["table", "places"], ["z"]),
    ]
    inputs = [
        helper.make_tensor_value_info("x", TensorProto.FLOAT, [rows, INNER]),
        helper.make_tensor_value_info("places", TensorProto.INT64, [3]),
    ]
    outputs = [helper.make_empty_tensor_value_info(name) for name in "yz"]
    for output in outputs:
        output.type.tensor_type.elem_type = TensorProto.FLOAT
    constants = [
        numpy_helper.from_array(random.standard_normal(shape).astype(np.float32), name)
        for name, shape in weights.items()
    ]
    graph = helper.make_graph(nodes, "two", inputs, outputs, constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    return Case("two", "40x64", model)


def counted(rows: int | str) -> dict:
    """The work of the kernels by the name of what they compute."""
    here = target("native")
    with here:
        mod = Pipeline.of(here, method="exact").upto("schedule")(import_model(case(rows).model))
    functions = {variable.name_hint: mod[variable] for variable in mod.functions}
    return {name: work(f) for name, f in functions.items() if isinstance(f, tir.PrimFunc)}


def test_a_product_has_two_operations_for_each_pair() -> None:
    found = counted(ROWS)
    assert found["matmul"].operations == 2 * ROWS * INNER * COLUMNS
    assert found["take"].operations == 0
    assert found["take"].moved < 1000 * COLUMNS * 4 / 10


def test_work_of_unknown_extents_is_unknown() -> None:
    assert math.isnan(counted("rows")["matmul"].operations)


def test_the_least_time_is_that_of_the_scarcer_thing() -> None:
    assert PEAKS.seconds(1e9, 1e3) == pytest.approx(1e-2)
    assert PEAKS.seconds(1e3, 1 << 20) == pytest.approx((1 << 20) / 1e11)
    assert PEAKS.seconds(1e3, 1 << 21) == pytest.approx((1 << 21) / 1e10)


def test_the_machine_has_peaks() -> None:
    found = measure(target("native"))
    rates = found.flops, found.first, found.second, found.memory
    assert all(math.isfinite(rate) and rate > 0 for rate in rates)  # no speed is asserted
    assert found.second_size >= 1 << 16


def test_the_kernels_of_a_model() -> None:
    found = roofline(case(), "exact", target("native"), PEAKS)
    kernels = {kernel.name: kernel for kernel in found.kernels}
    product = kernels["matmul"]
    assert product.calls == 1
    assert product.operations == 2 * ROWS * INNER * COLUMNS
    assert product.size == 4 * (ROWS * INNER + INNER * COLUMNS + ROWS * COLUMNS)
    assert product.least == pytest.approx(max(product.operations / 1e11, product.size / 1e11))
    assert kernels["take"].size < 1000 * COLUMNS * 4 / 10
    seconds = [kernel.seconds for kernel in found.kernels]
    assert seconds == sorted(seconds, reverse=True)


def example() -> Roofline:
    kernels = [Kernel("matmul", 2, 2e-3, 1e8, 4_000_000, 1e-3), Kernel("take", 1, 1e-4, 0, 8, 0.0)]
    return Roofline(case(), PEAKS, kernels)


def test_the_table() -> None:
    lines = tables([example()]).splitlines()
    product = next(line for line in lines if "matmul" in line)
    assert product.split() == ["matmul", "2", "2.000", "95%", "50.0", "2.0", "1.000", "2.00"]
    whole = next(line for line in lines if "all kernels" in line)
    assert whole.split()[2:5] == ["3", "2.100", "100%"]


def test_a_model_without_kernels_has_a_table() -> None:
    assert "the model computes nothing" in tables([Roofline(case(), PEAKS, [])])


def test_what_only_a_run_knows_is_null_in_json() -> None:
    unknown = Kernel("loop", 1, 1e-3, math.nan, 8, math.nan)
    text = json.dumps(Roofline(case(), PEAKS, [unknown]).to_dict(), allow_nan=False)
    assert json.loads(text)["kernels"][0]["operations"] is None


def test_what_only_a_run_knows_is_left_empty() -> None:
    unknown = Kernel("matmul", 1, 1e-3, math.nan, 400, math.nan)
    result = Roofline(case(), PEAKS, [unknown])
    line = next(line for line in tables([result]).splitlines() if "matmul" in line)
    assert line.split() == ["matmul", "1", "1.000", "100%", "0.0"]


def test_the_picture(tmp_path) -> None:
    pytest.importorskip("matplotlib")
    plot([example()], tmp_path / "picture.svg")
    assert "<svg" in (tmp_path / "picture.svg").read_text()
