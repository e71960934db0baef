"""torch.cond: a run computes one branch."""

import numpy as np
import pytest

import quake_tvm

from .programs import F, nn, torch


class _Nested(nn.Module):
    """A branch with weights, and a branch inside the other."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.linear, self.convolution = nn.Linear(3, 3), nn.Conv1d(3, 8, 3)

    def forward(self, x):
        def positive(x):
            y = F.gelu(self.linear(x))
            return y * 2, y.sum(0)

        def negative(x):
            return torch.cond(x.max() > 1.5, _less, _sums, (x,))

        rows, total = torch.cond(x.sum() > 0, positive, negative, (x,))
        return rows + 1, total.exp(), self.convolution(rows.T[None])


def _less(x):
    return x - 1, x[0].clone()


def _sums(x):
    return x // 2, x[1] + x[0]


@pytest.mark.parametrize("shapes", [None, {"x": ("n", 3)}])
def test_each_branch(shapes):
    module = _Nested().eval()
    example = torch.rand(4, 3)
    model = quake_tvm.compile(module, example_inputs=example, shapes=shapes, method="exact")
    rows = 4 if shapes is None else 6
    for x in (
        torch.rand(rows, 3),
        -torch.rand(rows, 3),
        -9 * torch.rand(rows, 3) + torch.eye(rows, 3) * 12,
    ):
        with torch.no_grad():
            wanted = module(x)
        for q, y in zip(model.run([x.numpy()]), wanted, strict=True):
            np.testing.assert_allclose(q, y.numpy(), 1e-5, 1e-5)


def test_the_branch_that_is_not_taken_does_not_run():
    class Guarded(nn.Module):
        def forward(self, x, n):
            return torch.cond(n > 0, lambda x, n: x // n, lambda x, n: x.clone(), (x, n))

    x = torch.arange(6)
    model = quake_tvm.compile(Guarded(), example_inputs=(x, torch.tensor(2)))
    np.testing.assert_array_equal(model.run([x.numpy(), np.array(4)])[0], x.numpy() // 4)
    np.testing.assert_array_equal(model.run([x.numpy(), np.array(0)])[0], x.numpy())
