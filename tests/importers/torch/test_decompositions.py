"""Decompositions in torch, compared with the operators themselves. Nothing is compiled."""

import pytest

torch = pytest.importorskip("torch")

from quake_tvm.importers.torch.decompositions import DECOMPOSITIONS, overload  # noqa: E402

INF, NAN = float("inf"), float("nan")
SPECIAL = torch.tensor([0.0, -0.0, NAN, INF, -INF, 1, -1, 0.5, -0.5, 1e-20, 3.25, -7.5, 1e30])
LINE = torch.linspace(-20, 20, 997)
torch.manual_seed(0)
ROWS = torch.randint(-3, 4, (4, 5, 6))
FLOATS = torch.where(torch.rand(4, 5, 6) < 0.1, NAN, ROWS.float())
PLACES = torch.randint(-99, 99, (40,)) * 6, torch.randint(-9, 9, (40,)) * 4
WEIGHT = torch.randn(7, 3)
BAGS = torch.tensor([1, 2, 4, 5, 4, 3, 2, 0]), torch.tensor([0, 3, 3, 6])
SORTED = torch.tensor([[1.0, 2, 2, 5], [0, 1, 1, 1]])
VOLUME, GRID = torch.randn(2, 3, 4, 5, 6), torch.randn(2, 3, 3, 2, 3)
VALUES = torch.tensor([[2.0, NAN, -1], [1, 0, 9]])
WIDTH, HEADS = 8, 2
SEQUENCES = torch.randn(2, 5, WIDTH)
ATTENTION = tuple(
    torch.randn(shape) / 4 for shape in ((3 * WIDTH, WIDTH), 3 * WIDTH, (WIDTH, WIDTH), WIDTH)
)
NORM = torch.rand(WIDTH), torch.randn(WIDTH) / 4
FEED = tuple(torch.randn(shape) / 4 for shape in ((12, WIDTH), 12, (WIDTH, 12), WIDTH))
LATER = torch.ones(5, 5).triu(1) > 0
PADDING = torch.tensor([[False] * 5, [False] * 3 + [True] * 2])
MASKS = {
    "none": (None, None),
    "pairs": (LATER, 0),
    "keys": (PADDING, 1),
    "both": ((LATER | PADDING[:, None, None, :]).expand(2, HEADS, 5, 5), 2),
}

CASES = {
    **{
        f"attention, mask {name}, weights {needed}, mean {mean}": (
            "_native_multi_head_attention.default",
            (*[SEQUENCES] * 3, WIDTH, HEADS, *ATTENTION, mask, needed, mean, kind),
            {},
        )
        for name, (mask, kind) in MASKS.items()
        for needed, mean in ((True, True), (True, False), (False, True))
    },
    **{
        f"encoder layer, mask {name}, gelu {gelu}, norm first {first}": (
            "_transformer_encoder_layer_fwd.default",
            (
                SEQUENCES,
                WIDTH,
                HEADS,
                *ATTENTION,
                gelu,
                first,
                1e-5,
                *NORM,
                *NORM,
                *FEED,
                mask,
                kind,
            ),
            {},
        )
        for name, (mask, kind) in MASKS.items()
        for gelu, first in ((True, True), (False, False))
    },
    **{
        f"{name} {kind}": (f"{name}.default", (x,), {})
        for name in ("erfc", "lgamma", "digamma", "signbit", "erfinv")
        for kind, x in {"line": LINE / 2, "special": SPECIAL, "unit": LINE / 20.01}.items()
    },
    **{f"polygamma {n}": ("polygamma.default", (n, LINE.abs() + 0.01), {}) for n in range(4)},
    **{
        f"{name} {dim}": (f"{name}", (x, dim), {})
        for name in ("median.dim", "nanmedian.dim", "cummax.default", "cummin.default")
        for dim, x in {0: FLOATS, -1: FLOATS, 1: ROWS}.items()
    },
    **{
        f"polygamma {n} below 0": ("polygamma.default", (n, (LINE - 20.013).double() / 3), {})
        for n in (1, 2, 3)
    },
    "mode": ("mode.default", (ROWS, 1), {}),
    "mode of scalars": ("mode.default", (torch.tensor(3.0),), {}),
    "kthvalue": ("kthvalue.default", (torch.randn(4, 5, 6), 3, 1, True), {}),
    "median": ("median.default", (FLOATS,), {}),
    "nanmedian": ("nanmedian.default", (FLOATS,), {}),
    "logcumsumexp": ("logcumsumexp.default", (torch.randn(4, 5, 6) * 30, -1), {}),
    "gcd": ("gcd.default", PLACES, {}),
    "gcd of Fibonacci's": (
        "gcd.default",
        (torch.tensor([1836311903], dtype=torch.int32), torch.tensor([1134903170]).int()),
        {},
    ),
    "lcm": ("lcm.default", PLACES, {}),
    "hypot": ("hypot.default", (SPECIAL[:, None], SPECIAL[None]), {}),
    "fmax": ("fmax.default", (SPECIAL[:, None], SPECIAL[None]), {}),
    "fmin": ("fmin.default", (SPECIAL[:, None], SPECIAL[None]), {}),
    "copysign": ("copysign.Tensor", (SPECIAL[:, None], SPECIAL[None]), {}),
    "copysign of a number": ("copysign.Scalar", (SPECIAL, -0.0), {}),
    **{
        f"cdist {p}": ("_cdist_forward.default", (WEIGHT, torch.randn(2, 4, 3), p, None), {})
        for p in (0.0, 1.0, 2.0, 3.0, INF)
    },
    "pdist": ("_pdist_forward.default", (WEIGHT, 2.0), {}),
    **{
        f"searchsorted {right}": ("searchsorted.Tensor", (SORTED, VALUES), {"right": right})
        for right in (False, True)
    },
    **{
        f"grid of {mode}, {padding}, {aligned}": (
            "grid_sampler_3d.default",
            (VOLUME, GRID, mode, padding, aligned),
            {},
        )
        for mode in (0, 1)
        for padding in (0, 1, 2)
        for aligned in (False, True)
    },
    "grid with infinities": (
        "grid_sampler_3d.default",
        (VOLUME, torch.where(GRID > 1, INF, torch.where(GRID < -1, NAN, GRID)), 0, 0, False),
        {},
    ),
    "diagonal_scatter": ("diagonal_scatter.default", (ROWS, ROWS[0, :, :4] * 10, -1, 2, 0), {}),
    "adaptive maxima": ("adaptive_max_pool2d.default", (VOLUME[0], (3, 4)), {}),
    "adaptive maxima of volumes": ("adaptive_max_pool3d.default", (VOLUME, (2, 7, 4)), {}),
    "as_strided_scatter": (
        "as_strided_scatter.default",
        (WEIGHT, torch.ones(2, 3), (2, 3), (7, 2), 1),
        {},
    ),
    "histc": ("histc.default", (torch.randn(99), 7, -1, 2), {}),
    "histc of the range": ("histc.default", (torch.randn(99), 7), {}),
    "angle": ("angle.default", (SPECIAL,), {}),
    "addmv": ("addmv.default", (WEIGHT[:, 0], WEIGHT, WEIGHT[0]), {"beta": 2, "alpha": 0.5}),
    "trilinear": (
        "_trilinear.default",
        (WEIGHT[:, :2], torch.randn(5, 2, 3), WEIGHT, [1, 3], [0], [1, 2], [2, 3]),
        {},
    ),
    "addbmm": ("addbmm.default", (WEIGHT[:3], torch.ones(2, 3, 4), torch.ones(2, 4, 3)), {}),
    "bucketize": ("bucketize.Tensor", (VALUES, SORTED[0]), {"out_int32": True}),
    **{
        f"round to {decimals}": ("round.decimals", (LINE,), {"decimals": decimals})
        for decimals in (-1, 0, 2)
    },
    **{
        f"{name} {dim}": (f"{name}.correction", (FLOATS.nan_to_num(), dim), {"correction": 2})
        for name in ("var_mean", "std_mean")
        for dim in (None, [0, 2])
    },
    "view_copy": ("view_copy.default", (WEIGHT, (3, -1)), {}),
    "permute_copy": ("permute_copy.default", (WEIGHT, (1, 0)), {}),
    "unbind_copy": ("unbind_copy.int", (WEIGHT, -1), {}),
    "take": ("take.default", (WEIGHT, torch.tensor([[-1, 3], [7, 0]])), {}),
    "repeat_interleave": (
        "repeat_interleave.Tensor",
        (torch.tensor([2, 0, 3]),),
        {"output_size": 5},
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_decomposition(case):
    name, args, kwargs = CASES[case]
    expected = overload(name)(*args, **kwargs)
    got = DECOMPOSITIONS[overload(name)](*args, **kwargs)
    leaves = torch.utils._pytree.tree_leaves
    for one, other in zip(leaves(got), leaves(expected), strict=True):
        torch.testing.assert_close(one, other, rtol=2e-6, atol=1e-6, equal_nan=True)


@pytest.mark.parametrize("mode", [0, 1, 2])
@pytest.mark.parametrize("padding", [-1, 4])
def test_bags(mode, padding):
    name = overload("_embedding_bag.default")
    more = (False, mode, False, None, False, padding)
    got = DECOMPOSITIONS[name](WEIGHT, *BAGS, *more)[0]
    torch.testing.assert_close(got, name(WEIGHT, *BAGS, *more)[0])
