"""Memory does not grow with every new shape."""

import ctypes

import numpy as np
import onnx
import psutil
import pytest
from onnx import TensorProto, helper, parser

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


ATTENTION = """\
<ir_version: 10, opset_import: ["": 21]> m
(float[b, 2, t, 16] q, float[b, 2, 16, s] k, float[b, 2, s, 16] v, float[16, 8] w) => (y)
{ p = MatMul(q, k) a = Softmax(p) r = MatMul(a, v) z = MatMul(r, w) y = Gelu(z) }"""


@pytest.mark.slow
def test_twenty_thousand_runs_of_random_sizes():
    """Memory stays flat, and the bits are those of a static build, whatever ran before."""
    rng = np.random.default_rng(0)

    def feeds(b, t, s):
        shapes = {"q": (b, 2, t, 16), "k": (b, 2, 16, s), "v": (b, 2, s, 16), "w": (16, 8)}
        return {name: rng.standard_normal(n).astype(np.float32) for name, n in shapes.items()}

    model = parser.parse_model(ATTENTION)
    any_size = quake_tvm.compile(model)
    known = []
    for sizes in [(4, 64, 64), *rng.integers(1, (5, 65, 65), (9, 3)).tolist()]:
        given = feeds(*sizes)
        static = quake_tvm.compile(model, shapes={name: x.shape for name, x in given.items()})
        known.append((given, static.run(given)[0].tobytes()))
    data = feeds(4, 64, 64)

    def run(count):
        for number in range(count):
            b, t, s = rng.integers(1, (5, 65, 65))
            parts = data["q"][:b, :, :t], data["k"][:b, :, :, :s], data["v"][:b, :, :s], data["w"]
            any_size.run([np.ascontiguousarray(part) for part in parts])
            if number % 10 == 0:
                given, wanted = known[rng.integers(len(known))]
                assert any_size.run(given)[0].tobytes() == wanted

    run(2000)
    before = resident()
    run(16_200)  # 18,200 of random sizes, and 1,820 of known ones
    assert (resident() - before) / 2**20 < 4
