"""Loads in the parent what every forked child would load: torch.export, decompositions, TVM."""

import torch

from quake_tvm.build import import_model

from ..importers.torch.programs import Call


def preload() -> None:
    """Export and import a program. No kernel of TVM runs, and torch starts no threads."""
    torch.set_num_threads(1)
    import_model(torch.export.export(Call(lambda x: x + 1), (torch.ones(2),)))
