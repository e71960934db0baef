"""Memory does not grow with every new shape."""

import ctypes

import numpy as np
import onnx
import psutil
import pytest
from onnx import TensorProto, helper

import quake_tvm
from quake_tvm.runtime.memory_pool import SHAPES, MemoryPool


def arrays(rows):
    return [np.zeros((rows, 2), np.float32)]


def test_the_pool_is_emptied_after_so_many_shapes():
    emptied = []
    pool = MemoryPool(lambda: emptied.append(True))
    for rows in [*range(SHAPES)] * 3:
        pool.serve(arrays(rows))
    assert not emptied
    for rows in range(SHAPES, 3 * SHAPES):
        pool.serve(arrays(rows))
    assert len(emptied) == 2


def test_every_run_counts_where_sizes_depend_on_data():
    emptied = []
    pool = MemoryPool(lambda: emptied.append(True), every_run=True)
    for _ in range(3 * SHAPES + 1):
        pool.serve(arrays(1))
    assert len(emptied) == 3


def compiled(operator, shape, dtype=TensorProto.FLOAT):
    given = helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)
    nodes = [helper.make_node(operator, ["x"], ["y"])]
    outputs = [onnx.ValueInfoProto(name="y")]
    graph = helper.make_graph(nodes, "graph", [given], outputs)
    opsets = [helper.make_opsetid("", 18)]
    return quake_tvm.compile(helper.make_model(graph, opset_imports=opsets, ir_version=9))


def growth(model, runs):
    """Growth of the process in MB by all runs after the first, which is the largest run."""
    runs = iter(runs)
    model.run(next(runs))
    before = resident()
    for x in runs:
        model.run(x)
    return (resident() - before) / 2**20


def resident():
    """Bytes in use. The allocator's free memory is not counted, since other tests leave some."""
    ctypes.CDLL(None).malloc_trim(0)
    return psutil.Process().memory_info().rss


def test_a_dynamic_model_keeps_what_a_few_runs_take():
    """Runs with 100 shapes of up to 4 MB each: keeping all buffers would take 200 MB."""
    model = compiled("Exp", ["n", 1024])
    x = np.zeros((1000, 1024), np.float32)
    assert growth(model, (x[: 1000 - 10 * k] for k in range(100))) < (SHAPES + 1) * 4


def test_a_model_whose_sizes_depend_on_data():
    model = compiled("NonZero", [500_000])
    assert model.sizes_depend_on_data
    x = np.ones(500_000, np.float32)
    step = 10_000
    runs = (np.concatenate([x[step * k :], 0 * x[: step * k]]) for k in range(50))
    assert growth(model, runs) < (SHAPES + 2) * 8


@pytest.mark.parametrize(("operator", "shape"), [("Exp", [4]), ("Exp", ["n"])])
def test_other_models_have_no_such_sizes(operator, shape):
    assert not compiled(operator, shape).sizes_depend_on_data
