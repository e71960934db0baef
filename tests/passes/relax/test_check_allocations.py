import numpy as np
import onnx
import pytest
import tvm
from onnx import TensorProto, helper
from tvm.script import ir as I
from tvm.script import relax as R
from tvm.script import tirx as T

import quake_tvm
from quake_tvm import QuakeError
from quake_tvm.passes.relax.check_allocations import MOST, CheckAllocations, _factors

INT64 = TensorProto.INT64
FLOAT = TensorProto.FLOAT


def model_of(inputs, nodes, outputs):
    values = [helper.make_tensor_value_info(n, t, s) for n, (t, s) in inputs.items()]
    results = [helper.make_tensor_value_info(n, FLOAT, s) for n, s in outputs.items()]
    graph = helper.make_graph(nodes, "sizes", values, results)
    return helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=onnx.IR_VERSION_2023_5_5
    )


@pytest.fixture(scope="module")
def model():
    """A model whose outputs have shapes that are computed from the data or from input shapes."""
    inputs = {
        "one": (FLOAT, [1, 1]),
        "wide": (INT64, [2]),
        "times": (INT64, [2]),
        "end": (FLOAT, []),
        "a": (FLOAT, ["n", "k"]),
        "b": (FLOAT, ["k", "m"]),
    }
    nodes = [
        helper.make_node("Expand", ["one", "wide"], ["expanded"]),
        helper.make_node("Tile", ["one", "times"], ["tiled"]),
        helper.make_node("Constant", [], ["start"], value_float=0.0),
        helper.make_node("Constant", [], ["step"], value_float=1.0),
        helper.make_node("Range", ["start", "end", "step"], ["counted"]),
        helper.make_node("MatMul", ["a", "b"], ["product"]),
    ]
    outputs = {"expanded": [None, None], "tiled": [None, None], "counted": [None]}
    return quake_tvm.compile(model_of(inputs, nodes, outputs | {"product": ["n", "m"]}))


def given(n=2, m=3, **changed):
    values = {"wide": np.int64([2, 3]), "times": np.int64([2, 3]), "end": np.float32(4)}
    operands = {"a": np.ones((n, 0), np.float32), "b": np.ones((0, m), np.float32)}
    return {"one": np.ones((1, 1), np.float32), **values, **operands, **changed}


def test_sizes_that_can_be(model):
    expanded, tiled, counted, product = model.run(given())
    np.testing.assert_array_equal(expanded, np.ones((2, 3)))
    np.testing.assert_array_equal(tiled, np.ones((2, 3)))
    np.testing.assert_array_equal(counted, np.arange(4))
    np.testing.assert_array_equal(product, np.zeros((2, 3)))
    nothing = model.run(given(wide=np.int64([0, 3]), times=np.int64([3, 0]), end=np.float32(-1)))
    assert [o.shape for o in nothing[:3]] == [(0, 3), (3, 0), (0,)]


@pytest.mark.parametrize("name", ["wide", "times"])
@pytest.mark.parametrize(
    "sizes",
    # In 64 bits the byte counts of the first three wrap to 0 or a small number. Two others
    # multiply to 6.
    [(2**31, 2**31), (2**32, 2**30), (2**62, 4), (2**20, 2**21), (-2, -3), (-1, 6), (2**63 - 1, 2)],
)
def test_sizes_from_data_that_cannot_be(model, name, sizes):
    problem = "a size is negative" if min(sizes) < 0 else r"multiply to more than 2\^40"
    with pytest.raises(QuakeError, match=rf"^a tensor of computed shape \(.*\): .*{problem}$"):
        model.run(given(**{name: np.int64(sizes)}))


@pytest.mark.parametrize("end", [np.inf, np.nan, 1e30, 2.0**41])
def test_a_range_that_cannot_be(model, end):
    with pytest.raises(QuakeError, match=r"^Range: .* more than 2\^40 elements$"):
        model.run(given(end=np.float32(end)))


@pytest.mark.parametrize(("n", "m"), [(2**31, 2**31), (2**32, 2**30), (2**20, 2**21)])
def test_operands_without_elements_whose_product_cannot_be(model, n, m):
    with pytest.raises(QuakeError, match=r"shape \(n, m\): its sizes multiply to more than 2\^40$"):
        model.run(given(n, m))


def test_an_exported_library_checks_too(model, tmp_path):
    loaded = quake_tvm.load(model.export(tmp_path / "model.so"))
    with pytest.raises(QuakeError, match=r"multiply to more than"):
        loaded.run(given(wide=np.int64([2**31, 2**31])))


def test_one_call_for_the_sizes_of_a_place():
    @I.ir_module
    class Before:
        @T.prim_func(private=True, s_tir=True)
        def fill(out: T.handle):
            n, m = T.int64(), T.int64()
            filled = T.match_buffer(out, (n, m), "float32")
            wide = T.sblock_alloc_buffer((n, m * T.int64(8)), "float32")
            held = T.sblock_alloc_buffer((n, m * T.int64(16)), "float32", scope="local")
            for i, j in T.grid(n, m):
                with T.sblock("fill"):
                    vi, vj = T.axis.remap("SS", [i, j])
                    wide[vi, vj * 8] = T.float32(1)
                    held[vi, vj * 16] = wide[vi, vj * 8]
                    filled[vi, vj] = held[vi, vj * 16]

        @R.function
        def main(x: R.Tensor(("n", 2), "float32"), s: R.Tensor((1,), "int64")):
            R.func_attr({"relax.force_pure": True})
            n, m = T.int64(), T.int64()
            cls = Before
            first = R.builtin.alloc_tensor(R.shape([n, 2]), R.dtype("float32"), 0, R.str("global"))
            shape: R.Shape(ndim=1) = R.tensor_to_shape(s)
            _: R.Shape([m]) = R.match_cast(shape, R.Shape([m]))
            last = R.builtin.alloc_tensor(R.shape([n, m]), R.dtype("float32"), 0, R.str("global"))
            cls.fill(last)
            return first, last

    after = CheckAllocations()(Before)
    bindings = after["main"].body.blocks[0].bindings
    calls = [(k, b.value) for k, b in enumerate(bindings) if is_check(after, b.value)]
    assert [(k, [str(a) for a in call.args]) for k, call in calls] == [(0, ["n"]), (4, ["m", "n"])]
    # Of (n, m) and the kernel's own (n, 8m), the pass holds the second. Registers do not count.
    assert "(n, m * 8)" in after[calls[1][1].op].script()
    assert f"{float(MOST)}" in after[calls[1][1].op].script()
    tvm.ir.assert_structural_equal(after["fill"], Before["fill"])


def is_check(mod, value):
    called = isinstance(value, tvm.relax.Call) and isinstance(value.op, tvm.ir.GlobalVar)
    return called and value.op.name_hint.startswith("check_allocations")


def test_known_sizes_are_not_looked_at():
    @I.ir_module
    class Static:
        @R.function
        def main(x: R.Tensor((3, 2), "float32")):
            R.func_attr({"relax.force_pure": True})
            return R.builtin.alloc_tensor(R.shape([3, 2]), R.dtype("float32"), 0, R.str("global"))

    tvm.ir.assert_structural_equal(CheckAllocations()(Static), Static)


def test_a_branch_is_checked_when_it_is_taken():
    """In the other branch a tensor would have a negative size."""
    body = {}
    for name, size in (("then", "less"), ("else", "more")):
        value = helper.make_tensor_value_info(name, FLOAT, [None])
        node = helper.make_node("Expand", ["x", size], [name])
        body[f"{name}_branch"] = helper.make_graph([node], name, [], [value])
    inputs = {"x": (FLOAT, [1]), "less": (INT64, [1]), "more": (INT64, [1])}
    node = helper.make_node("If", ["c"], ["y"], **body)
    model = quake_tvm.compile(
        model_of(inputs | {"c": (TensorProto.BOOL, [])}, [node], {"y": [None]})
    )
    inputs = {"x": np.ones(1, np.float32), "less": np.int64([-1]), "more": np.int64([4])}
    np.testing.assert_array_equal(model.run({**inputs, "c": np.bool_(False)})[0], np.ones(4))
    with pytest.raises(QuakeError, match="negative"):
        model.run({**inputs, "c": np.bool_(True)})


def test_a_size_with_a_negative_factor():
    """The size is the number of elements between two indices, with its sign reversed."""
    n, m = tvm.tirx.Var("n", "int64"), tvm.tirx.Var("m", "int64")
    assert list(map(str, _factors([(n - m) * -1])[1])) == ["(n - m) * T.int64(-1)"]
    assert _factors([n * 3, m, 0])[0] == 3
