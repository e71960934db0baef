"""Every option of an ONNX node that the table calls honoured: the table against the standard.

The standard's schemas list all options. For every honoured option, a case of ``cases`` is compared
with ONNX Runtime, or with ONNX's reference if ONNX Runtime has no kernel. ``test_check.py`` tests
that every other option is refused.
"""

from collections import defaultdict

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import helper, numpy_helper, shape_inference
from onnx.reference import ReferenceEvaluator
from tvm.relax.frontend.onnx import onnx_frontend

import quake_tvm
from quake_tvm.importers.onnx import own_operators, rewrites
from quake_tvm.importers.onnx import page as onnx_page
from quake_tvm.importers.onnx.converters import CONVERTERS
from quake_tvm.importers.onnx.evaluate import UNRELIABLE
from quake_tvm.importers.onnx.fold import fold_shapes
from quake_tvm.importers.onnx.operators import OPSET, STANDARD, forms, honours

from .cases import CASES, Case, model_of
from .models import value

# The largest number of nodes in one model: a failing node is searched among them.
GROUP = 40
# Sequences, optionals and branches have tests of their own in test_sequences.py, loops in
# test_loops.py.
UNTRIED = {
    "ConcatFromSequence", "If", "Loop", "Optional", "OptionalGetElement", "OptionalHasElement",
    "Scan", "SequenceAt", "SequenceConstruct", "SequenceEmpty", "SequenceErase", "SequenceInsert",
    "SequenceLength", "SplitToSequence",
}  # fmt: skip
# ONNX Runtime gives these outputs as sparse ones: test_sparse.py.
SPARSE = {"sparse_value"}
FORMS = [(name, form) for name in sorted(STANDARD) for form in forms(name)]
NEWEST = onnx.defs.onnx_opset_version() == OPSET


def pairs():
    """Each case in each form, and whether it is the form's first or sets something new."""
    tried = set()
    for case in CASES:
        for opset in [17] if case.domain else case.opsets():
            names = {(name, name in case.attributes) for name in case.named()}
            asks = {(case.domain, case.operator, n) for n in {opset, *names}}
            yield opset, case, not asks <= tried
            tried |= asks


def groups(first):
    """Groups of the cases that are the first of their kind, or of the others, by opset."""
    by_opset = defaultdict(list)
    for opset, case, is_first in pairs():
        if is_first == first:
            by_opset[opset].append(case)
    return [
        (opset, found[k : k + GROUP])
        for opset, found in sorted(by_opset.items())
        for k in range(0, len(found), GROUP)
    ]


def expected(case: Case, opset: int) -> list[np.ndarray]:
    model, feeds = model_of([case], opset)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    try:
        session = onnxruntime.InferenceSession(
            shape_inference.infer_shapes(model).SerializeToString(),
            options,
            providers=["CPUExecutionProvider"],
        )
    except Exception:  # ONNX Runtime has no kernel for this opset or type
        return ReferenceEvaluator(model).run(None, feeds)
    return session.run(None, feeds)


@pytest.mark.parametrize(("opset", "cases"), groups(first=True))
def test_what_is_honoured_is_right(opset, cases):
    model, feeds = model_of(cases, opset)
    results = iter(quake_tvm.compile(model, method="exact").run(feeds))
    for case in cases:
        for y in expected(case, opset):
            assert_close(next(results), y, case)


@pytest.mark.sweep
@pytest.mark.parametrize(("opset", "cases"), groups(first=False))
def test_more_of_what_is_honoured_is_right(opset, cases):
    test_what_is_honoured_is_right(opset, cases)


def assert_close(q: np.ndarray, y: np.ndarray, case: Case) -> None:
    said = f"{case.operator} {case.attributes}"
    assert (q.shape, q.dtype) == (y.shape, y.dtype), said
    if y.dtype.kind in "iub":
        np.testing.assert_array_equal(q, y, err_msg=said)
        return
    rtol = case.rtol if y.dtype.itemsize > 2 else 1e-2
    np.testing.assert_allclose(q, y, rtol, rtol, err_msg=said)


def test_what_folds_is_right():
    """ONNX's reference folds constants, in the forms that the rewrites produce."""
    for opset, case, first in pairs():
        if case.domain or not first or opset < rewrites.OPSET or case.operator in UNRELIABLE:
            continue
        model, feeds = model_of([case], opset)
        names = [o.name for o in model.graph.output]
        # Another node uses the constant. Otherwise it would be an output, which is not folded.
        for k, name in enumerate(names):
            model.graph.node.append(helper.make_node("Identity", [name], [f"out{k}"]))
            model.graph.output[k].name = f"out{k}"
        model.graph.initializer.extend(numpy_helper.from_array(x, n) for n, x in feeds.items())
        del model.graph.input[:]
        folded = {c.name: numpy_helper.to_array(c) for c in fold_shapes(model).graph.initializer}
        for name, y in zip(names, expected(case, opset), strict=True):
            if name in folded:
                assert_close(folded[name], y, case)


def test_what_is_honoured_is_tried():
    tried = defaultdict(set)
    for case in CASES:
        if not case.domain:
            tried[case.operator] |= case.named()
    for operator, form in FORMS:
        if operator not in UNTRIED:
            names = {n for n, honoured in honours(operator, form).items() if honoured}
            assert names - SPARSE <= tried[operator], operator


@pytest.mark.parametrize("name", sorted(STANDARD))
def test_names_in_the_table_are_the_standards(name):
    known = {n for form in forms(name) for n in honours(name, form)}
    assert STANDARD[name] <= known | {"input"}


@pytest.mark.parametrize("size", [2, 3, 4])
def test_local_response_of_any_size_and_rank(size):
    """ONNX Runtime supports only odd sizes of rank 4; ONNX's reference sums over the batch."""
    shapes = [(2, 6, 5), (1, 6, 2, 3), (1, 5, 2, 2, 2)]
    xs = [np.random.default_rng(0).normal(size=s).astype(np.float32) for s in shapes]
    nodes = [
        helper.make_node("LRN", [f"x{k}"], [f"y{k}"], size=size, alpha=0.4, beta=0.6, bias=1.5)
        for k in range(len(xs))
    ]
    graph = helper.make_graph(
        nodes,
        "g",
        [value(f"x{k}", x.shape) for k, x in enumerate(xs)],
        [value(f"y{k}", x.shape) for k, x in enumerate(xs)],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    for q, x in zip(quake_tvm.compile(model, method="exact").run(xs), xs, strict=True):
        squares = [
            (x[:, max(0, c - (size - 1) // 2) : c + size // 2 + 1].astype(float) ** 2).sum(1)
            for c in range(x.shape[1])
        ]
        y = x / (1.5 + 0.4 / size * np.stack(squares, 1)) ** 0.6
        np.testing.assert_allclose(q, y, 1e-6)


def test_the_importer_has_what_is_not_expanded():
    known = onnx_frontend._get_convert_map().keys()
    for operator, form in FORMS:
        function = form.has_function or form.has_context_dependent_function
        converted = operator in {*known, *CONVERTERS, *rewrites.STANDARD}
        assert converted or function or operator in {"If", "Loop"}, operator
    assert CONVERTERS.keys() <= STANDARD.keys() | own_operators.OPERATORS.keys()


@pytest.mark.skipif(not NEWEST, reason="written with another version of onnx")
@pytest.mark.parametrize("section", ["standard", "microsoft", "missing"])
def test_the_page_is_what_the_table_says(section):
    assert getattr(onnx_page, section)() in onnx_page.PAGE.read_text()
