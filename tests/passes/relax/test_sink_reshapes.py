"""Reshapes and transposes move towards the result and cancel, if the shapes prove it correct."""

import numpy as np
import onnx
import pytest
import tvm
from onnx import TensorProto, helper
from tvm import relax

import quake_tvm
from quake_tvm.build import import_model
from quake_tvm.passes.relax.ops import call
from quake_tvm.passes.relax.pipeline import Pipeline
from quake_tvm.passes.relax.sink_reshapes import SinkReshapes
from quake_tvm.tvm_version import tir
from tests.helpers import Formula, c, module, once, run

RNG = np.random.default_rng(0)
W = RNG.normal(size=(8, 16)).astype(np.float32)
V = RNG.normal(size=(16, 8)).astype(np.float32)
BIAS = RNG.normal(size=16).astype(np.float32)
FULL = RNG.normal(size=(6, 16)).astype(np.float32)
X = (2, 3, 8)
op, nn = relax.op, relax.op.nn
reshape, matmul, permute_dims = op.reshape, op.matmul, op.permute_dims


def product(x: relax.Expr) -> relax.Expr:
    return matmul(x, relax.const(W))


def flat(x: relax.Expr) -> relax.Expr:
    """The rows of a batch as one dimension."""
    x = once(x)
    return reshape(x, (6, x.ty.shape[-1]))


def batched(x: relax.Expr) -> relax.Expr:
    x = once(x)
    return reshape(x, (2, 3, x.ty.shape[-1]))


def turned(x: relax.Expr) -> relax.Expr:
    return permute_dims(x, (1, 0, 2))


def quake(operator: str, x: relax.Expr, **attributes: float) -> relax.Call:
    return call(operator, x, method="quake2", ieee=True, source="", shape="", **attributes)


def check(before: Formula, after: Formula, *shapes: tuple) -> None:
    shapes = shapes or (X,)
    sunk = SinkReshapes()(module(before, *shapes))
    tvm.ir.assert_structural_equal(sunk, module(after, *shapes))
    tvm.ir.assert_structural_equal(SinkReshapes()(sunk), sunk)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        pytest.param(
            lambda x: product(flat(x)),
            lambda x: flat(product(x)),
            id="product",
        ),
        pytest.param(
            lambda x: batched(product(flat(x))),
            product,
            id="product_meets_its_inverse",
        ),
        pytest.param(
            lambda x: product(op.expand_dims(x, 0)),
            lambda x: reshape(product(x), (1, 2, 3, 16)),
            id="expand_dims",
        ),
        pytest.param(
            lambda x: nn.relu(flat(product(x))),
            lambda x: flat(nn.relu(product(x))),
            id="unary",
        ),
        pytest.param(
            lambda x: quake("gelu", flat(product(x))),
            lambda x: flat(quake("gelu", product(x))),
            id="quake",
        ),
        pytest.param(
            lambda x: op.clip(reshape(product(x), (3, 32)), 0, 6),
            lambda x: reshape(op.clip(product(x), 0, 6), (3, 32)),
            id="unary_of_any_rows",
        ),
        pytest.param(
            lambda x: c(2) * reshape(product(x), (3, 32)),
            lambda x: reshape(c(2) * product(x), (3, 32)),
            id="scalar",
        ),
        pytest.param(
            lambda x: relax.const(BIAS) + flat(product(x)),
            lambda x: flat(relax.const(BIAS) + product(x)),
            id="bias",
        ),
        pytest.param(
            lambda x: op.squeeze(product(op.expand_dims(x, 0)), 0) + relax.const(BIAS[None]),
            lambda x: product(x) + relax.const(BIAS[None]),
            id="bias_of_rank_two",
        ),
        pytest.param(
            lambda x: flat(product(x)) * relax.const(FULL),
            lambda x: flat(product(x) * relax.const(FULL.reshape(2, 3, 16))),
            id="constant_of_full_shape",
        ),
        pytest.param(
            lambda x: reshape(product(x), (1, 6, 16)) + relax.const(BIAS[None, None]),
            lambda x: reshape(product(x) + relax.const(BIAS[None, None]), (1, 6, 16)),
            id="bias_of_full_rank",
        ),
        pytest.param(
            lambda x: (h := once(flat(product(x)))) * nn.silu(h),
            lambda x: flat((h := once(product(x))) * nn.silu(h)),
            id="both_sides",
        ),
        pytest.param(
            lambda x: batched(flat(matmul(product(x), relax.const(V))) + flat(x)),
            lambda x: matmul(product(x), relax.const(V)) + x,
            id="residual",
        ),
        pytest.param(
            lambda x: reshape(reshape(product(x), (3, 32)), (4, 24)),
            lambda x: reshape(product(x), (4, 24)),
            id="reshape_of_reshape",
        ),
        pytest.param(
            lambda x: nn.relu(batched(product(flat(reshape(x, X))))),
            lambda x: nn.relu(product(x)),
            id="same_shape",
        ),
        pytest.param(
            lambda x: nn.relu(turned(product(x))),
            lambda x: turned(nn.relu(product(x))),
            id="transpose",
        ),
        pytest.param(
            lambda x: turned(turned(product(x)) + relax.const(BIAS)),
            lambda x: product(x) + relax.const(BIAS),
            id="transposes_cancel",
        ),
        pytest.param(
            lambda x: permute_dims(permute_dims(product(x), (1, 2, 0)), (1, 0, 2)),
            lambda x: permute_dims(product(x), (2, 1, 0)),
            id="transpose_of_transpose",
        ),
        pytest.param(
            lambda x: permute_dims(product(x), (2, 0, 1)) * relax.const(FULL.reshape(16, 2, 3)),
            lambda x: permute_dims(
                product(x) * relax.const(FULL.reshape(16, 2, 3).transpose(1, 2, 0)), (2, 0, 1)
            ),
            id="transpose_and_constant",
        ),
        pytest.param(
            lambda x: turned(product(x)) + turned(product(x)),
            lambda x: turned(product(x) + product(x)),
            id="transposes_alike",
        ),
        pytest.param(
            lambda x: matmul(x, permute_dims(relax.const(V[:, :8]))),
            lambda x: matmul(x, relax.const(np.ascontiguousarray(V[:, :8].T))),
            id="transposed_weight",
        ),
        pytest.param(
            lambda x: matmul(x, op.broadcast_to(permute_dims(relax.const(V)), (2, 8, 16))),
            lambda x: matmul(x, relax.const(np.ascontiguousarray(V.T))),
            id="weight_of_a_batch",
        ),
    ],
)
def test_sinks(before, after):
    check(before, after, X)


@pytest.mark.parametrize(
    ("formula", "shape"),
    [
        pytest.param(product, X, id="nothing_to_move"),
        pytest.param(lambda x: product(reshape(x, (6, 8))), (3, 16), id="rows_change"),
        pytest.param(lambda x: product(turned(x)), X, id="transpose_in_front"),
        pytest.param(lambda x: product(reshape(x, (1, 8))), (8,), id="vector"),
        pytest.param(
            lambda x: matmul(reshape(x, (6, 1, 8)), op.ones((6, 8, 4), "float32")),
            X,
            id="batch_of_weights",
        ),
        pytest.param(lambda x: nn.softmax(flat(product(x))), X, id="not_elementwise"),
        pytest.param(lambda x: (product(x), nn.relu(flat(x))), X, id="no_epilogue"),
        pytest.param(
            lambda x: reshape(product(x), (3, 32)) + relax.const(np.tile(BIAS, 2)),
            X,
            id="bias_of_other_rows",
        ),
        pytest.param(
            lambda x: permute_dims(product(x), (0, 2, 1)) + relax.const(BIAS[:3]),
            X,
            id="bias_of_turned_rows",
        ),
        pytest.param(lambda x: flat(product(x)) + op.ones((6, 1), "float32"), X, id="column"),
        pytest.param(lambda x: flat(product(x)) + op.ones((6, 16), "float32"), X, id="full"),
        pytest.param(
            lambda x: reshape(product(x), (1, 6, 16)) + op.ones((4, 1, 1), "float32"),
            X,
            id="spreads",
        ),
        pytest.param(lambda x: nn.relu(flat(x)), X, id="no_product"),
    ],
)
def test_stays(formula, shape):
    check(formula, formula, shape)


def test_symbolic_shapes():
    b, n = tir.Var("b", "int64"), tir.Var("n", "int64")

    def before(x):
        rows = once(product(reshape(x, (b * n, 8))))
        active = nn.gelu(reshape(rows + relax.const(BIAS), (b, n, 16)))
        return reshape(matmul(reshape(active, (b * n, 16)), relax.const(V)), (b, n, 8)) + x

    def after(x):
        return matmul(nn.gelu(product(x) + relax.const(BIAS)), relax.const(V)) + x

    check(before, after, (b, n, 8))


def test_unprovable_shapes_stay():
    b, n = tir.Var("b", "int64"), tir.Var("n", "int64")
    m = tir.Var("m", "int64")
    check(
        lambda x, y: reshape(product(x), (b, n, 16)) + y,
        lambda x, y: reshape(product(x), (b, n, 16)) + y,
        (m, 8),
        (b, n, 16),
    )


def linears(x: relax.Expr) -> relax.Expr:
    """Linear, GELU, Linear and residual over a batch, in torch.export's form."""
    first = matmul(flat(x), permute_dims(relax.const(np.ascontiguousarray(W.T))))
    active = nn.gelu(batched(relax.const(BIAS) + first))
    second = matmul(flat(active), permute_dims(relax.const(np.ascontiguousarray(V.T))))
    return x + batched(relax.const(BIAS[:8]) + second)


@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_other_dtypes(dtype):
    x = RNG.normal(size=X).astype(dtype)
    mod = module(
        lambda x: batched(
            nn.relu(matmul(flat(x), permute_dims(relax.const(W.T.astype(dtype), dtype))))
        ),
        X,
        dtype=dtype,
    )
    np.testing.assert_array_equal(run(SinkReshapes()(mod), x), run(mod, x))


@pytest.mark.parametrize("method", ["exact", "quake2", "quake5"])
def test_bits_are_kept(method):
    x = RNG.normal(size=X).astype(np.float32)
    mod = module(lambda x: nn.softmax(batched(once(flat(linears(x))) / c(8))), X)
    without = run(quake_tvm.QuAKE(method)(mod), x)
    executable = tvm.compile(
        mod, quake_tvm.target(), relax_pipeline=quake_tvm.pipeline("native", method=method)
    )
    machine = relax.VirtualMachine(executable, tvm.cpu())
    np.testing.assert_array_equal(machine["main"](tvm.runtime.tensor(x)).numpy(), without)
    np.testing.assert_array_equal(quake_tvm.compile(mod, method=method).run(x)[0], without)


def kernels(mod: tvm.IRModule) -> set[str]:
    """The names of the kernels after scheduling."""
    native = quake_tvm.target("native")
    with native:
        mod = Pipeline.of(native, method="quake2").upto("schedule")(mod)
    return {name.name_hint for name, f in mod.functions_items() if isinstance(f, tir.PrimFunc)}


def test_pipeline_has_a_kernel_for_each_linear_layer():
    assert kernels(module(linears, X)) == {"fused_matmul_add_quake_gelu", "fused_matmul1_add1_add2"}


def test_onnx():
    nodes = [
        helper.make_node("Reshape", ["x", "rows"], ["r"]),
        helper.make_node("Gemm", ["r", "w", "bias"], ["h"], transB=1),
        helper.make_node("Reshape", ["h", "batch"], ["u"]),
        helper.make_node("Gelu", ["u"], ["g"]),
        helper.make_node("MatMul", ["g", "v"], ["p"]),
        helper.make_node("Reshape", ["p", "rows"], ["q"]),
        helper.make_node("Sigmoid", ["q"], ["s"]),
        helper.make_node("Reshape", ["s", "shape"], ["t"]),
        helper.make_node("Add", ["x", "t"], ["y"]),
    ]
    constants = {
        "w": W.T, "v": V, "bias": BIAS, "rows": np.array([6, -1]), "batch": np.array([2, 3, 16]),
        "shape": np.array(X),
    }  # fmt: skip
    graph = helper.make_graph(
        nodes,
        "linears",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, X)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, X)],
        [onnx.numpy_helper.from_array(np.ascontiguousarray(v), k) for k, v in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)])
    assert kernels(import_model(model)) == {
        "fused_matmul_add_quake_gelu",
        "fused_matmul1_quake_sigmoid_add1",
    }


@pytest.mark.parametrize("dynamic", [False, True], ids=["static", "dynamic"])
def test_torch(dynamic):
    torch = pytest.importorskip("torch")

    class Block(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.wide, self.narrow = torch.nn.Linear(32, 96), torch.nn.Linear(96, 32)
            self.norm = torch.nn.LayerNorm(32)

        def forward(self, x):
            return self.norm(x + self.narrow(torch.nn.functional.gelu(self.wide(x))))

    block, x = Block().eval(), torch.randn(3, 10, 32)
    shapes = ({k: torch.export.Dim(name, min=2, max=64) for k, name in enumerate("bs")},)
    program = torch.export.export(block, (x,), dynamic_shapes=shapes if dynamic else None)
    assert kernels(import_model(program)) == {
        "fused_matmul_add_quake_gelu",
        "fused_matmul1_add1_add2",
        "layer_norm",
    }
    (y,) = quake_tvm.compile(program, method="quake5").run(x.numpy())
    np.testing.assert_allclose(y, block(x).detach().numpy(), atol=1e-5)
