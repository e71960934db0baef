"""Random graphs of fixed seeds against ONNX Runtime. ``make fuzz`` tries other seeds."""

import itertools

import numpy as np
import pytest

from quake_tvm.numerics.ladder import METHODS
from tests.fuzz.generate import OPSETS, generate
from tests.fuzz.graph import Graph, Skip
from tests.fuzz.makers import MAKERS
from tests.fuzz.session import run

from tvm.relax.frontend.onnx import onnx_frontend  # isort: skip

# Operators of TVM's importer that no graph contains, and the reason.
NEVER = {
    "AllClassNMS": "no operator of ONNX, TVM's name for one of its own",
    "MatMulInteger16": "ONNX Runtime has no kernel for it",
}
GRAPHS = 24
# Groups of nodes that vary: the number of times they are generated.
_TRIES = {"sequences": 8}


def _failures(seeds, methods):
    summary = run(seeds, methods)
    assert summary.graphs == len(seeds)
    unjudged = summary.counts["exact", "unjudged"]
    assert unjudged < 0.05 * summary.graphs, str(summary)
    return "\n".join(f"{v.kind}: seed {v.seed}, {v.method}: {v.detail}" for v in summary.failures)


def test_random_graphs():
    assert not _failures(range(GRAPHS), ["exact", "quake3"])


@pytest.mark.sweep
@pytest.mark.parametrize("method", METHODS)
def test_many_random_graphs_on_every_rung(method):
    start = 10_000 * (1 + METHODS.index(method))
    assert not _failures(range(start, start + 1000), ["exact", method])


def _made_by(name):
    """Operators of the nodes that a maker added in its first successful call."""
    for seed, opset in itertools.product(range(_TRIES.get(name, 2)), sorted(set(OPSETS))):
        graph = Graph(np.random.default_rng([seed, opset]), opset)
        try:
            MAKERS[name][0](graph, name)
        except Skip:
            continue
        yield from (node.op_type for node in graph.nodes)


def test_every_operator_of_the_importer_is_made():
    made = {operator for name in MAKERS for operator in _made_by(name)}
    assert onnx_frontend._get_convert_map().keys() - made == NEVER.keys()


def test_a_seed_gives_the_same_graph():
    first, second = generate(7), generate(7)
    assert first.model == second.model
    for name, value in first.feeds[0].items():
        np.testing.assert_array_equal(value, second.feeds[0][name])
