"""Modules compiled by torch.compile with this library, for tests. Needs torch."""

import pytest
import torch

OPTIONS = {"method": "quake5"}


@pytest.fixture(autouse=True)
def fresh():
    """Forget the graphs of other tests."""
    torch._dynamo.reset()
    torch.manual_seed(0)


def compiled(module, **options):
    return torch.compile(module, backend="quake_tvm", options={**OPTIONS, **options})
