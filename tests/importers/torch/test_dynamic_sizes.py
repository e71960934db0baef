"""Programs whose sizes only the run knows, compared with eager at several sizes.

Each case has an input of its own, whose dimensions are dynamic. One model has all cases of a test.
"""

import math

import numpy as np
import pytest

import quake_tvm
from quake_tvm.errors import QuakeError

from .programs import Call, F, Several, torch

pytestmark = pytest.mark.slow
DYNAMIC = torch.export.Dim.DYNAMIC


def _model(functions, shapes):
    given = tuple(torch.rand(shape) for shape in shapes)
    with torch.no_grad():
        several = Several([(f, (x,)) for f, x in zip(functions, given, strict=True)])
        dims = dict.fromkeys(range(1, given[0].ndim), DYNAMIC)
        program = torch.export.export(several, given, dynamic_shapes=((dims,) * len(given),))
    return quake_tvm.compile(program, method="exact", records=False)


def _compare(cases, export_at, sizes):
    model = _model(cases.values(), [(2, *(n + k for n in export_at)) for k in range(len(cases))])
    for size in sizes:
        given = [torch.rand(2, *size) for _ in cases]
        results = iter(model.run(*(x.numpy() for x in given)))
        for (name, function), x in zip(cases.items(), given, strict=True):
            for expected in torch.utils._pytree.tree_leaves(function(x)):
                got, wanted = next(results), np.asarray(expected)
                assert (got.shape, got.dtype) == (wanted.shape, wanted.dtype), (name, size)
                np.testing.assert_allclose(got, wanted, 2e-5, 2e-5, err_msg=f"{name} {size}")


def _resized(mode, **more):
    return lambda x: F.interpolate(x[:, None], mode=mode, **{k: v(x) for k, v in more.items()})


def _whole(x):
    return x.shape[1] * 2 + 1, x.shape[2] - 1


def _yes(x):
    return True


RESIZED = {
    "nearest to": _resized("nearest", size=_whole),
    "exact by 0.57": _resized("nearest-exact", scale_factor=lambda x: 0.57),
    "linear by 1.5": _resized("bilinear", scale_factor=lambda x: (1.5, 0.57)),
    "linear recomputed": _resized(
        "bilinear", scale_factor=lambda x: 1.3, recompute_scale_factor=_yes
    ),
    "linear to": _resized("bilinear", size=_whole),
    "linear aligned": _resized("bilinear", size=_whole, align_corners=_yes),
    "cubic by 1.3": _resized("bicubic", scale_factor=lambda x: 1.3),
    "to a picture's size": lambda x: F.interpolate(
        F.avg_pool2d(x[:, None], 2), x.shape[1:], mode="bilinear"
    ),
}


def test_resizing():
    _compare(RESIZED, (9, 8), ((5, 6), (12, 100), (40, 16)))


def test_resizing_has_the_bits_of_static_sizes():
    cases = {k: RESIZED[k] for k in ("linear to", "linear by 1.5", "cubic by 1.3", "exact by 0.57")}
    dynamic = _model(cases.values(), [(2, 9 + k, 8 + k) for k in range(len(cases))])
    given = [torch.rand(2, 13, 29) for _ in cases]
    several = Several([(f, (x,)) for f, x in zip(cases.values(), given, strict=True)])
    static = quake_tvm.compile(
        torch.export.export(several, tuple(given)), method="exact", records=False
    )
    arrays = [x.numpy() for x in given]
    for name, one, other in zip(cases, dynamic.run(*arrays), static.run(*arrays), strict=True):
        np.testing.assert_array_equal(one, other, err_msg=name)


def test_arithmetic_of_sizes():
    cases = {
        "half": lambda x: x[:, : x.shape[1] // 2],
        "product with a float": lambda x: x * (x.shape[1] + 0.5),
        "quotient": lambda x: x * (x.shape[1] / x.shape[2]),
        "root": lambda x: x * x.shape[2] ** -0.5,
        "rounded down": lambda x: x[:, : math.floor(x.shape[1] * 0.57)],
        "rounded up": lambda x: x[:, : -(-x.shape[1] // 2)],
        "padded to a multiple": lambda x: F.pad(x, (0, 8 - x.shape[2] % 8)),
        "reflected": lambda x: F.pad(x, (x.shape[2] // 3, 1), mode="reflect"),
        "repeated": lambda x: F.pad(x, (x.shape[1] - 4, 1), mode="replicate"),
        "variance": lambda x: x.var(1),
        "norm": lambda x: F.layer_norm(x, (x.shape[2],)),
        "largest half": lambda x: torch.topk(x, x.shape[1] // 2, 1),
    }
    _compare(cases, (9, 8), ((5, 6), (12, 30), (7, 16)))


def test_truths_that_follow_from_sizes():
    cases = {
        "order": lambda x: (x.shape[1] > x.shape[2], x.shape[1] * 2 <= x.shape[2] + 1),
        "equality": lambda x: (x.shape[1] == 7, x.shape[2] != 16, x.shape[1] / 2 == 2.5),
        "not": lambda x: torch.sym_not(x.shape[1] % 2 == 0),
        "a tensor": lambda x: x * torch.scalar_tensor(x.shape[1] >= 7),
    }
    _compare(cases, (9, 8), ((5, 6), (12, 30), (7, 16)))


class Halved(torch.nn.Module):
    """A U-Net of two levels, with its branch around the lower one."""

    def __init__(self):
        super().__init__()
        self.down = torch.nn.Conv2d(3, 4, 3, padding=1)
        self.up = torch.nn.ConvTranspose2d(4, 4, 2, stride=2)
        self.last = torch.nn.Conv2d(8, 2, 1)

    def forward(self, x):
        wide = torch.relu(self.down(x))
        return self.last(torch.cat([wide, self.up(F.max_pool2d(wide, 2))], 1))


@pytest.mark.parametrize("named", [True, False])
def test_sizes_that_must_be_multiples(named):
    """As 2*Dim, or as a condition that torch finds."""
    half = [torch.export.Dim(name, min=2, max=40) for name in "hw"]
    dims = {axis: 2 * d if named else DYNAMIC for axis, d in zip((2, 3), half, strict=True)}
    module = Halved().eval()
    x = torch.rand(1, 3, 8, 12)
    program = torch.export.export(module, (x,), dynamic_shapes=(dims,))
    model = quake_tvm.compile(program, method="exact", records=False)
    for size in [(8, 12), (40, 6)]:
        x = torch.rand(1, 3, *size)
        (found,) = model.run(x.numpy())
        np.testing.assert_allclose(found, module(x).detach(), 2e-5, 2e-5)
    with pytest.raises(QuakeError, match="exported for sizes with"):
        model.run(np.zeros((1, 3, 8, 7), np.float32))
    if named:
        with pytest.raises(QuakeError, match="takes 0 to 80"):
            model.run(np.zeros((1, 3, 82, 8), np.float32))


class Cached(torch.nn.Module):
    """Attention over past and new positions; the mask's length is the sum of both."""

    def forward(self, mask, x, past):
        keys = torch.cat([past, x], 1)
        scores = torch.where(mask[:, None] > 0, x @ keys.mT, -1e9)
        return scores.softmax(-1) @ keys, mask.sum(1)


def _cached(batch, new, past):
    mask = torch.ones(batch, past + new)
    mask[:, 0] = 0
    return mask, torch.randn(batch, new, 8), torch.randn(batch, past, 8)


def test_dimensions_that_are_sums():
    inputs = _cached(2, 3, 5)
    dims = tuple({0: DYNAMIC, 1: DYNAMIC} for _ in inputs)
    program = torch.export.export(Cached(), inputs, dynamic_shapes=dims)
    model = quake_tvm.compile(program, method="exact", records=False)
    for sizes in [(2, 3, 5), (1, 1, 7), (1, 2, 0), (3, 1, 1), (4, 7, 2)]:
        inputs = _cached(*sizes)
        got = model.run([x.numpy() for x in inputs])
        for one, expected in zip(got, Cached()(*inputs), strict=True):
            np.testing.assert_allclose(one, expected, 1e-5, 1e-5)
    mask, x, past = (x.numpy() for x in _cached(2, 3, 5))
    with pytest.raises(QuakeError, match="exported for sizes with mask_1 =="):
        model.run([mask[:, 1:], x, past])


class Continued(torch.nn.Module):
    """Positions that follow the past; torch finds that the mask has past + new of them."""

    def forward(self, mask, x, past):
        places = torch.arange(past.shape[1], past.shape[1] + x.shape[1])
        torch._check(mask.shape[1] == past.shape[1] + x.shape[1])
        return x + places[:, None], mask.cumsum(1)[:, -1:] * past.sum(1)


def test_lower_limits_that_torch_only_assumes_are_none():
    inputs = _cached(2, 3, 5)
    dims = tuple({0: DYNAMIC, 1: DYNAMIC} for _ in inputs)
    program = torch.export.export(Continued(), inputs, dynamic_shapes=dims)
    model = quake_tvm.compile(program, method="exact", records=False)
    for sizes in [(2, 3, 5), (1, 1, 0), (3, 1, 1), (2, 0, 2)]:
        inputs = _cached(*sizes)
        got = model.run([x.numpy() for x in inputs])
        for one, expected in zip(got, Continued()(*inputs), strict=True):
            np.testing.assert_allclose(one, expected, 1e-5, 1e-5)


def test_dimensions_of_sizes_that_no_input_has():
    n = torch.export.Dim("n", min=3, max=50)
    program = torch.export.export(
        Call(lambda x: x * 2), (torch.zeros(2, 7),), dynamic_shapes=(({1: 2 * n + 1},),)
    )
    with pytest.raises(QuakeError, match="not every size in it is a dimension of an input"):
        quake_tvm.compile(program, records=False)
