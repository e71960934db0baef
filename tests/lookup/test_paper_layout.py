"""Layers of the paper's code give torch's values: dense and BH4, against float64."""

import numpy as np
import pytest

import quake_tvm
from quake_tvm.errors import QuakeError
from quake_tvm.lookup.paper_layout import to_onnx

TABLES, BITS, HIDDEN, OUT = 24, 3, 40, 20


def state(torch, kind):
    random = torch.Generator().manual_seed(0)

    def normal(*shape):
        return torch.randn(*shape, generator=random, dtype=torch.float64)

    shape = (TABLES * BITS, HIDDEN) if kind == "dense" else (2, 4, 4, 16, 16)
    # The paper's code starts BH4 from these sizes: then z is around 1, and not saturated.
    size = HIDDEN if kind == "dense" else 16 * 64
    return {
        "LayerNorm.weight": normal(HIDDEN),
        "LayerNorm.bias": normal(HIDDEN),
        "hash.projection.weight": normal(*shape) / size**0.5,
        "hash.projection.bias": normal(TABLES * BITS) / 10,
        "tables": normal(TABLES, 2**BITS, OUT),
        "bias": normal(OUT),
    }


def hadamard(torch, x):
    """The transform of the last axis, by its definition: signs without a factor."""
    n = x.shape[-1]
    signs = [[(-1) ** bin(i & j).count("1") for j in range(n)] for i in range(n)]
    return x @ torch.tensor(signs, dtype=x.dtype)


def bh4(torch, x, weight):
    repeats, times, blocks, size, _ = weight.shape
    x = torch.nn.functional.pad(x, (0, blocks * size - x.shape[1]))
    made = []
    for repeat in range(repeats):
        y = x
        for j in range(times):
            y = torch.einsum("bni,noi->bno", y.reshape(-1, blocks, size), weight[repeat, j])
            y = hadamard(torch, y.reshape(len(x), -1))
        made.append(y)
    return (0.7 * torch.cat(made, -1) + 0.3 * x.repeat(1, repeats))[:, : TABLES * BITS]


def layer(torch, x, given):
    norm = given["LayerNorm.weight"], given["LayerNorm.bias"]
    x = torch.nn.functional.layer_norm(x, (HIDDEN,), *norm, 1e-5)
    weight = given["hash.projection.weight"]
    z = x @ weight.T if weight.ndim == 2 else bh4(torch, x, weight)
    z = (z + given["hash.projection.bias"]).reshape(len(x), TABLES, BITS)
    code = ((z > 0) * 2 ** torch.arange(BITS - 1, -1, -1)).sum(-1)
    score = z.abs().sum(-1) / torch.prod(1 + torch.exp(-2 * z.abs()), -1)
    rows = given["tables"][torch.arange(TABLES), code]
    return (rows * score[..., None]).sum(1) + given["bias"]


@pytest.mark.parametrize("kind", ["dense", "bh4"])
def test_against_torch(kind):
    torch = pytest.importorskip("torch")
    given = state(torch, kind)
    x = torch.randn(7, HIDDEN, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    expected = layer(torch, x, given).numpy()
    single = {name: value.float() for name, value in given.items()}
    built = quake_tvm.compile(to_onnx(single), method="quake5")
    (found,) = built.run({"x": x.float().numpy()})
    np.testing.assert_allclose(found, expected, atol=2e-6 * np.abs(expected).max())


@pytest.mark.parametrize(
    ("changed", "problem"),
    [
        ({"tables": None}, "no tables"),
        ({"tables": np.zeros((TABLES, 6, OUT))}, "a power of two"),
        ({"hash.projection.bias": np.zeros(5)}, "hash.projection.bias has the shape"),
        ({"hash.projection.bias": np.array(["a"] * TABLES * BITS)}, "bias is no array of numbers"),
        (
            {"hash.projection.weight": np.zeros((5, HIDDEN))},
            r"shape \(5, 40\); \(72, 40\) is needed",
        ),
        ({"hash.projection.weight": np.zeros((TABLES * BITS, HIDDEN, 2))}, r"\(72, 40\) is needed"),
        ({"LayerNorm.weight": np.ones((2, HIDDEN // 2))}, "LayerNorm.weight has the shape"),
        (
            {"LayerNorm.bias": np.zeros(3)},
            r"LayerNorm.bias has the shape \(3,\); \(40,\) is needed",
        ),
        ({"bias": np.zeros(1)}, r"bias has the shape \(1,\); \(20,\) is needed"),
        ({"tables": np.zeros((0, 8, OUT))}, "tables is"),
        ({"hash.projection.weight": np.zeros((1, 4, 4, 16, 16))}, "BH4's weight"),
        ({"hash.projection.weight": np.zeros((3, 4, 4, 16, 8))}, "BH4's weight"),
        ({"hash.projection.weight": np.zeros((3, 4, 4, 12, 12))}, "a power of two wide, not 12"),
        ({"hash.projection.weight": np.zeros((3, 4, 3, 16, 16))}, "a power of two of blocks"),
    ],
)
def test_wrong_layers(changed, problem):
    good = {
        "LayerNorm.weight": np.ones(HIDDEN),
        "LayerNorm.bias": np.zeros(HIDDEN),
        "hash.projection.weight": np.zeros((TABLES * BITS, HIDDEN)),
        "hash.projection.bias": np.zeros(TABLES * BITS),
        "tables": np.zeros((TABLES, 2**BITS, OUT)),
        "bias": np.zeros(OUT),
    }
    given = {k: v for k, v in {**good, **changed}.items() if v is not None}
    with pytest.raises(QuakeError, match=problem):
        to_onnx(given)


def test_no_state():
    with pytest.raises(QuakeError, match="a mapping of names to arrays, not int"):
        to_onnx(3)


@pytest.mark.parametrize("form", ["Parameter", "bfloat16", "float16"])
def test_torch_tensors(form):
    torch = pytest.importorskip("torch")
    values = {name: value.bfloat16() for name, value in state(torch, "bh4").items()}
    change = torch.nn.Parameter if form == "Parameter" else lambda v: v.to(getattr(torch, form))
    given = {name: change(value) for name, value in values.items()}
    numbers = {name: value.detach().double().numpy() for name, value in given.items()}
    assert to_onnx(given) == to_onnx(numbers)
