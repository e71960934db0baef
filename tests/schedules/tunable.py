"""One small kernel with inputs for each way in which a rule asks for tunable parameters."""

import numpy as np
from tvm import te, topi

from quake_tvm.kernels import compute
from quake_tvm.kernels.kernel_spec import KernelSpec
from quake_tvm.machines.targets import target
from quake_tvm.passes.relax.pack_weights import packed_matmul, panels
from quake_tvm.schedules import product_tiles
from quake_tvm.tvm_version import tir
from tests.kernels.test_recurrent import packed as packed_gates
from tests.schedules.kernels import RNG, byte_depthwise, convolution, placeholder, winograd
from tests.schedules.kernels import depthwise as depthwise_kernel

HEADS_LAST = [0, 2, 1, 3]


def one(make, *shape):
    x = placeholder(*shape)
    return [x], make(x), {}


def product(m, n, k=20):
    a, b = placeholder(m, k, name="a"), placeholder(k, n, name="b")
    return [a, b], topi.nn.relu(topi.matmul(a, b)), {}


def batched(_):
    a, b = placeholder(3, 9, 20, name="a"), placeholder(3, 20, 35, name="b")
    return [a, b], topi.nn.batch_matmul(a, b, transpose_b=False), {}


def packed(kind):
    weights = RNG(1).normal(size=(20, 97)).astype(np.float32)
    given = panels(weights, product_tiles.panel(17, 97, target(kind)))
    a, w, b = placeholder(17, 20, name="a"), placeholder(*given.shape, name="w"), placeholder(97)
    return [a, w, b], topi.nn.relu(topi.add(packed_matmul(a, w, 97), b)), {"w": given}


def convolved(kind, groups=1):
    shape, channels = (1, 5, 11, 4 * groups), 35 * groups
    inputs, y, given, _ = convolution(shape, channels, 3, groups, kind, strides=2, padding=(1, 0))
    return inputs, topi.nn.relu(y), given


def winograd_relu(kind):
    inputs, y, given, _ = winograd((1, 9, 11, 20), 35, kind)
    return inputs, topi.nn.relu(y), given


def depthwise_relu(_):
    inputs, y = depthwise_kernel((1, 7, 13, 33), 3, padding=(1, 1))
    return inputs, topi.nn.relu(y), {}


def depthwise_of_bytes(kind):
    inputs, y, given = byte_depthwise((1, 7, 13, 33), 5, kind, strides=2, padding=(1, 1))
    return inputs, topi.nn.relu(y), given


def gelu(x):
    return compute.elementwise(x, "gelu", "quake1")


def with_bias(_):
    x, b = placeholder(5, 77), placeholder(77, name="b")
    return [x, b], gelu(topi.add(x, b)), {}


# (rule, function from the target's name to inputs, output and given inputs).
KERNELS = {
    "matmul": ("matmul", lambda _: product(33, 40)),
    "matmul_of_one_column_of_tiles": ("matmul", lambda _: product(7, 15)),
    "matmul_batched": ("matmul", batched),
    "matmul_packed": ("matmul", packed),
    "convolution": ("matmul", convolved),
    "convolution_of_groups": ("matmul", lambda kind: convolved(kind, 2)),
    "winograd": ("winograd", winograd_relu),
    "depthwise": ("depthwise", depthwise_relu),
    "depthwise_of_bytes": ("depthwise", depthwise_of_bytes),
    "pooling": ("pooling", lambda _: one(lambda x: topi.tanh(topi.sum(x, 1)), 3, 9, 97)),
    "elementwise_flat": ("elementwise", lambda _: one(gelu, 5, 77)),
    "elementwise_with_bias": ("elementwise", with_bias),
    "elementwise_transpose": ("elementwise", lambda _: one(topi.transpose, 33, 21)),
    "reduction": ("reduction", lambda _: one(lambda x: topi.sum(x, 1) / 21.0, 32, 21)),
    "reduction_of_odd_rows": ("reduction", lambda _: one(lambda x: topi.sum(x, 1), 33, 21)),
}


def attention(length, keys, width, **options):
    shapes = [(1, length, 2, 16), (1, keys, 2, 16), (1, keys, 2, width)]
    options |= {"axes": HEADS_LAST * 4, "tiles": [2, 1, 16, 2, 1, 16], "method": "quake2"}
    return shapes, "attention", options


def recurrent(steps, rows, units, width):
    """A GRU in both directions, as ONNX defines it."""
    panels = [(2, -(-units // width), units, gates * width) for gates in (2, 1)]
    shapes = [(steps, rows, 2 * 3 * units), *panels, (2, rows, units)]
    functions = [["sigmoid", 0.0, 0.0, "quake2"], ["tanh", 0.0, 0.0, "quake2"]]
    options = {"kind": "gru", "functions": functions, "reverse": [False, True]}
    return shapes, "recurrent", options | {"tile": 2, "units": width, "block": 16}


def recurrent_of_bytes(steps, rows, units, width):
    """The same with int8 weights."""
    shapes, kernel, options = recurrent(steps, rows, units, width)
    x, *panels, h = shapes
    groups = [(*outer, -(-depth // 4), columns) for *outer, depth, columns in panels]
    per_gate = [(2, 3 * units)] * 2
    return [x, *groups, *per_gate, h], kernel, options | {"left": "uint8", "lanes": 8}


def groups_of_weights():
    """The panels of ``recurrent_of_bytes`` by name."""
    plain = RNG(1).integers(-(2**31), 2**31, (2, 3 * 35, 9)).astype(np.int32)
    return {"x1": packed_gates(plain, (0, 1), 16, 35), "x2": packed_gates(plain, (2,), 16, 35)}


def recurrent_weights():
    """The panels of ``recurrent`` by name."""
    plain = RNG(1).normal(size=(2, 3 * 35, 35)).astype(np.float32) / np.float32(6)
    return {"x1": packed_gates(plain, (0, 1), 16, 35), "x2": packed_gates(plain, (2,), 16, 35)}


def repacked_gates(panels, units, width):
    """Panels of all gates of so many units, in panels of another width."""
    directions, _, depth, _ = panels.shape
    gates = panels.shape[-1] // 16
    each = panels.reshape(directions, -1, depth, gates, 16)
    plain = np.empty((directions, gates, units, depth), panels.dtype)
    for n, start in enumerate(np.minimum(np.arange(0, units, 16), units - 16)):
        plain[:, :, start : start + 16] = each[:, n].transpose(0, 2, 3, 1)
    return packed_gates(plain.reshape(directions, -1, depth), range(gates), width, units)


# (shapes of the inputs, kernel, options).
WRITTEN_OUT = {
    "softmax_of_short_rows": ([(9, 40)], "softmax", {"method": "quake2"}),
    "softmax_of_long_rows": ([(7, 300)], "softmax", {"method": "quake5"}),
    "softmax_with_a_mask": ([(2, 5, 40), (40,)], "softmax", {"method": "quake2", "scale": 0.3}),
    "log_softmax": ([(7, 33)], "log_softmax", {"method": "quake3"}),
    "logsumexp": ([(7, 33)], "logsumexp", {"method": "quake3", "keepdims": True}),
    "layer_norm": ([(7, 70), (70,), (70,)], "layer_norm", {"epsilon": 1e-5}),
    "rms_norm": ([(7, 70), (70,)], "rms_norm", {"epsilon": 1e-5}),
    "lookup": ([(9, 18), (48, 100), (100,)], "lookup_ffn", {"bits": 3, "method": "quake2"}),
    "attention": attention(13, 35, 40),
    "attention_over_long_rows": attention(5, 1100, 32),
    "recurrent": recurrent(7, 16, 35, 16),
    "recurrent_of_bytes": recurrent_of_bytes(7, 16, 35, 16),
}
# The others: rows.
RULES = {"attention": "attention", "lookup_ffn": "lookup", "recurrent": "recurrent"}
# What is no random number: panels of weights, which overlap.
GIVEN = {"recurrent": recurrent_weights, "recurrent_of_bytes": groups_of_weights}
# Inputs that are int32.
INTEGERS = {"recurrent_of_bytes": (1, 2, 4)}


def unscheduled(name, kind):
    """(rule, PrimFunc, te inputs, outputs, given arrays by name)."""
    if name in KERNELS:
        rule, make = KERNELS[name]
        inputs, output, given = make(kind)
        return rule, te.create_prim_func([*inputs, output]), inputs, [output], given
    shapes, operator, options = WRITTEN_OUT[name]
    kernel = KernelSpec(operator, options, results=2 if operator == "recurrent" else 1)
    sizes = [[tir.const(n, "int64") for n in shape] for shape in shapes]  # as in Relax
    integers = INTEGERS.get(name, ())
    inputs = [
        te.placeholder(size, "int32" if n in integers else "float32", f"x{n}")
        for n, size in enumerate(sizes)
    ]
    made = kernel(*inputs)
    outputs = made if isinstance(made, list) else [made]
    function = te.create_prim_func([*inputs, *outputs], "int64")
    for key, value in kernel.attributes.items():
        function = function.with_attr(key, value)
    return RULES.get(operator, "rows"), function, inputs, outputs, GIVEN.get(name, dict)()


def repacked_weights(packed, columns, width, axis=0):
    """Repack weights (.., n/p, .., p) as (.., n/width, .., width)."""
    old = np.moveaxis(packed, axis, 0)
    plain = np.empty((*old.shape[1:-1], columns), packed.dtype)
    starts = np.minimum(np.arange(0, columns, old.shape[-1]), columns - old.shape[-1])
    for start, panel in zip(starts, old, strict=True):
        plain[..., start : start + old.shape[-1]] = panel
    return np.ascontiguousarray(np.moveaxis(panels(plain, width), 0, axis))
