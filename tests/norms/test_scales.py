"""The scale and the claim of a norm; float16 sums within the room; attacks on a proof."""

import math

import numpy as np
import pytest

import quake_tvm
from quake_tvm.norms.scales import Norm, NormScales, room
from tests.norms.models import ROWS, decomposed, exact


@pytest.mark.parametrize("length", [1, 7, 384, 4096])
def test_no_order_of_sums_overflows_within_the_room(length):
    rng = np.random.default_rng(length)
    for _ in range(3):
        row = rng.normal(size=length)
        # next to the limit, where roundings upwards would reach infinity
        row = (row / np.linalg.norm(row) * room(length) * 0.999).astype(np.float16)
        total = np.float16(0)
        for square in np.sort(row * row):
            total += square
        assert np.isfinite(total)
    assert room(length) < 255.9


def norm(claim="proven", scale=1.0, seen=None):
    return Norm(1, "rms_norm", 64, 1e-6, 10.0, 100.0, seen, scale, claim)


@pytest.mark.parametrize(
    ("norms", "survives"),
    [
        ((), "yes"),
        ((norm(), norm()), "yes"),
        ((norm(), norm(scale=0.5)), "with these scales"),
        ((norm(), norm("typical")), "not proven"),
        ((norm(), norm("unknown", None)), "not proven"),
    ],
)
def test_verdict(norms, survives):
    found = NormScales(norms)
    assert found.survives == survives
    assert found.verdict.startswith(f"survives float16 norms: {survives}")
    assert found.to_dict()["survives"] == survives


def test_what_was_seen_is_held_against_the_scale():
    fits, too_long = norm("typical", 0.25, seen=900.0), norm("typical", 0.25, seen=1100.0)
    assert "without scales 1 may overflow on these inputs" in NormScales((fits,)).verdict
    assert "even with" not in NormScales((fits,)).verdict
    assert "even with these scales 1 may overflow" in NormScales((too_long,)).verdict


@pytest.mark.parametrize("centered", [False, True], ids=["rms", "layer"])
def test_a_float16_model_does_not_overflow_in_this_library(centered):
    """Rows of 400 over 768 elements, whose sum of squares is 1.2e8."""
    model, constants = decomposed(centered)
    compiled = quake_tvm.compile(model)
    (y,) = compiled.run({"ids": np.arange(ROWS)})
    assert y.dtype == np.float16
    np.testing.assert_allclose(y, exact(constants, centered), rtol=2e-3, atol=2e-3)
    assert ("layer_norm" if centered else "rms_norm") in compiled.report.kernels


def test_attack_on_a_post_norm_layer():
    """Gradient ascent on all inputs of attention and a feed-forward network, each with its norm."""
    torch = pytest.importorskip("torch")
    generator = torch.Generator().manual_seed(0)
    d, heads, length = 32, 4, 6

    def normal(*shape):
        return torch.randn(*shape, generator=generator) / shape[-1] ** 0.5

    class Layer(torch.nn.Module):
        def __init__(self):
            super().__init__()
            shapes = {"v": (d, d), "o": (d, d), "up": (4 * d, d), "down": (d, 4 * d)}
            for name, shape in (shapes | {"q": (d, d), "k": (d, d)}).items():
                self.register_buffer(name, normal(*shape) * 2)
            self.register_buffer("gamma", normal(3, d) * 5)
            self.register_buffer("beta", normal(3, d))

        def normal(self, x, n):
            return torch.nn.functional.layer_norm(x, (d,), self.gamma[n], self.beta[n])

        def heads(self, x, weight):
            return (x @ weight.T).reshape(1, length, heads, d // heads).transpose(1, 2)

        def forward(self, x):
            """The operands of the second and the third norm, then the result."""
            x = self.normal(x, 0)
            q, k, v = (self.heads(x, w) for w in (self.q, self.k, self.v))
            mixed = (q @ k.transpose(-1, -2)).softmax(-1) @ v
            first = x + mixed.transpose(1, 2).reshape(1, length, d) @ self.o.T
            y = self.normal(first, 1)
            hidden = torch.nn.functional.gelu(y @ self.up.T)
            second = y + hidden @ self.down.T
            return first, second, self.normal(second, 2)

    layer = Layer()
    program = torch.export.export(layer, (torch.zeros(1, length, d),))
    _, *found = quake_tvm.norm_scales(program).norms
    for k, norm in enumerate(found):
        x = torch.randn(1, length, d, generator=generator).requires_grad_()
        optimizer = torch.optim.Adam([x], lr=0.1)
        longest = 0.0
        for _ in range(300):
            size = layer(x)[k].norm(dim=-1).max()
            longest = max(longest, float(size.detach()))
            optimizer.zero_grad()
            (-size).backward()
            optimizer.step()
        assert longest < norm.proven < 4 * longest
        assert math.isfinite(norm.typical)
