"""Layout and indexing in torch, and the indices that torch refuses."""

import numpy as np
import pytest

import quake_tvm

from .programs import INF, NAN, PLACES, Call, F, X, check, torch

THIRDS = torch.tensor([1, 2], dtype=torch.float64) / 3
MASK = torch.arange(20).reshape(4, 5) % 9 < 4  # 10 truths, 4 of them in row 0


def _written(x):
    x = x.clone()
    x[1:3, 0] = 7
    x[..., -1] *= 2
    x[x > 3] = 5
    x[:, MASK[0]] = x[:, 1:] * 2
    x[:, torch.tensor([1, 3])] = x[:, :2] * 3
    x[torch.tensor([0, 1]), :, torch.tensor([2, 3])] = -4
    return x


def test_layout_and_indexing():
    views = {
        "slices": lambda x: (x[1:3, ::2, -4:-1], x[:, 3:100], x[3:1], x[:, -100:2], x[:, 1::3]),
        "narrow": lambda x: torch.narrow_copy(x, 1, 2, 2),
        "select": lambda x: (x[1], x[-1], x[..., -2]),
        "turned": lambda x: (x.permute(-1, 0, -2), x.transpose(0, 1).reshape(4, 30), x.mT),
        "squeeze": lambda x: (x.squeeze(0), x[:1, :, :1].squeeze(), x[:1].squeeze((0, 1))),
        "expand": lambda x: (x[:1].expand(3, 5, 6), x[:, :1].expand(2, 4, 5, 6)),
        "cat": lambda x: (torch.cat([torch.tensor([]), x], -2), torch.stack([x, x + 1], -1)),
        "parts": lambda x: (x.split(2, 1), x.chunk(4, 2), x.unbind(1)[2]),
        "parts of a constant": lambda x: [x.double() + part for part in THIRDS.split(1)],
        "pad": lambda x: (
            F.pad(x, (1, 2, 0, 3), value=2.5),
            F.pad(x, (-1, 2, 1, -2)),
            F.pad(x > 1, (1, 2), value=2),
        ),
        "mirrored": lambda x: (
            F.pad(x, (2, 1), mode="reflect"),
            F.pad(x, (2, 3), mode="replicate"),
            F.pad(x, (2, 3), mode="circular"),
        ),
        "moved": lambda x: (x.flip(0, -1), x.roll((-1, 3), (0, 2)), x.repeat(2, 1, 2, 1)),
        "triangles": lambda x: (x.tril(1), x.triu(-1), x.diagonal(-2, 2, 0)),
        "strided": lambda x: (x.as_strided((3, 4), (7, 2), 5), x.unfold(2, 2, 3)),
        "places": lambda x: (x[PLACES], x[:, PLACES], x[PLACES, :, PLACES], x[:, PLACES, PLACES]),
        "gather": lambda x: x.gather(1, PLACES.abs()[:, :, None].expand(2, 3, 4)),
        "embedding": lambda x: F.embedding(PLACES.abs(), x[0], padding_idx=1),
        "scatter": lambda x: (
            x.scatter(1, torch.tensor([3, 0])[None, :, None].expand(4, 2, 6), x),
            x.scatter_add(0, torch.tensor([1, 1])[:, None, None].expand(2, 5, 6), x),
        ),
        "scatter narrower than the tensor": lambda x: (
            x.scatter(1, PLACES.abs()[:, :, None], x),
            x.scatter_add(0, PLACES.abs()[:, :, None].expand(2, 3, 4), x),
            x.scatter(2, PLACES.abs()[:, :, None], 3.0),
            x.scatter_reduce(0, PLACES.abs()[:, :, None], x, "amax", include_self=False),
            (x > 0).scatter_add(2, PLACES.abs()[None], x[:1, :2] > 1),
        ),
        "combined": lambda x: [
            x.scatter_reduce(1, PLACES.abs()[:1, :, None].expand(4, 3, 6), x, how, include_self=own)
            for how in ("sum", "prod", "amax", "amin", "mean")
            for own in (True, False)
        ],
        "combined truths": lambda x: [
            (x > 0).scatter_reduce(1, PLACES.abs()[:1, :, None], x > 1, how, include_self=own)
            for how in ("sum", "prod", "amax", "amin")
            for own in (True, False)
        ],
        "scalars": lambda x: (
            x.sum().scatter(0, torch.tensor(0), x[0, 0, 0]),
            x.sum().scatter_add(0, torch.tensor([0]), x[0, 0]),
            x.sum().index_reduce(0, torch.tensor(0), x[0, 0, 0], "amax"),
            x.scatter(1, PLACES.abs()[:, :, None], 3.0, reduce="multiply"),
            x.sum().unfold(0, 1, 1),
            x.take(torch.tensor([[-1, 3], [7, 0]])),
        ),
        "repeated to nothing": lambda x: (x.repeat(2, 0, 1, 1), x[:, :0].repeat(1, 2, 1)),
        "combined along": lambda x: [
            y.index_reduce(1, torch.tensor([3, 1, 3]), y[:, 1:4] * 3, how, include_self=own)
            for how, y in (("mean", x), ("amax", x), ("mean", (x * 9).int()))
            for own in (True, False)
        ],
        "put by mask": lambda x: (
            x.masked_scatter(x > 1, x.flip(0)),
            x.masked_scatter(x[0, 0] > 0, -x),
            x.put(torch.tensor([[0, -1], [7, 7]]), torch.ones(2, 2), accumulate=True),
            x.index_put((MASK,), torch.arange(10.0)[:, None]),
            x.index_put((MASK,), X[0, 0], accumulate=True),
            (x > 0).index_put((MASK,), torch.tensor(True), accumulate=True),
        ),
        "along": lambda x: (
            x.index_copy(-1, torch.tensor([4, 0]), x[..., :2]),
            x.index_add(1, torch.tensor([1, 1]), x[:, 1:3], alpha=0.5),
            x.index_fill(0, torch.tensor([0, -1]), 2.5),
            x.sum().index_add(0, torch.tensor([0]), x[0, 0, 0]),
            F.one_hot(PLACES.abs(), 5),
        ),
        "written": _written,
        "put": lambda x: x.index_put((PLACES[0],), torch.ones(3, 5, 6), accumulate=True),
        "truths added up": lambda x: (
            (x > 1).index_put((PLACES[0],), torch.ones(3, 5, 6) > 0, accumulate=True),
            (x > 0).index_add(0, torch.tensor([2, 2, 0, 2]), x > 1),
            (x > 0).scatter_add(0, torch.tensor([1, 1])[:, None, None].expand(2, 5, 6), x > 1),
        ),
        "filled": lambda x: (torch.full((2, 3), -INF), torch.full_like(x, NAN), x * 0 + INF),
        "created": lambda x: (x + torch.arange(6), torch.linspace(0, 1, 7), torch.eye(3)),
    }
    check({name: (function, (X,)) for name, function in views.items()})


def test_indices_that_torch_refuses():
    """Operators that accept no negative index, although torch's decompositions of them would."""
    uses = {
        "index_add": lambda i: X.index_add(0, i, X[:2]),
        "index_copy": lambda i: X.index_copy(0, i, X[:2]),
        "one_hot": lambda i: F.one_hot(i, 4),
        "scatter_reduce": lambda i: X[0, 0].scatter_reduce(0, i, X[0, 0], "amax"),
    }
    right = torch.tensor([0, 1])
    for name, use in uses.items():
        model = quake_tvm.compile(torch.export.export(Call(use), (right,)))
        model.run(right.numpy())
        for wrong in (-1, 6):
            with pytest.raises(quake_tvm.QuakeError, match=rf"torch\.{name}: index out of range"):
                model.run(np.array([0, wrong]))


@pytest.mark.parametrize(
    "function",
    [
        lambda x: x.exp()[0, :2].as_strided((4, 4), (4, 1)) + 0,
        lambda x: torch.as_strided_scatter(x.exp().mT, torch.zeros(3), (3,), (1,)),
        lambda x: torch.as_strided_scatter(x.exp()[1:], torch.zeros(3), (3,), (1,), 0),
    ],
    ids=["beyond the tensor", "written, turned", "written before the tensor"],
)
def test_memory_outside_of_a_tensor_is_refused(function):
    with torch.no_grad():
        program = torch.export.export(Call(function), (X,))
    with pytest.raises(quake_tvm.QuakeError, match="as_strided"):
        quake_tvm.compile(program)


def test_places_of_maxima_that_are_infinite():
    def pooled(x):
        return (
            F.max_pool2d(x, 3, 1, 1, return_indices=True)[1],
            F.max_pool1d(x[0], 2, 2, 1, return_indices=True)[1],
        )

    check({"pools": (pooled, (torch.full((1, 2, 4, 5), -INF),))})
