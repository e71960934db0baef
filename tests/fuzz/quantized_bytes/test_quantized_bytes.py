"""Quantized operators of fixed seeds: no byte differs from ONNX Runtime's."""

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

import quake_tvm
from tests.fuzz.graph import Skip, as_model, session, value_info

from .graph import Graph, random_bytes
from .operators import CONVOLUTIONS, OTHERS

OPSET = 21
# Graphs of each maker in a model.
ROUNDS = 4
# Runs of each model, all but the first with other inputs.
CALLS = 3
MODELS = {"with convolutions": CONVOLUTIONS + OTHERS, "without": OTHERS}


def _graphs(seed, makers):
    """Graphs of one operator each, of every maker in turn."""
    count = ROUNDS * len(makers)
    made, tries = [], 0
    while len(made) < count:
        maker = makers[len(made) % len(makers)]
        graph = Graph(np.random.default_rng([seed, tries]), OPSET, f"{maker.__name__}_{len(made)}_")
        tries += 1
        assert tries < 3 * count, f"ONNX Runtime refuses {maker.__name__}"
        try:
            maker(graph)
        except Skip:
            continue
        made.append(graph)
    return made


def _model(graphs):
    """One model of all graphs. Each result of a node is an output."""
    results = [name for g in graphs for node in g.nodes for name in node.output]
    values = {name: value for g in graphs for name, value in g.values.items()}
    return as_model(
        helper.make_graph(
            [node for g in graphs for node in g.nodes],
            "quantized",
            [value_info(name, value) for g in graphs for name, value in g.inputs.items()],
            [value_info(name, values[name]) for name in results],
            [numpy_helper.from_array(v, n) for g in graphs for n, v in g.constants.items()],
        ),
        OPSET,
    )


def _others(graphs, random):
    """Other bytes, and the same floats in other places."""
    return {
        name: random.permutation(value.ravel()).reshape(value.shape)
        if value.dtype == np.float32
        else random_bytes(random, value.dtype.type, value.shape, g.step)
        for g in graphs
        for name, value in g.inputs.items()
    }


def _differences(seed, makers):
    graphs = _graphs(seed, makers)
    model = _model(graphs)
    onnx.checker.check_model(model)
    built = quake_tvm.compile(model, method="exact")
    judge, random = session(model), np.random.default_rng(seed)
    calls = [{name: value for g in graphs for name, value in g.inputs.items()}]
    calls += [_others(graphs, random) for _ in range(CALLS - 1)]
    for number, inputs in enumerate(calls):
        outputs = zip(model.graph.output, built(inputs), judge.run(None, inputs), strict=True)
        for output, got, want in outputs:
            assert (got.dtype, got.shape) == (want.dtype, want.shape), output.name
            if not np.array_equal(got, want, equal_nan=got.dtype.kind == "f"):
                place = np.unravel_index(np.argmax(got != want), got.shape)
                yield f"call {number}, {output.name} at {place}: {got[place]}, not {want[place]}"


@pytest.mark.parametrize("makers", MODELS.values(), ids=MODELS)
def test_bytes(makers):
    assert not list(_differences(0, makers))


@pytest.mark.sweep
@pytest.mark.parametrize("seed", range(1, 21))
@pytest.mark.parametrize("makers", MODELS.values(), ids=MODELS)
def test_many_bytes(makers, seed):
    assert not list(_differences(seed, makers))
