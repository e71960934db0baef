"""Rewrites compared with the standard's formulas and at several sizes; their errors."""

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper

import quake_tvm
from quake_tvm import QuakeError
from quake_tvm.importers.onnx.rewrites import rewrite

from .cases.case import K, c, f, i, model_of
from .cases.fused import ms
from .models import constant, make


def run(node, **inputs):
    infos = [
        helper.make_tensor_value_info(n, TensorProto.FLOAT, x.shape) for n, x in inputs.items()
    ]
    output = helper.make_tensor_value_info("y", TensorProto.FLOAT, None)
    graph = helper.make_graph([node], "graph", infos, [output])
    opset = [helper.make_opsetid("", 18)]
    model = helper.make_model(graph, opset_imports=opset, ir_version=10)
    return quake_tvm.compile(model, method="exact").run(inputs)[0]


def test_equal_elements_have_no_variance():
    x = np.random.default_rng(0).normal(size=(50, 1, 1, 1)).astype("float32")
    node = helper.make_node("MeanVarianceNormalization", ["x"], ["y"], axes=[1, 2, 3])
    np.testing.assert_array_equal(run(node, x=x), np.zeros_like(x))


def test_alpha_scales_the_product():
    a, b = np.array([[1.5e38, 1]], "float32"), np.array([[0.25], [1]], "float32")
    c = np.array([2], "float32")
    node = helper.make_node("Gemm", ["a", "b", "c"], ["y"], alpha=4.0, beta=0.5)
    np.testing.assert_allclose(run(node, a=a, b=b, c=c), [[1.5e38]], rtol=1e-6)


def test_beta_of_nothing_leaves_it_out():
    a, b, c = np.ones((2, 3), "float32"), np.ones((3, 2), "float32"), np.full(2, np.nan, "float32")
    for alpha in (1.0, 0.5):
        node = helper.make_node("Gemm", ["a", "b", "c"], ["y"], alpha=alpha, beta=0.0)
        np.testing.assert_array_equal(run(node, a=a, b=b, c=c), np.full((2, 2), 3 * alpha))


def test_branches_of_different_ranks():
    """The types of their results are not inferred alone, in which onnx would end the process."""
    results = {
        "then_branch": helper.make_node("EyeLike", ["x"], ["t"], dtype=TensorProto.INT64),
        "else_branch": helper.make_node("Neg", ["v"], ["t"]),
    }
    branches = {
        name: helper.make_graph([result], name, [], [onnx.ValueInfoProto(name="t")])
        for name, result in results.items()
    }
    nodes = [helper.make_node("If", ["c"], ["y"], **branches)]
    model = make(nodes, {"x": [2, 3], "v": [4]}, {"y": None})
    model.graph.input.append(helper.make_tensor_value_info("c", TensorProto.BOOL, []))
    assert [node.op_type for node in rewrite(model).graph.node] == ["If"]


def test_weights_of_norms_broadcast_over_symbolic_extents():
    rng = np.random.default_rng(0)
    shapes = {"last": (8,), "one": (1,), "first": (3, 1, 1), "both": (3, 1, 8)}
    weights = [constant(rng.normal(size=s).astype("f4"), name) for name, s in shapes.items()]
    nodes = [
        helper.make_node(f"{kind}Normalization", ["x", name], [f"{kind}_{name}"], axis=1)
        for kind in ("Layer", "RMS")
        for name in shapes
    ]
    outputs = dict.fromkeys(n.output[0] for n in nodes)
    model = make(nodes, {"x": ["b", 3, "s", 8]}, outputs, weights, opset=23)
    session = onnxruntime.InferenceSession(model.SerializeToString())
    compiled = quake_tvm.compile(model, method="exact")
    for b, s in ((2, 4), (1, 1)):
        x = rng.normal(size=(b, 3, s, 8)).astype("f4")
        for q, y in zip(compiled.run(x), session.run(None, {"x": x}), strict=True):
            np.testing.assert_allclose(q, y, 1e-5, 1e-5)


@pytest.mark.parametrize(("name", "said"), [("fused", "node 'fused'"), ("", "the node of 'y'")])
def test_errors_name_the_node(name, said):
    options = {"domain": "com.microsoft", "activation": "Gelu", "name": name}
    conv = helper.make_node("FusedConv", ["x", "w"], ["y"], **options)
    w = constant(np.ones((2, 2, 1, 1), "f4"), "w")
    model = make([conv], {"x": [1, 2, 3, 3]}, {"y": None}, [w], domains=["com.microsoft"])
    with pytest.raises(QuakeError, match=rf"'Gelu' is not supported: .* \({said}\)$"):
        quake_tvm.compile(model)


@pytest.mark.parametrize("last", [0, 1])
@pytest.mark.parametrize("activation", [0, 1])
def test_group_norms(last, activation):
    """ONNX Runtime has no kernel for CPUs: the definition in float64."""
    x, gamma, beta, bias = f(2, 4, 4, 4), f(4), f(4), f(4)
    options = {"groups": 2, "epsilon": 0.01, "channels_last": last, "activation": activation}
    options["domain"] = "com.microsoft"

    def norm(x):
        first = x.transpose(0, 3, 1, 2) if last else x
        rows = first.reshape(2, 2, -1).astype(np.float64)
        rows -= rows.mean(-1, keepdims=True)
        y = (rows / np.sqrt(rows.var(-1, keepdims=True) + 0.01)).reshape(first.shape)
        y = y * gamma[:, None, None] + beta[:, None, None]
        y = y / (1 + np.exp(-y)) if activation else y
        return y.transpose(0, 2, 3, 1) if last else y

    def channels(v):
        return v[..., None, None, :] if last else v[..., None, None]

    skips = [f(2, 4, 4, 4), f(2, 4)] + [channels(f(2, 4))] * last
    cases = [c("GroupNorm", x, K(gamma), K(beta), **options)]
    wanted = [norm(x)]
    for skip in skips:
        given = [x, K(gamma), K(beta), skip, K(bias)]
        cases.append(c("SkipGroupNorm", *given, outputs=2, **options))
        total = x + (skip if skip.ndim == 4 else channels(skip)) + channels(bias)
        wanted += [norm(total), total]
    model, feeds = model_of(cases, 18)
    for q, y in zip(quake_tvm.compile(model, method="exact").run(feeds), wanted, strict=True):
        np.testing.assert_allclose(q, y, 1e-5, 1e-5)


def test_packed_heads_are_heads_apart():
    options = {"domain": "com.microsoft", "num_heads": 2}
    packed, pair = f(2, 3, 2, 3, 4), f(2, 5, 2, 2, 4)
    q, k, v = (packed[:, :, :, n].reshape(2, 3, 8) for n in range(3))
    keys, values = (pair[:, :, :, n].reshape(2, 5, 8) for n in range(2))
    bias, past = K(f(24)), [None, None, f(2, 2, 4, 4), f(2, 2, 4, 4)]
    heads = [
        [c("MultiHeadAttention", packed, **options), c("MultiHeadAttention", q, k, v, **options)],
        [
            c("MultiHeadAttention", q, pair, **options),
            c("MultiHeadAttention", q, keys, values, **options),
        ],
        [
            c("MultiHeadAttention", packed, None, None, bias, *past, outputs=3, **options),
            c("MultiHeadAttention", q, k, v, bias, *past, outputs=3, **options),
        ],
    ]
    for pair_of_cases in heads:
        one, other = (
            quake_tvm.compile(model, method="exact").run(feeds)
            for model, feeds in (model_of([case], 17) for case in pair_of_cases)
        )
        for a, b in zip(one, other, strict=True):
            np.testing.assert_array_equal(a, b)


def generator():
    """A step of a generator: the lengths follow from a mask."""
    nodes = [
        helper.make_node("ReduceSum", ["mask", "one"], ["counts"], keepdims=0),
        helper.make_node("Sub", ["counts", "one"], ["last"]),
        helper.make_node("Cast", ["last"], ["lengths"], to=TensorProto.INT32),
        helper.make_node("Shape", ["mask"], ["shape"]),
        helper.make_node("Gather", ["shape", "one"], ["total"]),
        helper.make_node("Cast", ["total"], ["total32"], to=TensorProto.INT32),
        helper.make_node(
            "GroupQueryAttention",
            ["qkv", "", "", "past_k", "past_v", "lengths", "total32", "cos", "sin"],
            ["y", "k", "v"],
            domain="com.microsoft",
            num_heads=4,
            kv_num_heads=2,
            do_rotary=1,
        ),
    ]
    past = ["batch", 2, "past", 16]
    shapes = {"qkv": ["batch", "new", 128], "past_k": past, "past_v": past}
    tables = [constant(f(20, 8), name) for name in ("cos", "sin")]
    constants = [*tables, constant(np.array([1]), "one")]
    outputs = dict.fromkeys(["y", "k", "v"])
    model = make(nodes, shapes, outputs, constants, domains=["com.microsoft"])
    model.graph.input.append(
        helper.make_tensor_value_info("mask", TensorProto.INT64, ["batch", "total"])
    )
    return model


def test_one_build_for_the_prompt_and_for_each_token():
    model = generator()
    session = onnxruntime.InferenceSession(model.SerializeToString())
    compiled = quake_tvm.compile(model, method="exact")
    for batch, past, new, counts in ((2, 0, 6, [6, 6]), (2, 4, 1, [5, 4]), (1, 3, 2, [5])):
        mask = (np.arange(past + new) < np.array(counts)[:, None]).astype(np.int64)
        cache = (batch, 2, past, 16)
        feeds = {"qkv": f(batch, new, 128), "past_k": f(*cache), "past_v": f(*cache), "mask": mask}
        for q, y in zip(compiled.run(feeds), session.run(None, feeds), strict=True):
            np.testing.assert_allclose(q, y, 1e-5, 1e-5)


@pytest.mark.parametrize(
    ("case", "said"),
    [
        (
            ms("Attention", f(2, 3, 8), K(f(8, 24)), K(f(24)), i(5, dtype="int32"), num_heads=2),
            r"has 5 numbers for a batch of 2: give 2 lengths, or 2 ends and 2 starts, or a mask",
        ),
        (
            ms("Attention", f(2, 3, 8), K(f(8, 24)), K(f(24)), i(2, 1, 3, 3), num_heads=2),
            r"the mask 'c0_x3' of rank 4 must be \(batch,\), \(batch, keys\) or",
        ),
        (
            ms("MatMulNBits", f(3, 32), K(i(4, 2, 8, low=0, dtype="uint8")), K(f(8)),
              K(i(4, low=0, dtype="uint8")), K(i(32, low=0, high=2)), K=32, N=4, block_size=16),
            r"MatMulNBits with g_idx .*: quantize without g_idx",
        ),
        (
            ms("MatMulNBits", f(3, 32), K(i(4, 2, 8, low=0, dtype="uint8")), K(f(8)), None,
              K(np.full(32, 2)), K=32, N=4, block_size=16),
            r"g_idx has blocks that do not exist",
        ),
        (
            ms("MatMulNBits", f(3, 32), K(i(5, 2, 8, low=0, dtype="uint8")), K(f(8)), K=32,
              N=4, block_size=16),
            r"its weights have 80 numbers, where N, K, bits and block_size give 64",
        ),
        (
            ms("MatMulNBits", f(3, 32), K(i(4, 2, 8, low=0, dtype="uint8")), K(f(4)), K=32,
              N=4, block_size=16),
            r"its scales have 4 numbers, where N, K, bits and block_size give 8",
        ),
        (
            ms("GroupQueryAttention", f(1, 1, 64), f(1, 1, 16), f(1, 1, 16), f(1, 1, 4, 16),
              f(1, 1, 4, 16), i(1, dtype="int32"), np.array(5, np.int32), outputs=3, num_heads=4,
              kv_num_heads=1),
            r"'c0_x6' would set the length of 'c0_y1' at run time: make it a constant, or compute",
        ),
    ],
)  # fmt: skip
def test_errors_say_what_to_do(case, said):
    model, _ = model_of([case], 17)
    with pytest.raises(QuakeError, match=said):
        quake_tvm.compile(model)


def test_attention_in_half_precision():
    """ONNX Runtime has no kernel for CPUs: the same in float32."""
    given, results = (f(2, 3, 8), f(8, 24), f(24)), []
    for dtype in ("float32", "float16"):
        x, w, b = (values.astype(dtype) for values in given)
        case = ms("Attention", x, K(w), K(b), num_heads=2)
        model, feeds = model_of([case], 17)
        (y,) = quake_tvm.compile(model, method="exact").run(feeds)
        assert y.dtype == dtype
        results.append(y)
    np.testing.assert_allclose(results[1], results[0], 1e-2, 1e-2)


def test_channels_last_in_images_and_weights():
    """As ONNX Runtime's tool writes NhwcConv, for which the runtime has no kernel on CPUs."""
    x, w = f(1, 5, 5, 3), f(4, 3, 3, 3)
    options = {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1]}
    results = []
    for case in (
        ms("NhwcConv", x, K(np.ascontiguousarray(w.transpose(0, 2, 3, 1))), **options),
        c("Conv", np.ascontiguousarray(x.transpose(0, 3, 1, 2)), K(w), **options),
    ):
        model, feeds = model_of([case], 17)
        results.append(quake_tvm.compile(model, method="exact").run(feeds)[0])
    np.testing.assert_allclose(results[0], results[1].transpose(0, 2, 3, 1), 1e-5, 1e-5)


def test_scales_in_half_precision_give_the_sums_a_float32_factor():
    rng = np.random.default_rng(0)
    a, b = (rng.integers(0, 256, shape).astype("uint8") for shape in ((3, 40), (40, 5)))
    scales, zeros = np.float16([0.02, 0.03, 0.9]), np.uint8([100, 120, 130])
    operands = [K(x) for pair in zip(scales, zeros, strict=True) for x in pair]
    case = c("QLinearMatMul", a, *operands[:2], K(b), *operands[2:])
    model, feeds = model_of([case], 21)
    (y,) = quake_tvm.compile(model, method="exact").run(feeds)
    sums = (a.astype("int32") - zeros[0]) @ (b.astype("int32") - zeros[1])
    factor = np.float32(scales[0]) * np.float32(scales[1]) / np.float32(scales[2])
    wanted = np.clip(np.rint(sums * factor) + zeros[2], 0, 255)
    np.testing.assert_array_equal(y, wanted)


def test_a_constant_that_is_handed_on_is_one():
    nodes = [
        helper.make_node("Identity", ["false"], ["handed"]),
        helper.make_node("Dropout", ["x", "", "handed"], ["y"]),
    ]
    model = make(nodes, {"x": (2, 3)}, {"y": None}, [constant(np.array(False), "false")])
    x = np.float32([[1, 2, 3], [4, 5, 6]])
    np.testing.assert_array_equal(quake_tvm.compile(model).run(x)[0], x)
