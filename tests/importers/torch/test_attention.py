"""Attention of torch: every argument of the operator, and layers, against eager."""

import numpy as np
import pytest

import quake_tvm
from quake_tvm.numerics import row_bounds

from .programs import INF, F, Several, nn, torch

DEPTH, WIDTH = 16, 32


def given(*outer, rows=5, keys=7, kv=None):
    """q, k and v with these outer dimensions; ``kv`` are those of k and v if they differ."""
    kv = outer if kv is None else kv
    shapes = (*outer, rows, DEPTH), (*kv, keys, DEPTH), (*kv, keys, WIDTH)
    return tuple(torch.randn(*shape) for shape in shapes)


def seen(*shape):
    """A mask, of which the first row of every head hides all keys."""
    mask = torch.rand(*shape) > 0.3
    mask[..., 0, :] = False
    return mask


def added(*shape):
    return torch.where(seen(*shape), torch.randn(*shape), -INF)


def attention(**options):
    return lambda q, k, v, *mask: F.scaled_dot_product_attention(q, k, v, *mask, **options)


FUSED = {
    "plain": (attention(), given(2, 3)),
    "causal": (attention(is_causal=True), given(2, 3)),
    "scale": (attention(scale=0.3), given(2, 3)),
    "bool mask": (attention(), (*given(2, 3), seen(5, 7))),
    "bool mask of keys": (attention(), (*given(2, 3), seen(2, 1, 1, 7))),
    "mask": (attention(), (*given(2, 3), added(2, 3, 5, 7))),
    "groups": (attention(enable_gqa=True), (*given(2, 6, kv=(2, 3)), added(2, 1, 5, 7))),
    "one axis of heads": (attention(), (*given(3), added(3, 5, 7))),
    "no axis of heads": (attention(), (*given(), seen(5, 7))),
    "three axes of heads": (attention(), (*given(2, 1, 3), seen(2, 1, 3, 5, 7))),
    "three axes, one mask": (attention(), (*given(2, 1, 3), seen(3, 5, 7))),
    "repeated": (attention(), given(1, 3, kv=(2, 1))),
}
OTHERS = {
    "negative scale": (attention(scale=-0.3), given(2, 3)),
    "double": (attention(), tuple(x.double() for x in given(2, 3))),
    "half": (attention(), tuple(x.half() for x in given(2, 3))),
    "no rows": (attention(), given(2, 3, rows=0)),
    "no keys": (attention(), given(2, 3, keys=0)),
    "safe softmax": (lambda x: torch._safe_softmax(x, 1), (added(5, 7).mT,)),
    "ranks of products": (
        lambda x, y: (x @ y[0, 0], x[0, 0, 0] @ y, x @ y[0, 0, :, 0], x[0, 0, 0] @ y[0, 0, :, 0]),
        (torch.randn(2, 3, 4, 5), torch.randn(2, 3, 5, 6)),
    ),
}  # fmt: skip


def exported(cases):
    inputs = tuple(x for _, arrays in cases.values() for x in arrays)
    with torch.no_grad():
        return torch.export.export(Several(list(cases.values())).eval(), inputs), inputs


def test_every_argument():
    cases = FUSED | OTHERS
    program, inputs = exported(cases)
    results = iter(quake_tvm.compile(program, method="exact").run(*(x.numpy() for x in inputs)))
    for name, (function, arrays) in cases.items():
        for y in torch.utils._pytree.tree_leaves(function(*arrays)):
            found = next(results)
            assert (found.shape, str(found.dtype)) == (y.shape, str(y.dtype)[6:]), name
            np.testing.assert_allclose(found, y.numpy(), 1e-3, 1e-3, err_msg=name)


@pytest.fixture(scope="module")
def program():
    return exported(FUSED)


@pytest.mark.parametrize("method", ["quake1", "quake2", "quake3", "quake4", "quake5"])
def test_all_are_fused_and_within_the_bound(program, method):
    graph, inputs = program
    model = quake_tvm.compile(graph, method=method)
    assert {site.schedule for site in model.report.sites} == {"attention"}
    results = model.run(*(x.numpy() for x in inputs))
    for (name, (function, arrays)), y in zip(FUSED.items(), results, strict=True):
        exact = function(*(x.double() if x.is_floating_point() else x for x in arrays)).numpy()
        allowed = row_bounds.attention(method) * float(arrays[2].abs().max()) + 1e-5
        assert np.abs(y - exact).max() <= allowed, name  # nor NaN


class Heads(nn.Module):
    """A layer that splits its input into heads, with one of torch's ways to attend."""

    def __init__(self, attend):
        super().__init__()
        self.project, self.attend = nn.Linear(64, 192), attend

    def forward(self, x, mask):
        batch, length, _ = x.shape
        q, k, v = self.project(x).view(batch, length, 3, 4, 16).permute(2, 0, 3, 1, 4)
        y = self.attend(q, k, v, mask[:, None, None])
        return y.transpose(1, 2).reshape(batch, length, 64)


def spelled_out(q, k, v, mask):
    scores = q @ k.transpose(2, 3) / 4 + torch.where(mask, 0.0, -1e30)
    return F.softmax(scores, -1) @ v


def repeated(q, k, v, mask):
    k, v = (x[:, :2, None].expand(-1, 2, 2, -1, 16).reshape(q.shape) for x in (k, v))
    return F.scaled_dot_product_attention(q, k, v, attn_mask=mask)


class Own(nn.Module):
    """torch's own layer, with one of its results."""

    def __init__(self, **options):
        super().__init__()
        self.layer, self.options = nn.MultiheadAttention(64, 4, batch_first=True), options

    def forward(self, x, mask):
        return self.layer(x, x, x, key_padding_mask=~mask, **self.options)[0]


class Encoder(nn.Module):
    def __init__(self):
        super().__init__()
        layer = nn.TransformerEncoderLayer(64, 4, 64, activation="gelu", batch_first=True)
        self.layers = nn.TransformerEncoder(layer, 1, enable_nested_tensor=False)

    def forward(self, x, mask):
        return self.layers(x, src_key_padding_mask=~mask)


LAYERS = {
    "operator": lambda: Heads(
        lambda q, k, v, mask: F.scaled_dot_product_attention(q, k, v, attn_mask=mask)
    ),
    "spelled out": lambda: Heads(spelled_out),
    "repeated heads": lambda: Heads(repeated),
    "layer": lambda: Own(need_weights=False),
    "layer in three dimensions": lambda: Own(average_attn_weights=False),
    "encoder": Encoder,
}


@pytest.mark.parametrize("layer", LAYERS)
def test_a_layer_of_any_size(layer):
    layer = LAYERS[layer]().eval()
    x, mask = torch.randn(3, 9, 64), torch.ones(3, 9, dtype=bool)
    sizes = {0: torch.export.Dim("batch"), 1: torch.export.Dim("length")}
    with torch.no_grad():
        program = torch.export.export(layer, (x, mask), dynamic_shapes=(sizes, sizes))
    model = quake_tvm.compile(program, method="quake5")
    assert "attention" in {site.schedule for site in model.report.sites}
    for batch, length in [(1, 1), (2, 3), (3, 9), (2, 40)]:
        x, mask = torch.randn(batch, length, 64), torch.rand(batch, length) > 0.3
        mask[:, 0] = True
        with torch.no_grad():
            y = layer(x, mask).numpy()
        np.testing.assert_allclose(model.run(x.numpy(), mask.numpy())[0], y, atol=2e-5)


def test_a_static_layer_reads_its_tensors_where_they_are():
    """Batch and heads are one axis: no transpose is left in front of the kernel or behind it."""
    layer = nn.MultiheadAttention(64, 4).eval()
    with torch.no_grad():
        x = torch.randn(9, 3, 64)
        program = torch.export.export(layer, (x, x + 0, x - 0), {"need_weights": False})
        expected = layer(x, x + 0, x - 0)[0].numpy()
    model = quake_tvm.compile(program, method="quake5")
    assert "attention" in model.report.kernels.values()
    assert not any("transpose" in name for name in model.report.kernels)
    np.testing.assert_allclose(model.run(*[x.numpy()] * 3)[0], expected, atol=2e-5)
