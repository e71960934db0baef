"""Every option of an ONNX node is honoured or refused: the table against the standard.

The standard's schemas list all options. For every option that the table calls honoured, a case of
``cases`` is compared with ONNX Runtime, or with ONNX's reference if ONNX Runtime has no kernel.
Every other option must be refused.
"""

from collections import defaultdict

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper, shape_inference
from onnx.reference import ReferenceEvaluator
from tvm.relax.frontend.onnx import onnx_frontend

import quake_tvm
from quake_tvm import QuakeError
from quake_tvm.importers.onnx import page as onnx_page
from quake_tvm.importers.onnx import rewrites
from quake_tvm.importers.onnx.check import check
from quake_tvm.importers.onnx.converters import CONVERTERS
from quake_tvm.importers.onnx.fold import UNRELIABLE, fold_shapes
from quake_tvm.importers.onnx.operators import MICROSOFT, OLDEST, OPSET, STANDARD, forms, honours

from .cases import CASES, Case, model_of

# The largest number of nodes in one model: a failing node is searched among them.
GROUP = 40
# Sequences, optionals and branches have tests of their own below.
UNTRIED = {
    "ConcatFromSequence", "If", "Optional", "OptionalGetElement", "OptionalHasElement",
    "SequenceAt", "SequenceConstruct", "SequenceEmpty", "SequenceErase", "SequenceInsert",
    "SequenceLength", "SplitToSequence",
}  # fmt: skip
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
            assert names <= tried[operator], operator


@pytest.mark.parametrize("name", sorted(STANDARD))
def test_names_in_the_table_are_the_standards(name):
    known = {n for form in forms(name) for n in honours(name, form)}
    assert STANDARD[name] <= known | {"input"}


def another(attribute: onnx.defs.OpSchema.Attribute) -> onnx.AttributeProto:
    """The attribute with a value that is not its default."""
    kinds = onnx.defs.OpSchema.AttrType
    default = attribute.default_value.i or attribute.default_value.f
    values = {
        kinds.INT: int(default) + 7,
        kinds.FLOAT: float(default) + 7,
        kinds.STRING: "other",
        kinds.INTS: [7],
        kinds.FLOATS: [7.0],
        kinds.STRINGS: ["other"],
        kinds.TENSOR: helper.make_tensor("t", TensorProto.FLOAT, [1], [7]),
        kinds.SPARSE_TENSOR: helper.make_sparse_tensor(
            helper.make_tensor("v", TensorProto.FLOAT, [1], [7]),
            helper.make_tensor("i", TensorProto.INT64, [1], [0]),
            [2],
        ),
    }
    return helper.make_attribute(attribute.name, values[attribute.type])


def node_with(form: onnx.defs.OpSchema, name: str) -> onnx.NodeProto:
    """A node that sets an attribute, input or output, and everything that is required."""
    node = onnx.NodeProto(op_type=form.name)
    for k, formal in enumerate(form.inputs):
        needed = formal.option == onnx.defs.OpSchema.FormalParameterOption.Single
        node.input.append(f"x{k}" if needed or formal.name == name else "")
    for k, formal in enumerate(form.outputs):
        node.output.append(f"y{k}" if k == 0 or formal.name == name else "")
    if name in form.attributes:
        node.attribute.append(another(form.attributes[name]))
    return node


def alone(node: onnx.NodeProto, opset: int) -> onnx.ModelProto:
    outputs = [onnx.ValueInfoProto(name=o) for o in node.output if o]
    inputs = [onnx.ValueInfoProto(name=i) for i in node.input if i]
    graph = helper.make_graph([node], "alone", inputs, outputs)
    opsets = [helper.make_opsetid("", opset), helper.make_opsetid("com.microsoft", 1)]
    return helper.make_model(graph, opset_imports=opsets)


@pytest.mark.parametrize(
    ("form", "name"),
    [(form, n) for op, form in FORMS for n, yes in honours(op, form).items() if not yes],
    ids=lambda value: getattr(value, "name", value),
)
def test_what_is_not_honoured_is_refused(form, name):
    model = alone(node_with(form, name), max(form.since_version, OLDEST))
    with pytest.raises(QuakeError, match=f"^[^\\n]*{name}[^\\n]* of the ONNX operator {form.name}"):
        check(model)


def test_defaults_and_unused_outputs_are_no_demands():
    node = helper.make_node("MaxPool", ["x"], ["y", "indices"], kernel_shape=[2], storage_order=0)
    graph = helper.make_graph(
        [node],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 1, 4])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 12)], ir_version=8)
    (y,) = quake_tvm.compile(model).run([np.float32([[[1, 3, 2, 4]]])])
    np.testing.assert_array_equal(y, [[[3, 3, 4]]])


@pytest.mark.parametrize("operator", sorted(MICROSOFT))
def test_what_is_not_honoured_of_onnx_runtimes_is_refused(operator):
    honoured = MICROSOFT[operator]
    for asked in (
        {"inputs": [f"x{k}" for k in range(max(honoured.inputs) + 2)]},
        {"outputs": [f"y{k}" for k in range(max(honoured.outputs) + 2)]},
        {"unheard_of": 1},
    ):
        asked = {"inputs": ["x0"], "outputs": ["y0"]} | asked
        node = helper.make_node(operator, domain="com.microsoft", **asked)
        with pytest.raises(QuakeError, match=f"of the ONNX operator com.microsoft.{operator}"):
            check(alone(node, 17))


@pytest.mark.parametrize("operator", ["Add", "Concat", "Conv", "Relu", "Split", "Where"])
def test_an_input_that_may_not_be_left_out(operator):
    schema = onnx.defs.get_schema(operator)
    required = [k for k, i in enumerate(schema.inputs) if i.option != i.option.Optional]
    for k in required:
        names = ["" if k == n else f"x{n}" for n in range(max(len(required), 2))]
        node = helper.make_node(operator, names, ["y"], "node")
        refused = f"{operator} needs its input {k}, which is left out \\(node 'node'\\)$"
        with pytest.raises(QuakeError, match=refused):
            check(alone(node, 18))


def value(name, shape=None, dtype=TensorProto.FLOAT):
    return helper.make_tensor_value_info(name, dtype, shape)


def compare(nodes, feeds, outputs, opset=18, constants=()):
    """Compile a graph; compare values with ONNX Runtime's and types with ONNX's inference."""
    inputs = [value(n, x.shape, helper.np_dtype_to_tensor_dtype(x.dtype)) for n, x in feeds.items()]
    initializers = [numpy_helper.from_array(np.array(v), n) for n, v in dict(constants).items()]
    outputs = [onnx.ValueInfoProto(name=o) for o in outputs]
    graph = helper.make_graph(nodes, "g", inputs, outputs, initializers)
    opsets = [helper.make_opsetid("", opset)]
    model = shape_inference.infer_shapes(
        helper.make_model(graph, opset_imports=opsets, ir_version=8)
    )
    results = quake_tvm.compile(model, method="exact").run(feeds)
    wanted = onnxruntime.InferenceSession(model.SerializeToString()).run(None, feeds)
    for q, y in zip(results, wanted, strict=True):
        assert q.dtype == y.dtype
        np.testing.assert_array_equal(q, y)


def test_sequences():
    node, x = helper.make_node, np.arange(14, dtype=np.float32).reshape(7, 2)
    nodes = [
        node("SequenceConstruct", ["x", "z"], ["s"]),
        node("SequenceInsert", ["s", "w"], ["s1"]),
        node("SequenceInsert", ["s1", "w", "zero"], ["s2"]),
        node("SequenceErase", ["s2", "one"], ["s3"]),
        node("SequenceErase", ["s3"], ["s4"]),
        node("SequenceLength", ["s4"], ["length"]),
        node("SequenceAt", ["s3", "one"], ["second"]),
        node("SequenceAt", ["s3", "last"], ["third"]),
        node("ConcatFromSequence", ["s3"], ["joined"], axis=-1),
        node("ConcatFromSequence", ["s3"], ["stacked"], axis=1, new_axis=1),
        node("SequenceEmpty", [], ["none"]),
        node("SequenceInsert", ["none", "x"], ["some"]),
        node("SequenceAt", ["some", "zero"], ["only"]),
        # Seven elements in chunks of three: three, three and one.
        node("SplitToSequence", ["x", "three"], ["t"], axis=0),
        node("SequenceAt", ["t", "zero"], ["chunk"]),
        node("SequenceAt", ["t", "two"], ["rest"]),
        node("SplitToSequence", ["x", "sizes"], ["u"], axis=0),
        node("SequenceAt", ["u", "one"], ["five"]),
        node("SplitToSequence", ["x"], ["v"], axis=1, keepdims=0),
        node("SequenceAt", ["v", "one"], ["column"]),
    ]
    constants = {"zero": 0, "one": 1, "two": 2, "last": -1, "three": 3, "sizes": [2, 5]}
    outputs = ["length", "second", "third", "joined", "stacked", "only", "chunk", "rest", "five",
               "column"]  # fmt: skip
    compare(nodes, {"x": x, "w": -x, "z": 2 * x}, outputs, constants=constants)


def test_chunks_of_one_size_whose_number_would_make_others():
    nodes = [
        helper.make_node("SplitToSequence", ["x", "four"], ["t"]),
        helper.make_node("SequenceAt", ["t", "zero"], ["y"]),
    ]
    compare(nodes, {"x": np.arange(9.0)}, ["y"], constants={"four": 4, "zero": 0})


def test_optionals():
    nodes = [
        helper.make_node("Optional", ["x"], ["o"]),
        helper.make_node("OptionalHasElement", ["o"], ["has"]),
        helper.make_node("OptionalGetElement", ["o"], ["y"]),
    ]
    compare(nodes, {"x": np.float32([1, 2])}, ["has", "y"])


def if_with(*nodes):
    """An If on ``c`` with these nodes in both branches, which compute ``t`` from ``x``."""
    branches = [helper.make_graph(nodes, n, [], [value("t", [1, 2])]) for n in ("then", "other")]
    return helper.make_node("If", ["c"], ["y"], then_branch=branches[0], else_branch=branches[1])


def test_what_is_in_branches_is_honoured():
    chosen = if_with(helper.make_node("Slice", ["x"], ["t"], axes=[1], starts=[0], ends=[2]))
    for truth in (True, False):
        compare([chosen], {"x": np.float32([[3, 1, 2]]), "c": np.array(truth)}, ["y"], opset=9)


@pytest.mark.parametrize(
    ("node", "message"),
    [
        (
            helper.make_node("Constant", [], ["t"], value_string="text"),
            "attribute value_string=text of the ONNX operator Constant",
        ),
        (helper.make_node("Det", ["x"], ["t"]), "cannot import these ONNX operators: Det"),
        # The outputs of TopK would be written to memory that does not exist.
        (helper.make_node("TopK", ["x", "k"], ["t", "i"]), "TopK has several outputs"),
    ],
    ids=["attribute", "operator", "outputs"],
)
def test_what_is_in_branches_is_refused(node, message):
    with pytest.raises(QuakeError, match=message):
        check(alone(if_with(node), 12))


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


@pytest.mark.parametrize("kind", ["sequence", "optional"])
def test_inputs_and_outputs_that_are_no_tensors_are_refused(kind):
    tensor = helper.make_tensor_type_proto(TensorProto.FLOAT, [2])
    make = {
        "sequence": helper.make_sequence_type_proto,
        "optional": helper.make_optional_type_proto,
    }
    output = helper.make_value_info("y", make[kind](tensor))
    operator = {"sequence": "SequenceConstruct", "optional": "Optional"}[kind]
    graph = helper.make_graph(
        [helper.make_node(operator, ["x"], ["y"])], "g", [value("x", [2])], [output]
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
    with pytest.raises(QuakeError, match=f"'y' is a {kind}: .* must be tensors"):
        quake_tvm.compile(model)


@pytest.mark.parametrize("training", ["input", "true"])
def test_dropout_that_may_train_is_refused(training):
    graph = helper.make_graph(
        [helper.make_node("Dropout", ["x", "", "training"], ["y"])],
        "g",
        [value("x", [2]), value("training", [], TensorProto.BOOL)][: 1 + (training == "input")],
        [value("y", [2])],
        [numpy_helper.from_array(np.array(True), "training")][: training == "true"],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    with pytest.raises(QuakeError, match="Dropout that trains is random"):
        quake_tvm.compile(model)


def test_functions_of_another_opset_are_refused():
    imports = [helper.make_opsetid("", 12)]
    body = [helper.make_node("Softmax", ["a"], ["b"])]
    function = helper.make_function("local", "F", ["a"], ["b"], body, imports)
    graph = helper.make_graph(
        [helper.make_node("F", ["x"], ["y"], domain="local")],
        "g",
        [value("x", [2, 3, 4])],
        [value("y")],
    )
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("local", 1)]
    model = helper.make_model(graph, opset_imports=opsets, functions=[function], ir_version=8)
    with pytest.raises(QuakeError, match=r"function 'F' is of another opset .* Softmax differs"):
        quake_tvm.compile(model)


@pytest.mark.parametrize(
    ("operator", "opset"), [("Add", 6), ("Sigmoid", 5), ("BatchNormalization", 5)]
)
def test_forms_before_opset_7_are_refused(operator, opset):
    node = helper.make_node(operator, ["x"], ["y"])
    with pytest.raises(QuakeError, match=f"the form in opset {opset} of the ONNX operator"):
        check(alone(node, opset))


def test_the_importer_has_what_is_not_expanded():
    known = onnx_frontend._get_convert_map().keys()
    for operator, form in FORMS:
        function = form.has_function or form.has_context_dependent_function
        assert operator in known or function or operator == "If", operator
    assert CONVERTERS.keys() <= STANDARD.keys()


@pytest.mark.skipif(not NEWEST, reason="written with another version of onnx")
@pytest.mark.parametrize("section", ["standard", "microsoft", "missing"])
def test_the_page_is_what_the_table_says(section):
    assert getattr(onnx_page, section)() in onnx_page.PAGE.read_text()
