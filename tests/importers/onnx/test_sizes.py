"""Nodes that compute with extents: right at every size, and nothing of them is left to run."""

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

import quake_tvm
from quake_tvm.importers.onnx import module as onnx_import
from quake_tvm.passes.relax.graph import op_name

FLOAT, INT64 = TensorProto.FLOAT, TensorProto.INT64
node = helper.make_node

# Values that the cases below read: "s" is the shape (n, m, 3), "n" and "m" are scalars.
GIVEN = [
    node("Shape", ["x"], ["s"]),
    node("Gather", ["s", "0"], ["n"]),
    node("Gather", ["s", "1"], ["m"]),
    node("Cast", ["n"], ["n.0"], to=FLOAT),
    node("Cast", ["m"], ["m.0"], to=FLOAT),
    node("Cast", ["s"], ["s.0"], to=FLOAT),
    node("Sub", ["n", "m"], ["n - m"]),
    node("Less", ["n", "m"], ["n < m"]),
    node("Equal", ["s", "[-1, 5, 3]"], ["s == [-1, 5, 3]"]),
    node("Div", ["n.0", "2.0"], ["n / 2"]),
    node("Div", ["n.0", "3.0"], ["n / 3"]),
    node("Sub", ["m.0", "n / 2"], ["m - n / 2"]),
    node("Unsqueeze", ["s", "[0]"], ["row"]),
]
CONSTANTS = {
    **{str(k): np.int64(k) for k in (-3, 0, 1, 2, 3, 7)},
    **{str(k): np.float32(k) for k in (0.5, 1.5, 2.0, 3.0)},
    "[-1, 5, 3]": np.array([-1, 5, 3]),
    "[0]": np.array([0]),
    "[1]": np.array([1]),
    "[2]": np.array([2]),
    "[-1]": np.array([-1]),
    "[1, 2]": np.array([1, 2]),
    "[2, 0, 0]": np.array([2, 0, 0]),
    "[[2], [0]]": np.array([[2], [0]]),
    "[3, 1]": np.array([3, 1]),
    "[2, 3]": np.array([2, 3]),
    "[1, 1, 1]": np.array([1, 1, 1]),
    "[9]": np.array([9]),
    "[9, 8]": np.array([9, 8]),
    "[true, false, true]": np.array([True, False, True]),
}
# Operator, inputs, attributes.
CASES = [
    ("Shape", ["x"], {"start": -2}),
    ("Shape", ["x"], {"start": 0, "end": -1}),
    ("Shape", ["s"], {}),
    ("Size", ["x"], {}),
    ("Size", ["s"], {}),
    ("Identity", ["s"], {}),
    ("Gather", ["s", "[2, 0, 0]"], {}),
    ("Gather", ["s", "-3"], {}),
    ("GatherElements", ["s", "[2, 0, 0]"], {}),
    ("GatherND", ["s", "[[2], [0]]"], {}),
    ("Concat", ["s", "[9]", "s"], {"axis": 0}),
    ("Slice", ["s", "[1]", "[9]"], {}),
    ("Slice", ["s", "[-1]", "[-1, 5, 3]", "[0]", "[-1]"], {}),
    ("Unsqueeze", ["n", "[0]"], {}),
    ("Squeeze", ["row", "[0]"], {}),
    ("Reshape", ["s", "[3, 1]"], {}),
    ("Flatten", ["row"], {"axis": 0}),
    ("Transpose", ["row"], {}),
    ("Expand", ["s", "[2, 3]"], {}),
    ("Tile", ["s", "[2]"], {}),
    ("Compress", ["s", "[true, false, true]"], {"axis": 0}),
    ("Split", ["s", "[1, 2]"], {"axis": 0}),
    ("ScatterElements", ["s", "[2]", "[9]"], {}),
    ("ScatterND", ["s", "[[2], [0]]", "[9, 8]"], {}),
    ("Where", ["s == [-1, 5, 3]", "[1, 1, 1]", "s"], {}),
    ("Where", ["n < m", "n", "7"], {}),
    ("Where", ["n < m", "n.0", "1.5"], {}),
    ("Where", ["n < m", "n < m", "s == [-1, 5, 3]"], {}),
    *((op, ["n", "m"], {}) for op in ("Add", "Sub", "Mul", "Min", "Max")),
    *((op, ["s", "[1, 1, 1]"], {}) for op in ("Add", "Sub", "Mul", "Div", "Min", "Max")),
    ("Min", ["n", "m", "7"], {}),
    ("Max", ["n", "m", "7"], {}),
    *(("Div", [a, b], {}) for a, b in (("n", "2"), ("7", "n"), ("n - m", "2"), ("n - m", "m"))),
    *(("Mod", [a, b], {}) for a, b in (("n", "2"), ("n", "m"), ("n - m", "3"))),
    ("Mod", ["n - m", "3"], {"fmod": 1}),
    ("Neg", ["n"], {}),
    ("Abs", ["n - m"], {}),
    ("Pow", ["n", "2"], {}),
    *(
        (op, [a, b], {})
        for op in ("Equal", "Less", "LessOrEqual", "Greater", "GreaterOrEqual")
        for a, b in (("n", "m"), ("n", "-3"), ("s", "[-1, 5, 3]"), ("n / 2", "1.5"))
    ),
    ("Not", ["n < m"], {}),
    ("And", ["n < m", "s == [-1, 5, 3]"], {}),
    ("Or", ["n < m", "s == [-1, 5, 3]"], {}),
    *((f"Reduce{op}", ["s"], {}) for op in ("Prod", "Sum", "Min", "Max")),
    ("ReduceProd", ["row", "[1]"], {"keepdims": 0}),
    ("ReduceSum", ["row", "[0]"], {}),
    ("ReduceSum", ["row"], {"noop_with_empty_axes": 1}),
    # floats, exact ones and rounded ones
    *((op, ["n.0", "m.0"], {}) for op in ("Add", "Sub", "Mul", "Min", "Max")),
    *((op, ["n / 2", b], {}) for op in ("Add", "Sub", "Mul") for b in ("m.0", "1.5", "n / 2")),
    ("Div", ["n / 2", "1.5"], {}),
    ("Div", ["s.0", "3.0"], {}),
    ("Pow", ["n / 2", "2.0"], {}),
    *((op, [a], {}) for op in ("Floor", "Ceil") for a in ("n / 2", "n / 3", "m - n / 2", "s.0")),
    ("Round", ["n.0"], {}),
    ("Neg", ["n / 3"], {}),
    ("Abs", ["m - n / 2"], {}),
    *(("Cast", [a], {"to": INT64}) for a in ("n / 2", "n / 3", "m - n / 2", "n < m")),
    *(("Cast", [a], {"to": TensorProto.INT32}) for a in ("s", "n / 2")),
    *(("Cast", [a], {"to": TensorProto.BOOL}) for a in ("n - m", "n / 2", "s")),
    *(("Cast", [a], {"to": TensorProto.DOUBLE}) for a in ("n / 2", "n < m")),
]  # fmt: skip
SIZES = [(1, 1), (2, 5), (5, 2), (6, 7), (7, 7)]


def _model(cases, opset=18):
    nodes, outputs = [], []
    for k, (operator, inputs, attributes) in enumerate(cases):
        names = [f"y{k}", f"z{k}"] if operator == "Split" else [f"y{k}"]
        nodes.append(node(operator, inputs, names, **attributes))
        outputs += [helper.make_tensor_value_info(n, TensorProto.UNDEFINED, None) for n in names]
    used = {name for n in [*GIVEN, *nodes] for name in n.input}
    graph = helper.make_graph(
        [*GIVEN, *nodes],
        "sizes",
        [helper.make_tensor_value_info("x", FLOAT, ("n", "m", 3))],
        outputs,
        [numpy_helper.from_array(np.asarray(v), k) for k, v in CONSTANTS.items() if k in used],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=9)


def _reference(model, x):
    return ReferenceEvaluator(model).run(None, {"x": x})


def test_every_operator_at_every_size():
    model = _model(CASES)
    compiled = quake_tvm.compile(model)
    for n, m in SIZES:
        x = np.zeros((n, m, 3), np.float32)
        names = [output.name for output in model.graph.output]
        for name, got, want in zip(names, compiled.run(x), _reference(model, x), strict=True):
            case = CASES[int(name[1:])]
            assert got.dtype == np.asarray(want).dtype, case
            np.testing.assert_array_equal(got, want, err_msg=f"{case} at {n}, {m}")


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case[0]} {' '.join(case[1])}")
def test_numbers_become_tensors_only_at_the_end(case):
    main = onnx_import.to_relax(_model([case]))["main"]
    found = {op_name(b.value) for block in main.body.blocks for b in block.bindings}
    made = {"shape_to_tensor", "astype", "reshape", "divide", "add", "logical_or"}
    assert {str(name).removeprefix("relax.") for name in found if name} <= made


def _branch(name, operator):
    body = [node(operator, ["x"], [f"{name}.y"])]
    return helper.make_graph(
        body, name, [], [helper.make_tensor_value_info(f"{name}.y", FLOAT, None)]
    )


def _conditional(condition):
    nodes = [
        node("Shape", ["x"], ["s"]),
        node("Gather", ["s", "0"], ["n"]),
        node(*condition, ["test"]),
        node(
            "If", ["test"], ["y"], then_branch=_branch("a", "Neg"), else_branch=_branch("b", "Abs")
        ),
    ]
    graph = helper.make_graph(
        nodes,
        "branches",
        [helper.make_tensor_value_info("x", FLOAT, ("n", 3))],
        [helper.make_tensor_value_info("y", FLOAT, None)],
        [numpy_helper.from_array(np.int64(k), str(k)) for k in (-1, 0, 2)],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)


def test_a_branch_that_no_extent_takes_is_not_imported():
    model = _conditional(("Equal", ["n", "-1"]))
    main = onnx_import.to_relax(model)["main"]
    (bindings,) = (block.bindings for block in main.body.blocks)
    assert {op_name(b.value) for b in bindings} == {"relax.abs"}


def test_extents_choose_a_branch():
    model = _conditional(("Less", ["n", "2"]))
    compiled = quake_tvm.compile(model)
    for n in (1, 2, 3):
        x = np.linspace(-1, 1, 3 * n, dtype=np.float32).reshape(n, 3)
        np.testing.assert_array_equal(compiled.run(x)[0], _reference(model, x)[0])


@pytest.mark.parametrize(
    ("case", "problem"),
    [
        (("Div", ["7", "n"], {}), "n >= 1, got n = 0"),
        (("Floor", ["n / 2"], {}), "n <= 16777216, got n = 16777217"),
    ],
    ids=["divisor", "float"],
)
def test_extents_for_which_numbers_are_not_known_are_refused(case, problem):
    compiled = quake_tvm.compile(_model([case]))
    n = int(problem.rpartition(" ")[2])
    with pytest.raises(quake_tvm.QuakeError, match=problem):
        compiled.run(np.broadcast_to(np.float32(0), (n, 0, 3)))


def test_a_float_that_is_not_exact_is_computed_at_run_time():
    model = _model([("Mul", ["n / 3", "3.0"], {}), ("Ceil", ["n / 3"], {})])
    compiled = quake_tvm.compile(model)
    for n in (1, 5, 7):
        x = np.zeros((n, 1, 3), np.float32)
        for got, want in zip(compiled.run(x), _reference(model, x), strict=True):
            np.testing.assert_array_equal(got, want)
