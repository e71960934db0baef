"""Dynamic reshapes are views in the module, and models with them agree with ONNX Runtime."""

import numpy as np
import onnxruntime as ort
import pytest
import tvm
from tvm import relax, tirx

import quake_tvm
from quake_tvm.errors import QuakeError
from quake_tvm.passes.relax.legalize import orderly
from quake_tvm.passes.relax.legalize_reshape import RULES
from tests.helpers import module
from tests.onnx_models import model, node

op, nn = relax.op, relax.op.nn
N, C, H, W = (tirx.Var(name, "int64") for name in "nchw")
# Sizes of images, with extents of 0 and 1.
SIZES = [(2, 8, 8, 12), (1, 4, 4, 4), (3, 4, 12, 8), (0, 4, 4, 4), (2, 0, 4, 8), (2, 4, 0, 4)]
SIZES += [(2, 4, 4, 0), (0, 0, 0, 0)]


def legalized(mod):
    return relax.transform.LegalizeOps(orderly(RULES))(mod)


def test_symbolic_sizes_stay():
    before = module(lambda x: op.flatten(op.reshape(x, (N * C, 2, 3))), (N, C, 6))
    expected = module(
        lambda x: op.reshape(op.reshape(x, (N * C, 2, 3)), (N * C * 2 * 3,)), (N, C, 6)
    )
    tvm.ir.assert_structural_equal(legalized(before), expected)


def test_known_sizes_are_kernels():
    mod = module(lambda x: op.flatten(op.reshape(x, (3, 2))), (2, 3))
    tvm.ir.assert_structural_equal(legalized(mod), relax.transform.LegalizeOps()(mod))


SPACE = {"x": ("n", "c", "h", "w")}


@pytest.mark.parametrize(
    "nodes",
    [
        [node("SpaceToDepth", "x", "y", blocksize=2)],
        [node("DepthToSpace", "x", "y", blocksize=2, mode="DCR")],
        [node("DepthToSpace", "x", "y", blocksize=2, mode="CRD")],
        [
            node("SpaceToDepth", "x", "deep", blocksize=2),
            node("Sigmoid", "deep", "gate"),
            node("DepthToSpace", "gate", "y", blocksize=2),
        ],
        [node("Flatten", "x", "flat", axis=3), node("Transpose", "flat", "y", perm=[1, 0])],
    ],
    ids=["space to depth", "columns first", "depth first", "there and back", "flatten"],
)
def test_onnx(nodes):
    onnx_model = model(nodes, SPACE)
    session = ort.InferenceSession(onnx_model.SerializeToString())
    compiled = quake_tvm.compile(onnx_model, method="exact")
    for sizes in SIZES:
        x = np.random.default_rng(0).normal(size=sizes).astype(np.float32)
        (wanted,) = session.run(None, {"x": x})
        (got,) = compiled.run(x)
        assert got.shape == wanted.shape
        np.testing.assert_allclose(got, wanted, rtol=1e-6, atol=1e-6)
    if nodes[0].op_type != "Flatten":
        with pytest.raises(QuakeError, match=r"reshape: .* elements"):
            compiled.run(np.ones((1, 1, 1, 1), np.float32))


def shuffle(x):
    """Interleave the channels of two groups."""
    groups = op.permute_dims(op.reshape(x, [N, 2, C // 2, H, W]), [0, 2, 1, 3, 4])
    return op.reshape(groups, [N, C // 2 * 2, H, W])


def windows(x):
    """Windows of four by four, as in Swin."""
    parts = op.reshape(x, [N, C, H // 4, 4, W // 4, 4])
    return op.reshape(op.permute_dims(parts, [0, 2, 4, 3, 5, 1]), [N * (H // 4) * (W // 4), 16, C])


def merged(x):
    """Two by two pixels of an image become channels."""
    parts = op.permute_dims(op.reshape(x, [N, C, H // 2, 2, W // 2, 2]), [0, 2, 4, 5, 3, 1])
    return nn.relu(op.reshape(parts, [N, (H // 2) * (W // 2), C * 4]))


def groups(x):
    """Groups with their mean subtracted."""
    parts = op.reshape(x, [N, 4, C // 4, H, W])
    return op.reshape(parts - op.mean(parts, [2, 3, 4], keepdims=True), [N, C, H, W])


def turned(x):
    """Sizes that are known to fit, but TVM cannot see that the kernel is a copy."""
    flat = op.reshape(op.permute_dims(x, [2, 3, 0, 1]), [H * W, N * C])
    return op.reshape(op.permute_dims(flat, [1, 0]), [C * N, W, H])


@pytest.mark.parametrize("formula", [shuffle, windows, merged, groups, turned])
def test_sizes_of_a_run(formula):
    mod = module(formula, (N, C, H, W))
    compiled = quake_tvm.compile(mod, method="exact")
    for sizes in SIZES:
        x = np.random.default_rng(1).normal(size=sizes).astype(np.float32)
        known = relax.transform.BindSymbolicVars(dict(zip((N, C, H, W), sizes, strict=True)))(mod)
        (wanted,) = quake_tvm.compile(known, method="exact").run(x)
        (got,) = compiled.run(x)
        assert got.shape == wanted.shape
        np.testing.assert_allclose(got, wanted, rtol=1e-6, atol=1e-6)


def test_memory_of_views():
    """A view of an input, two views of one tensor, and one that outlives its source."""

    def formula(x):
        builder = relax.BlockBuilder.current()
        y = builder.emit(nn.relu(x))
        one, two = op.reshape(y, [N * C]), op.reshape(y, [C, N])
        late = builder.emit(op.reshape(builder.emit(op.add(x, x)), [C, N]))
        for _ in range(3):
            y = builder.emit(op.exp(builder.emit(op.permute_dims(y, [1, 0]))))
        return op.reshape(x, [C, N]), one, two, op.add(late, two), y

    compiled = quake_tvm.compile(module(formula, (N, C)), method="exact")
    x = np.random.default_rng(2).normal(size=(5, 7)).astype(np.float32)
    kept = x.copy()
    copy, one, two, summed, _ = compiled.run(x)
    copy[...] = 0
    one[...] = 0
    np.testing.assert_array_equal(x, kept)
    np.testing.assert_array_equal(two, np.maximum(x, 0).reshape(7, 5))
    np.testing.assert_array_equal(summed, (x + x).reshape(7, 5) + two)


@pytest.mark.parametrize("after", [lambda x: x, nn.relu], ids=["view", "kernel"])
def test_negative_sizes(after):
    """The product of negative sizes may equal the number of elements."""
    mod = module(lambda x: after(op.reshape(x, [N - 3, C - 3])), (N, C))
    with pytest.raises(QuakeError):
        quake_tvm.compile(mod, method="exact").run(np.ones((1, 2), np.float32))
