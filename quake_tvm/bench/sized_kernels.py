"""Kernels of symbolic size as ONNX graphs, and random sizes for them. Knows no clock.

A kernel is written as the graph of a model. Each letter in a shape is a symbolic size; inputs whose
shapes have no letter are constants of the model.
"""

import math
import random
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import onnx
from onnx import numpy_helper, parser

from ..importers.onnx import file as onnx_file

# The largest size of each letter: batch, tokens, features, channels, height, width.
MOST = {"b": 8, "t": 256, "s": 256, "f": 512, "c": 64, "h": 56, "w": 56}
_HEADER = '<ir_version: 10, opset_import: ["": 21]> kernel '
_IMAGES = "float[b, 32, h, w] x"

PRODUCTS = {
    "product, constant weights": (
        "(float[t, 384] x, float[384, 384] k) => (y) { y = MatMul(x, k) }"
    ),
    "product, bias, GELU": (
        "(float[b, t, 128] x, float[128, 512] k, float[512] v) => (y)"
        "{ p = MatMul(x, k) a = Add(p, v) y = Gelu(a) }"
    ),
    "product of two inputs": ("(float[b, t, 64] x, float[b, 64, s] k) => (y) { y = MatMul(x, k) }"),
    "product over a symbolic depth": (
        "(float[b, t, s] x, float[b, s, 64] k) => (y) { y = MatMul(x, k) }"
    ),
    "attention": (
        "(float[b, 4, t, 32] q, float[b, 4, 32, s] k, float[b, 4, s, 32] v) => (y)"
        "{ p = MatMul(q, k) a = Softmax(p) y = MatMul(a, v) }"
    ),
    "convolution 1x1": (f"({_IMAGES}, float[64, 32, 1, 1] k) => (y) {{ y = Conv(x, k) }}"),
    "convolution 3x3": (
        f"({_IMAGES}, float[32, 32, 3, 3] k) => (y) {{ y = Conv<pads=[1, 1, 1, 1]>(x, k) }}"
    ),
    "convolution 3x3, stride 2": (
        f"({_IMAGES}, float[32, 32, 3, 3] k) => (y)"
        "{ y = Conv<pads=[1, 1, 1, 1], strides=[2, 2]>(x, k) }"
    ),
    "depthwise convolution 3x3": (
        f"({_IMAGES}, float[32, 1, 3, 3] k) => (y){{ y = Conv<pads=[1, 1, 1, 1], group=32>(x, k) }}"
    ),
    "depthwise convolution 3x3, stride 2": (
        f"({_IMAGES}, float[32, 1, 3, 3] k) => (y)"
        "{ y = Conv<pads=[1, 1, 1, 1], strides=[2, 2], group=32>(x, k) }"
    ),
    "convolution of a sequence": (
        "(float[b, 64, t] x, float[64, 64, 3] k) => (y) { y = Conv<pads=[1, 1]>(x, k) }"
    ),
}
ROWS = {
    "softmax": "(float[t, f] x) => (y) { y = Softmax(x) }",
    "log_softmax": "(float[t, f] x) => (y) { y = LogSoftmax(x) }",
    "LayerNorm": (
        "(float[b, t, 384] x, float[384] k, float[384] v) => (y){ y = LayerNormalization(x, k, v) }"
    ),
    "RMSNorm": (
        "(float[b, t, 384] x, float[384] k) => (y) <int64[1] last = {-1}, float two = {2}>"
        "{ p = Pow(x, two) m = ReduceMean(p, last) r = Sqrt(m) q = Div(x, r) y = Mul(q, k) }"
    ),
    "GroupNorm": (
        f"({_IMAGES}, float[32] k, float[32] v) => (y)"
        "{ y = GroupNormalization<num_groups=4>(x, k, v) }"
    ),
    "InstanceNorm": (
        f"({_IMAGES}, float[32] k, float[32] v) => (y) {{ y = InstanceNormalization(x, k, v) }}"
    ),
}
ELEMENTWISE = {
    "GELU": "(float[t, f] x) => (y) { y = Gelu(x) }",
    "addition of a row": "(float[t, f] x, float[f] k) => (y) { y = Add(x, k) }",
    "product with a column": "(float[t, f] x, float[t, 1] k) => (y) { y = Mul(x, k) }",
    "PReLU": f"({_IMAGES}, float[32, 1, 1] k) => (y) {{ y = PRelu(x, k) }}",
    "selection": "(float[t, f] x, float[t, f] k) => (y) { p = Less(x, k) y = Where(p, x, k) }",
}
REDUCTIONS = {
    "sum of rows": "(float[t, f] x) => (y) <int64[1] axis = {-1}> { y = ReduceSum(x, axis) }",
    "largest of rows of 384": (
        "(float[t, 384] x) => (y) <int64[1] axis = {-1}> { y = ReduceMax(x, axis) }"
    ),
    "largest of rows": "(float[t, f] x) => (y) <int64[1] axis = {-1}> { y = ReduceMax(x, axis) }",
    "sum of columns": "(float[t, f] x) => (y) <int64[1] axis = {0}> { y = ReduceSum(x, axis) }",
    "mean over tokens": (
        "(float[b, t, 64] x) => (y) <int64[1] axis = {1}> { y = ReduceMean(x, axis) }"
    ),
    "sum of all": "(float[t, f] x) => (y) { y = ReduceSum<keepdims=0>(x) }",
    "ArgMax": "(float[t, f] x) => (y) { y = ArgMax<axis=-1>(x) }",
    "CumSum": "(float[t, f] x) => (y) <int64 axis = {1}> { y = CumSum(x, axis) }",
}
POOLS = {
    "MaxPool": (f"({_IMAGES}) => (y) {{ y = MaxPool<kernel_shape=[3, 3], pads=[1, 1, 1, 1]>(x) }}"),
    "MaxPool, stride 2": (
        f"({_IMAGES}) => (y)"
        "{ y = MaxPool<kernel_shape=[3, 3], pads=[1, 1, 1, 1], strides=[2, 2]>(x) }"
    ),
    "AveragePool": (
        f"({_IMAGES}) => (y) {{ y = AveragePool<kernel_shape=[3, 3], pads=[1, 1, 1, 1]>(x) }}"
    ),
    "AveragePool, stride 2": (
        f"({_IMAGES}) => (y)"
        "{ y = AveragePool<kernel_shape=[3, 3], pads=[1, 1, 1, 1], strides=[2, 2]>(x) }"
    ),
    "MaxPool of a sequence": (
        "(float[b, c, t] x) => (y) { y = MaxPool<kernel_shape=[3], pads=[1, 1]>(x) }"
    ),
    "GlobalAveragePool": f"({_IMAGES}) => (y) {{ y = GlobalAveragePool(x) }}",
    "GlobalMaxPool": f"({_IMAGES}) => (y) {{ y = GlobalMaxPool(x) }}",
}
MOVEMENTS = {
    "Transpose": "(float[t, f] x) => (y) { y = Transpose<perm=[1, 0]>(x) }",
    "channels last": f"({_IMAGES}) => (y) {{ y = Transpose<perm=[0, 2, 3, 1]>(x) }}",
    "heads first": ("(float[b, t, 4, 32] x) => (y) { y = Transpose<perm=[0, 2, 1, 3]>(x) }"),
    "Concat of features": "(float[t, f] x, float[t, s] k) => (y) { y = Concat<axis=1>(x, k) }",
    "Concat of tokens": "(float[t, 64] x, float[s, 64] k) => (y) { y = Concat<axis=0>(x, k) }",
    "Pad": (
        f"({_IMAGES}) => (y) <int64[8] pads = {{0, 0, 1, 1, 0, 0, 1, 1}}> {{ y = Pad(x, pads) }}"
    ),
    "Slice": (
        "(float[t, f] x) => (y) <int64[1] first = {0}, int64[1] end = {-1}, int64[1] axis = {1}>"
        "{ y = Slice(x, first, end, axis) }"
    ),
    "Gather": "(int64[b, t] x, float[100, 64] k) => (y) { y = Gather(k, x) }",
    "Tile": "(float[t, f] x) => (y) <int64[2] times = {2, 3}> { y = Tile(x, times) }",
    "Expand": ("(float[t, 1] x, float[t, f] k) => (y) { p = Shape(k) y = Expand(x, p) }"),
    "Resize, nearest": (
        f"({_IMAGES}) => (y) <float[4] scales = {{1, 1, 2, 2}}>"
        '{ y = Resize<mode="nearest">(x, , scales) }'
    ),
    "Resize, linear": (
        f"({_IMAGES}) => (y) <float[4] scales = {{1, 1, 2, 2}}>"
        '{ y = Resize<mode="linear">(x, , scales) }'
    ),
    "DepthToSpace": f"({_IMAGES}) => (y) {{ y = DepthToSpace<blocksize=2>(x) }}",
}
GROUPS = {
    "products": PRODUCTS, "rows": ROWS, "elementwise": ELEMENTWISE, "reductions": REDUCTIONS,
    "pools": POOLS, "movements": MOVEMENTS,
}  # fmt: skip


@dataclass(frozen=True)
class Kernel:
    """A kernel whose sizes are symbolic.

    Attributes
    ----------
    name : str
    model : onnx.ModelProto
    """

    name: str
    model: onnx.ModelProto

    @property
    def letters(self) -> list[str]:
        """The symbolic sizes in the order of the inputs' shapes."""
        values = onnx_file.inputs(self.model)
        dims = [d.dim_param for v in values for d in v.type.tensor_type.shape.dim]
        return list(dict.fromkeys(filter(None, dims)))

    def sizes(self, count: int) -> list[dict[str, int]]:
        """Random sizes, the same in each run. Small ones are as frequent as large ones."""
        chance = random.Random(self.name)
        return [
            {
                each: round(math.exp(chance.uniform(0, math.log(MOST[each]))))
                for each in self.letters
            }
            for _ in range(count)
        ]

    def shapes(self, sizes: Mapping[str, int]) -> dict[str, tuple[int, ...]]:
        """The shape of each input at these sizes."""
        return {
            v.name: tuple(
                sizes[d.dim_param] if d.dim_param else d.dim_value
                for d in v.type.tensor_type.shape.dim
            )
            for v in onnx_file.inputs(self.model)
        }


def kernel(name: str, graph: str) -> Kernel:
    """A kernel from the text of its graph."""
    model = parser.parse_model(_HEADER + graph)
    constants = [v for v in model.graph.input if not onnx_file.is_dynamic(v)]
    generator = np.random.default_rng(0)
    for value in constants:
        shape = [d.dim_value for d in value.type.tensor_type.shape.dim]
        array = generator.normal(0, 0.1, shape).astype(np.float32)
        model.graph.initializer.append(numpy_helper.from_array(array, value.name))
        model.graph.input.remove(value)
    return Kernel(name, model)
