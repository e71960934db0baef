"""Programs of torch.export, and their comparison with eager: values, dtypes and shapes.

TVM's default pipeline compiles the cases, many in one module: this tests only the importer.
"""

import numpy as np
import pytest
import tvm
from tvm import relax

from quake_tvm.build import import_model

torch = pytest.importorskip("torch")
nn, F = torch.nn, torch.nn.functional

torch.manual_seed(0)
X = torch.randn(4, 5, 6) * 2
Y = torch.randn(4, 5, 6)
I = torch.randint(-5, 6, (4, 5, 6))  # noqa: E741
J = torch.randint(1, 4, (4, 5, 6))
B = X > 0
PICTURE = torch.randn(2, 6, 9, 8)
SERIES = torch.randn(2, 6, 11)
EMPTY = torch.zeros(4, 0, 6)
INF, NAN = float("inf"), float("nan")
SPECIAL = torch.tensor([0.0, -0.0, NAN, INF, -INF, 1, -1, 1e-9, -1e-9, 0.3, 20, -20, 1e30])
PLACES = torch.tensor([[1, 0, 2], [-2, 3, 3]])


class Several(nn.Module):
    """Several functions in one module, each with its inputs."""

    def __init__(self, cases):
        super().__init__()
        self.cases = cases
        self.modules_ = nn.ModuleList([f for f, _ in cases if isinstance(f, nn.Module)])

    def forward(self, *inputs):
        results, first = [], 0
        for function, given in self.cases:
            results.append(function(*inputs[first : first + len(given)]))
            first += len(given)
        return results


def imported(module, inputs, **options):
    """The outputs of a module that is exported, imported and compiled by TVM."""
    with torch.no_grad():
        program = torch.export.export(module, inputs, **options)
    target = tvm.target.Target({"kind": "llvm", "opt-level": 0})
    machine = relax.VirtualMachine(tvm.compile(import_model(program), target), tvm.cpu())
    tensors = [tvm.runtime.tensor(x.contiguous().numpy()) for x in inputs]
    return [array.numpy() for array in machine["main"](*tensors)]


def check(cases, tolerance=2e-5):
    module = Several(list(cases.values())).eval()
    inputs = tuple(x for _, given in cases.values() for x in given)
    got = iter(imported(module, inputs))
    wrong = []
    for name, (function, given) in cases.items():
        with torch.no_grad():
            results = torch.utils._pytree.tree_leaves(function(*given))
        for value in results:
            expected, one = value.detach().numpy(), next(got)
            if one.dtype != expected.dtype or one.shape != expected.shape:
                wrong.append(f"{name}: {one.dtype}{one.shape}, torch {expected.dtype}{value.shape}")
            elif not np.allclose(
                one.astype("f8"), expected.astype("f8"), tolerance, tolerance, equal_nan=True
            ):
                wrong.append(f"{name}: {one.ravel()[:8]}, torch {expected.ravel()[:8]}")
    assert not wrong, "\n".join(wrong)


class Call(nn.Module):
    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, *inputs, **more):
        return self.function(*inputs, **more)
