"""Rewrite a recurrent layer's kernel for panels of another width.

A tuner needs this to try other widths, because :mod:`quake_tvm.passes.relax.lower_recurrent` packs
the weights before scheduling. Knows no target.
"""

from quake_tvm.kernels.kernel_spec import KernelSpec
from quake_tvm.tvm_version import tir

from . import analysis


def units(function: tir.PrimFunc) -> int:
    """Units in a panel of an unscheduled function's weights, 0 if it is no recurrent layer."""
    if not analysis.written_out(function, "quake_recurrent"):
        return 0
    kernel = KernelSpec.of(function)
    return 0 if kernel is None else int(kernel.options["units"])


def repacked(function: tir.PrimFunc, width: int) -> tir.PrimFunc:
    """The same layer with weights in panels of ``width`` units, and tiles of one row.

    The function itself if it already has that width.

    Parameters
    ----------
    function : PrimFunc
        Not scheduled, and :func:`units` is not 0.
    width : int
        At most the units of each state.
    """
    kernel = KernelSpec.of(function)
    assert kernel is not None
    old, shapes = int(kernel.options["units"]), {}
    if width == old:
        return function
    result, hidden = (
        p.ty.shape[2] for p in (function.params[1 - kernel.results], function.params[-1])
    )
    inputs = function.params[: -kernel.results]
    packed = [k for k, p in enumerate(inputs) if len(p.ty.shape) == 4]
    for k in packed:
        directions, _, depth, columns = map(int, inputs[k].ty.shape)
        # A projection is the last product, and gives the result.
        projects = kernel.options.get("projected") and k == packed[-1]
        count = int(result if projects else hidden)
        shapes[k] = [directions, -(-count // width), depth, columns // old * width]
    return kernel.rebuild(function, shapes, units=width, tile=1)
