"""Graphs with symbolic dimensions: their names, their sizes, and what is told of each size."""

from functools import partial

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

from quake_tvm import QuakeError
from tests.fuzz.check import RIGHT, WRONG, check
from tests.fuzz.check_sizes import check_sizes
from tests.fuzz.generate import Case, generate
from tests.fuzz.graph import Graph, Skip, as_model
from tests.fuzz.judge import Judge
from tests.fuzz.makers import MAKERS
from tests.fuzz.session import run
from tests.fuzz.sizes import with_names

F = TensorProto.FLOAT
WRITTEN = [name for name in MAKERS if MAKERS[name][0].__module__.endswith(("shapes", "_images"))]


def graph_of(seed):
    return Graph(np.random.default_rng(seed), 17)


def model_of(nodes, shapes, **constants):
    graph = helper.make_graph(
        nodes,
        "graph",
        [helper.make_tensor_value_info(name, F, shape) for name, shape in shapes.items()],
        [helper.make_tensor_value_info("y", F, None)],
        [numpy_helper.from_array(np.asarray(v), k) for k, v in constants.items()],
    )
    return as_model(graph, 17)


def dims(model):
    return [
        [d.dim_param or d.dim_value for d in i.type.tensor_type.shape.dim]
        for i in model.graph.input
    ]


def halved(*lengths):
    """A graph that ONNX Runtime runs only at even lengths."""
    node = helper.make_node("Reshape", ["x", "two"], ["y"])
    model = model_of([node], {"x": ["n"]}, two=np.array([2, -1]))
    feeds = [{"x": np.arange(n, dtype=np.float32)} for n in lengths]
    return Case(1, model, feeds)


@pytest.mark.parametrize("seed", range(8))
def test_extents_of_one_source_have_one_name_and_those_of_weights_have_none(seed):
    shapes = {"a": [5, 4], "b": [5, 4]}
    nodes = [
        helper.make_node("Add", ["a", "b"], ["s"]),
        helper.make_node("MatMul", ["s", "w"], ["y"]),
    ]
    model = model_of(nodes, shapes, w=np.ones((4, 3), np.float32))
    graph = graph_of(seed)
    graph.chance = lambda share: share > 0.5
    names = with_names(graph, model, {name: np.ones(s, np.float32) for name, s in shapes.items()})
    assert names == {"d5": 5}
    assert dims(model) == [["d5", 4], ["d5", 4]]


def test_symbolic_dimensions_leave_the_nodes():
    for seed in range(16):
        static, dynamic = generate(seed, 0), generate(seed, 1)
        assert not static.dynamic
        assert static.model.graph.node == dynamic.model.graph.node
        assert len(dynamic.feeds) > 1 or not dynamic.dynamic


def test_a_size_that_onnxruntime_refuses_is_no_fault():
    (verdict,) = check([halved(4, 1, 7, 10)], ["exact"])
    assert (verdict.kind, verdict.sizes, verdict.never_valid) == (RIGHT, 2, 2)


def test_a_wrong_value_at_one_size_is_told():
    case = halved(4, 10)
    found = check_sizes(
        case, Judge(case.model), "exact", lambda feeds, _: "off" if len(feeds["x"]) > 4 else ""
    )
    assert (found.right, found.wrong) == (1, "at x (10,): off")


def test_other_bits_than_a_static_builds_are_wrong(monkeypatch):
    case = halved(4, 10)
    case.bits = 1
    assert check([case], ["exact"])[0].kind == RIGHT

    from tests.fuzz import check_sizes as module

    whole = module.quake_tvm.compile

    class Off:
        def __init__(self, *given, **options):
            self._model, self._static = whole(*given, **options), "shapes" in options

        def run(self, feeds):
            (out,) = self._model.run(feeds)
            return [np.nextafter(out, np.float32(9)) if self._static else out]

    monkeypatch.setattr(module.quake_tvm, "compile", Off)
    (verdict,) = check([case], ["exact"])
    assert verdict.kind == WRONG
    assert verdict.detail == "at x (10,): y: not the bits of the static build"


def test_a_refusal_at_a_valid_size_is_told(monkeypatch):
    case = halved(4, 10)
    from tests.fuzz import check_sizes as module

    class Refuses:
        def __init__(self, *_, **__):
            pass

        def run(self, feeds):
            raise QuakeError("no")

    monkeypatch.setattr(module.quake_tvm, "compile", Refuses)
    (verdict,) = check([case], ["exact"])
    assert (verdict.kind, verdict.detail) == ("refused", "at a run: no")


@pytest.mark.parametrize("name", WRITTEN)
def test_arithmetic_on_shapes_is_made(name):
    for seed in range(40):
        graph = graph_of(seed)
        try:
            MAKERS[name][0](graph, name)
        except Skip:
            continue
        return
    raise AssertionError(name)


def test_random_graphs_with_symbolic_dimensions():
    summary = run(range(12), ["exact"], make=partial(generate, share=1))
    assert not summary.failures, str(summary)
    assert summary.sizes["exact"] > 12
