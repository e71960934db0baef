"""Lower ``quake.recurrent`` to its kernel, with a rung for each function of its gates.

The recurrent weights are packed in panels of neighbouring units, which TVM folds for constant
weights. The functions are sites for the report; a plan has one rung for all of them.
"""

import json
from collections.abc import Callable, Sequence

import numpy as np
import tvm
from tvm import relax, te

from quake_tvm.kernels.gate_functions import GateFunction
from quake_tvm.kernels.kernel_spec import KernelSpec
from quake_tvm.kernels.recurrent_operator import RECURRENT, cell_of, layer_of, sources, states_of
from quake_tvm.kernels.recurrent_tile import RecurrentTile
from quake_tvm.numerics.byte_dots import Format, fitting
from quake_tvm.options import Options
from quake_tvm.tvm_version import tir

from ..lower_tir import SITES
from ..site_attrs import SiteAttrs
from .call_written_out import call_written_out
from .fold_constants import FoldConstants
from .fold_moves import FoldMoves
from .graph import extents_text
from .legalize import FUSABLE, Legalize, legalize

# Maps (steps, rows, directions, gates of the first product, units of a state, dtype of the weights)
# to the kernel's tile. The first two are None if only the run knows them.
Tiles = Callable[[int | None, int | None, int, int, int, str], RecurrentTile]


def panels(weights: te.Tensor, hidden: int, gates: tuple[int, ...], units: int) -> te.Tensor:
    """Pack weights (direction, gate * unit, unit) as (direction, panel, unit, gate * unit).

    Parameters
    ----------
    weights : Tensor
    hidden : int
        Units of each gate.
    gates : tuple of int
        The gates to pack, in this order.
    units : int
        Units of a panel. The last panel ends with the last unit.
    """
    directions, _, depth = weights.shape

    def element(d: tir.Expr, p: tir.Expr, k: tir.Expr, j: tir.Expr) -> tir.Expr:
        gate = tir.const(gates[0], "int64")
        for place, n in enumerate(gates):
            gate = tir.Select(j // units == place, tir.const(n, "int64"), gate)
        unit = tir.min(p * units, hidden - units) + j % units
        return weights[d, gate * hidden + unit, k]

    shape = (directions, -(-hidden // units), depth, len(gates) * units)
    return te.compute(shape, element, name="recurrent_panels")


def shape_of(call: relax.Call) -> str:
    """The shape of what the gates of a layer compute, (step, row, unit of any direction), as text.

    Parameters
    ----------
    call : Call
        Of ``quake.recurrent``.
    """
    state = states_of(call)[-1].ty.shape
    return extents_text([*list(call.ty.fields[0].shape)[:2], state[0] * state[2]])


def grouped(forms: Sequence[Format], weights: np.ndarray) -> tuple[Format, np.ndarray, np.ndarray]:
    """Weights of bytes in groups.

    Parameters
    ----------
    forms : sequence of Format
        The formats of the target's dot products, the fastest first.
    weights : np.ndarray
        int8, (direction, gate * unit, unit).

    Returns
    -------
    Format, np.ndarray, np.ndarray
        The format; the groups, int32 (direction, gate * unit, group); the sums of the weights,
        int32 (direction, gate * unit).
    """
    form = fitting(forms, weights)
    groups = np.stack([form.grouped_rows(each.T).T for each in weights])
    return form, groups, weights.sum(-1, np.int32)


def rule(
    options: Options, tiles: Tiles, forms: Sequence[Format], lanes: int
) -> dict[str, Legalize]:
    """The legalization of the operator."""

    def run(builder: relax.BlockBuilder, call: relax.Call) -> relax.Expr:
        layer = layer_of(call)
        cell = cell_of(layer)
        x, *rest = call.args
        given = [rest.pop(0) for _ in range(sources(cell))]
        directions, batch, units = states_of(call)[0].ty.shape
        hidden = states_of(call)[-1].ty.shape[2]
        outer = list(call.ty.fields[0].shape)[:2]
        shape = shape_of(call)
        functions = [_with_rung(function, options, shape) for function in cell.functions]
        least = min(int(units), int(hidden))
        steps = outer[1 if layer["batch_first"] else 0]
        steps, batch = (getattr(n, "value", None) for n in (steps, batch))
        made = {name: value for name, value in layer.items() if name != "bytes"}
        if layer.get("bytes"):
            form, groups, totals = grouped(forms, given[0].value.numpy())
            given[0] = relax.const(groups)
            rest.insert(1, relax.const(totals))
            made |= {"left": form.left, "lanes": lanes}
        kind = str(given[0].ty.dtype)
        tile = tiles(steps, batch, int(directions), len(cell.parts[0].gates), least, kind)
        packed = [
            builder.emit(
                builder.call_te(
                    panels,
                    given[part.projects],
                    int(units if part.projects else hidden),
                    part.gates,
                    tile.units,
                    primfunc_name_hint="recurrent_panels",
                    primfunc_attrs=FUSABLE,
                )
            )
            for part in cell.parts
        ]
        made |= {
            "functions": [list(vars(function).values()) for function in functions],
            "ieee": options.ieee,
            "tile": tile.rows,
            "units": tile.units,
            "block": tile.block,
        }
        return call_written_out(
            builder,
            f"quake_{layer['kind']}",
            KernelSpec("recurrent", made, results=1 + cell.states),
            [x, *packed, *rest],
            call.ty,
            {SITES: json.dumps(_sites(functions, options, layer["kind"], shape))},
        )

    return {RECURRENT: run}


def lower(
    mod: tvm.IRModule, options: Options, tiles: Tiles, forms: Sequence[Format], lanes: int
) -> tvm.IRModule:
    """Legalize recurrent layers, and fold what their weights are computed from.

    A module without such a layer is unchanged.

    Parameters
    ----------
    mod : IRModule
    options : Options
    tiles : callable
        Chooses the kernels' tiles.
    forms : sequence of Format
        The formats of the target's dot products of bytes, the fastest first.
    lanes : int
        The sums of the target's vectors.
    """
    lowered = legalize(mod, rule(options, tiles, forms, lanes))
    if lowered is mod:
        return mod
    return tvm.transform.Sequential([FoldMoves(), FoldConstants()])(lowered)


def _with_rung(function: GateFunction, options: Options, shape: str) -> GateFunction:
    if not function.operator:
        return function
    return function.on(options.choose(function.operator, shape=shape, site=0).method)


def _sites(functions: list[GateFunction], options: Options, kind: str, shape: str) -> list[dict]:
    """The report's entries: one for each operator and its parameters."""
    found = []
    for function in functions:
        if function.method is None:
            continue
        site = SiteAttrs(function.method, options.ieee, kind, shape, numbers=function.parameters)
        entry = {**site.mark(function.operator), **site.numbers}
        if entry not in found:
            found.append(entry)
    return found
