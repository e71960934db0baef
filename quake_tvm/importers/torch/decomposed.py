"""The decomposition of an exported program: torch's own table, and that of this library."""

import warnings

import torch

from ...errors import QuakeError
from . import recurrent, shared_buffers
from .decompositions import DECOMPOSITIONS, overload

# _DECOMPOSED: torch does not decompose these by itself. _KEPT: torch decomposes these, but one
# kernel here does better, or the parts accept other indices than the operator.
_DECOMPOSED = (
    *("grid_sampler_2d.default", "diagonal_scatter.default", "dist.default"),
    *("tril_indices.default", "triu_indices.default"),
)
_RESIZES = (
    *(f"upsample_nearest{k}d" for k in (1, 2, 3)),
    *(f"_upsample_nearest_exact{k}d" for k in (1, 2, 3)),
    *("upsample_linear1d", "upsample_bilinear2d", "upsample_trilinear3d"),
    *("upsample_bicubic2d", "_upsample_bilinear2d_aa", "_upsample_bicubic2d_aa"),
)
_KEPT = (
    *(f"{name}.vec" for name in _RESIZES),
    *(f"{name}.default" for name in ("_unsafe_view", "index_add", "index_copy", "one_hot", "pad")),
    *("index_fill.int_Scalar", "index_fill.int_Tensor"),
    *("scaled_dot_product_attention.default", "_safe_softmax.default", "matmul.default"),
)


def decomposed(program: torch.export.ExportedProgram) -> torch.export.ExportedProgram:
    """The program in operators that have converters. Raises QuakeError if torch fails."""
    program = shared_buffers.apart(program)
    table = torch.export.default_decompositions()
    for name in (*_KEPT, *filter(lambda name: _takes_layers(program, name), recurrent.OPERATORS)):
        table.pop(overload(name), None)
    table.update(torch._decomp.get_decompositions([overload(name) for name in _DECOMPOSED]))
    table.update(DECOMPOSITIONS)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return program.run_decompositions(table)
    except Exception as error:
        shared = shared_buffers.used_together(program)
        if shared:
            raise QuakeError(
                f"the buffers {' and '.join(shared)} share memory, and the program may change one: "
                "give each memory of its own (.clone())"
            ) from error
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0][:160]
        raise QuakeError(f"torch cannot decompose this program: {reason}") from error


def _takes_layers(program: torch.export.ExportedProgram, name: str) -> bool:
    """Whether all recurrent layers of this operator can be converted."""
    nodes = program.graph.find_nodes(op="call_function", target=overload(name))
    return all(map(recurrent.takes, nodes))
