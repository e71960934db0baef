"""Quantizations of PT2E programs give torch's bytes, and their products and convolutions sums."""

import numpy as np
import pytest

import quake_tvm
from quake_tvm.build import import_model
from quake_tvm.errors import QuakeError
from quake_tvm.machines.targets import target
from quake_tvm.passes.relax.pipeline import Pipeline

from .programs import INF, Call, F, X, imported, nn, torch

pytest.importorskip("torch.ao.quantization.fx._decomposed")  # registers the operators
quantized = torch.ops.quantized_decomposed

VALUES = torch.cat([torch.randn(4000) * 9, torch.arange(-300, 300) * 0.05, X.ravel()])
VALUES = torch.cat([VALUES, torch.tensor([0.0, -0.0, INF, -INF, 1e30, -1e-30])])[:4718]
ROWS = VALUES.reshape(7, -1)
SCALE, ZERO = 0.0282163, 3
CHANNELS = torch.rand(7) + 0.1, torch.arange(7) - 2
KINDS = {torch.uint8: (0, 255), torch.int8: (-128, 127), torch.int16: (-32768, 32767)}


def equal(function, *inputs):
    """Whether every element is that of eager."""
    with torch.no_grad():
        wanted = torch.utils._pytree.tree_leaves(function(*inputs))
    for got, one in zip(imported(Call(function), inputs), wanted, strict=True):
        assert got.dtype == one.numpy().dtype
        np.testing.assert_array_equal(got, one.numpy())


@pytest.mark.parametrize("kind", KINDS, ids=str)
@pytest.mark.parametrize("inside", [0, 1], ids=["all", "fewer"])
def test_of_tensors(kind, inside):
    low, high = KINDS[kind][0] + inside, KINDS[kind][1] - inside
    given = SCALE, ZERO, low, high, kind

    def there_and_back(x):
        steps = quantized.quantize_per_tensor(x, *given)
        return steps, quantized.dequantize_per_tensor(steps, *given)

    equal(there_and_back, ROWS)


@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize("wide", [False, True], ids=["float32", "float64"])
def test_of_channels(axis, wide):
    x = ROWS if axis == 0 else ROWS.T.contiguous()
    scales, zeros = CHANNELS
    given = scales.double() if wide else scales, zeros, axis, -128, 127, torch.int8
    steps = quantized.quantize_per_channel(x, scales, *given[1:])
    equal(lambda x: quantized.quantize_per_channel(x, scales, *given[1:]), x)
    equal(lambda x: quantized.dequantize_per_channel(x, *given), steps)
    equal(lambda x: quantized.dequantize_per_channel(x, scales, None, *given[2:]), steps)


@pytest.mark.parametrize("choose", ["choose_qparams", "choose_qparams_symmetric"])
@pytest.mark.parametrize("kind", [torch.uint8, torch.int8], ids=str)
def test_of_the_input_itself(choose, kind):
    limits = KINDS[kind]

    def there_and_back(x):
        scale, zero = getattr(quantized, choose).tensor(x, *limits, 2.0**-12, kind)
        steps = quantized.quantize_per_tensor.tensor(x, scale, zero, *limits, kind)
        real = quantized.dequantize_per_tensor.tensor(steps, scale, zero, *limits, kind)
        return scale, zero, steps, real

    for x in (X, X.abs() + 1, -X.abs() - 1, X * 0, X * 1e-9):
        equal(there_and_back, x)


def test_int32_of_a_bias():
    bias = torch.arange(-5, 5, dtype=torch.int32) * 12345
    equal(
        lambda b: quantized.dequantize_per_tensor(b, SCALE, 0, -(2**31), 2**31 - 1, torch.int32),
        bias,
    )


@pytest.mark.parametrize(
    ("function", "reason"),
    [
        (
            lambda x: quantized.quantize_per_tensor(x, 1.0, 0, -9, 9, torch.int32),
            "to int32",
        ),
        (
            lambda x: quantized.dequantize_per_tensor(
                x.int(), 1.0, 1, -(2**31), 2**31 - 1, torch.int32
            ),
            "of int32 with these zero points",
        ),
        (
            lambda x: quantized.choose_qparams.tensor(x.half(), 0, 255, 1e-6, torch.uint8),
            "of float16",
        ),
    ],
)
def test_refused(function, reason):
    with pytest.raises(QuakeError, match=reason):
        imported(Call(function), (X,))


class Net(nn.Module):
    """Convolutions, pooling and a product between quantizations, whose sums float32 has exactly."""

    def __init__(self, zero=11):
        super().__init__()
        draw = torch.Generator().manual_seed(0)
        for name, shape in {"a": (8, 3, 3, 3), "b": (8, 1, 3, 3), "c": (10, 8)}.items():
            weights = torch.randint(-128, 128, shape, generator=draw).to(torch.int8)
            self.register_buffer(name, weights)
            self.register_buffer(f"{name}_scales", 0.5 ** torch.arange(6, 6 + shape[0]).fmod(3))
            self.register_buffer(f"{name}_zeros", torch.zeros(shape[0], dtype=torch.int64))
            bias = torch.randint(-99, 99, shape[:1], generator=draw)
            self.register_buffer(f"{name}_bias", bias * 2.0**-5)
        self.zero = zero

    def weights(self, name):
        given = getattr(self, f"{name}_scales"), getattr(self, f"{name}_zeros")
        return quantized.dequantize_per_channel(
            getattr(self, name), *given, 0, -128, 127, torch.int8
        )

    def rounded(self, x, scale):
        given = scale, self.zero, 0, 255, torch.uint8
        return quantized.dequantize_per_tensor(quantized.quantize_per_tensor(x, *given), *given)

    def forward(self, x):
        x = F.conv2d(self.rounded(x, 2.0**-5), self.weights("a"), self.a_bias, padding=1)
        x = self.rounded(torch.relu(x), 2.0**2)
        x = self.rounded(F.max_pool2d(x, 2), 2.0**2)
        x = F.conv2d(x, self.weights("b"), self.b_bias, padding=1, groups=8)
        x = self.rounded(F.silu(self.rounded(x, 2.0**3)), 2.0**3)
        x = self.rounded(x.flatten(2).transpose(1, 2), 2.0**3)
        given = 2.0**4, self.zero, 0, 255, torch.uint8
        return quantized.quantize_per_tensor(F.linear(x, self.weights("c"), self.c_bias), *given)


BATCH = ({0: torch.export.Dim("batch", min=1, max=9)},)


@pytest.mark.parametrize("batch", [None, BATCH], ids=["static", "dynamic"])
@pytest.mark.parametrize("zero", [0, 11])
def test_network(batch, zero):
    x, net = torch.randn(2, 3, 16, 16) * 2, Net(zero).eval()
    with torch.no_grad():
        program = torch.export.export(net, (x,), dynamic_shapes=batch)
        wanted = net(x).numpy()
    model = quake_tvm.compile(program, target="native")
    np.testing.assert_array_equal(model.run([x.numpy()])[0], wanted)
    assert wanted.std() > 10  # bytes of many values


def prepared(program):
    """What the product's and convolutions' recognition leaves of the program."""
    return Pipeline.of(target("native")).upto("prepare")(import_model(program)).script()


def test_everything_between_two_quantizations_is_of_integers():
    script = prepared(torch.export.export(Net(), (torch.randn(2, 3, 16, 16),)))
    assert script.count("R.quantize(") == 4  # of the input, and of three products' sums
    assert not [name for name in ("dequantize", "nn.relu", "sigmoid") if f"R.{name}(" in script]


class OfOwnScale(nn.Module):
    """A product of int8 weights and an input whose scale is chosen in each run."""

    def __init__(self):
        super().__init__()
        self.register_buffer("bytes", torch.randint(-128, 128, (16, 24)).to(torch.int8))
        self.register_buffer("scales", torch.rand(16) + 0.1)
        self.register_buffer("zeros", torch.zeros(16, dtype=torch.int64))

    def forward(self, x):
        scale, zero = quantized.choose_qparams.tensor(x, 0, 255, 2.0**-12, torch.uint8)
        given = scale, zero, 0, 255, torch.uint8
        steps = quantized.quantize_per_tensor.tensor(x, *given)
        real = quantized.dequantize_per_tensor.tensor(steps, *given)
        by = quantized.dequantize_per_channel(
            self.bytes, self.scales, self.zeros, 0, -128, 127, torch.int8
        )
        return F.linear(real, by)


@pytest.mark.parametrize("batch", [None, BATCH], ids=["static", "dynamic"])
def test_product_of_an_input_with_its_own_scale(batch):
    x, net = torch.randn(5, 24), OfOwnScale()
    program = torch.export.export(net, (x,), dynamic_shapes=batch)
    assert "R.dequantize(" not in prepared(program)
    wanted = net(x).numpy()
    found = quake_tvm.compile(program, target="native").run([x.numpy()])[0]
    np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-5 * np.abs(wanted).max())


@pytest.mark.parametrize("dynamic", [False, True])
def test_what_torchao_makes(dynamic):
    pytest.importorskip("torchao")
    from torchao.quantization.pt2e.quantize_pt2e import convert_pt2e, prepare_pt2e
    from torchao.quantization.pt2e.quantizer import x86_inductor_quantizer as x86

    net = nn.Sequential(nn.Linear(12, 20), nn.ReLU(), nn.Linear(20, 4)).eval()
    x = torch.randn(6, 12)
    quantizer = x86.X86InductorQuantizer().set_global(
        x86.get_default_x86_inductor_quantization_config(is_dynamic=dynamic)
    )
    prepared = prepare_pt2e(torch.export.export(net, (x,)).module(), quantizer)
    prepared(x)
    converted = convert_pt2e(prepared)
    program = torch.export.export(converted, (x,))
    wanted = converted(x).detach().numpy()
    found = quake_tvm.compile(program, target="native").run([x.numpy()])[0]
    np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-5)
