"""The kernel of recurrent layers: its bits do not depend on how it is cut; its code."""

import re

import numpy as np
import pytest
import tvm
from tvm import te

from quake_tvm.kernels.recurrent import recurrent
from quake_tvm.kernels.recurrent_cells import cell
from quake_tvm.kernels.recurrent_tile import RecurrentTile
from quake_tvm.machines.targets import target
from quake_tvm.numerics.byte_dots import fitting, formats_of
from quake_tvm.passes.relax import lower_kernels
from quake_tvm.schedules import RULE, schedule
from quake_tvm.schedules.analysis import lanes
from quake_tvm.schedules.recurrent import key_of
from quake_tvm.schedules.recurrent import tile as own_tile
from quake_tvm.tvm_version import tir
from tests.kernels.test_assembly import LIBM

SIGMOID, TANH = (["sigmoid", 0.0, 0.0, "quake2"], ["tanh", 0.0, 0.0, "quake2"])
LAYERS = {
    "lstm": {"kind": "lstm", "functions": [SIGMOID, TANH, TANH], "peepholes": True},
    "lstm_projected": {"kind": "lstm", "functions": [SIGMOID, TANH, TANH], "projected": True},
    "gru": {"kind": "gru", "functions": [SIGMOID, TANH]},
    "gru_after": {"kind": "gru", "functions": [SIGMOID, TANH], "reset_after": True},
    "rnn": {"kind": "rnn", "functions": [TANH], "clip": 1.5},
}

# A projection has no product of bytes.
IN_BYTES = [name for name in LAYERS if name != "lstm_projected"]


def packed(weights, gates, units, hidden):
    """Weights (direction, gate * unit, depth) of some gates in panels."""
    directions, _, depth = weights.shape
    each = weights.reshape(directions, -1, hidden, depth)[:, list(gates)]
    starts = np.minimum(np.arange(0, hidden, units), hidden - units)
    panels = np.stack([each[:, :, s : s + units] for s in starts], 1)
    shape = (directions, len(starts), depth, len(gates) * units)
    return np.ascontiguousarray(panels.transpose(0, 1, 4, 2, 3).reshape(shape))


def kernel(name, steps, batch, hidden, tile, *, symbolic=False, directions=2, on=None, **options):
    """(PrimFunc, arrays, shapes of the results) of a layer with random weights.

    ``on``: the target for whose dot products the weights are bytes.
    """
    made = cell(**LAYERS[name])
    rng = np.random.default_rng([steps, batch, hidden])

    def normal(*shape):
        return rng.normal(size=shape).astype(np.float32)

    result = hidden - 2 if made.parts[-1].projects else hidden
    widths = [result, hidden][-made.states :]
    weights = normal(directions, made.gates * hidden, result) / np.float32(np.sqrt(hidden))
    projection = normal(directions, result, hidden) / np.float32(np.sqrt(hidden))
    of_bytes = []
    if on is not None:
        numbers = rng.integers(-127, 128, weights.shape).astype(np.int8)
        form = fitting(formats_of(on), numbers)
        weights = np.stack([form.grouped_rows(each.T).T for each in numbers])
        factors = rng.uniform(0.5, 1, weights.shape[:2]) / 127 / np.sqrt(hidden)
        of_bytes = [factors.astype(np.float32), numbers.sum(-1, np.int32)]
        options |= {"left": form.left, "lanes": lanes(on)}
    arrays = [
        normal(steps, batch, directions * made.gates * hidden),
        *(
            packed(projection, part.gates, tile.units, result)
            if part.projects
            else packed(weights, part.gates, tile.units, hidden)
            for part in made.parts
        ),
        *of_bytes,
        *(normal(directions, count * hidden) for _, count in made.weights),
        *(normal(directions, batch, width) for width in widths),
        rng.integers(0, steps + 1, batch).astype(np.int32),
    ]
    t, b = (tir.Var(n, "int64") for n in ("t", "b")) if symbolic else (steps, batch)
    shapes = [list(array.shape) for array in arrays]
    shapes[0][:2] = t, b
    for shape in shapes[-1 - made.states : -1]:
        shape[1] = b
    shapes[-1] = [b]
    tensors = [
        te.placeholder(shape, str(a.dtype), f"x{k}")
        for k, (shape, a) in enumerate(zip(shapes, arrays, strict=True))
    ]
    results = recurrent(
        *tensors,
        **LAYERS[name],
        reverse=[False, True][:directions],
        lengths=True,
        tile=tile.rows,
        units=tile.units,
        block=tile.block,
        **options,
    )
    states = [(directions, batch, width) for width in widths]
    sizes = [(steps, batch, directions, result), *states]
    return te.create_prim_func([*tensors, *results], "int64"), arrays, sizes


def run(kind, *args, in_bytes=False, **options):
    function, arrays, shapes = kernel(*args, on=target(kind) if in_bytes else None, **options)
    done = schedule(function, target(kind))
    assert done.attrs[RULE] == "recurrent"
    outputs = [tvm.runtime.empty(shape, "float32") for shape in shapes]
    built = tvm.compile(done, target=target(kind), tir_pipeline=lower_kernels.NAME)["main"]
    built(*map(tvm.runtime.tensor, arrays), *outputs)
    return [output.numpy() for output in outputs]


@pytest.mark.parametrize("name", LAYERS)
def test_no_cut_changes_a_bit(name):
    sizes = (5, 7, 19)
    expected = run("x86-64-v3", name, *sizes, RecurrentTile(1, 1, 7))
    cuts = [
        ("x86-64-v3", RecurrentTile(3, 8, 7), {"parallel": 1}),
        ("native", RecurrentTile(4, 16, 4), {"parallel": 1}),
        ("native", RecurrentTile(4, 16, 16), {"symbolic": True}),
    ]
    for kind, tile, options in cuts:
        for q, y in zip(run(kind, name, *sizes, tile, **options), expected, strict=True):
            np.testing.assert_array_equal(q, y)


@pytest.mark.parametrize("name", IN_BYTES)
def test_bytes_have_the_same_bits_on_every_target(name):
    sizes = (5, 7, 19)
    expected = run("x86-64-v3", name, *sizes, RecurrentTile(1, 1, 7), in_bytes=True)
    cuts = [
        ("x86-64-v2", RecurrentTile(3, 8, 7), {"parallel": 1}),
        ("x86-64-v4", RecurrentTile(4, 16, 4), {"parallel": 1}),
        ("native", RecurrentTile(4, 16, 16), {"symbolic": True}),
    ]
    for kind, tile, options in cuts:
        found = run(kind, name, *sizes, tile, in_bytes=True, **options)
        for q, y in zip(found, expected, strict=True):
            np.testing.assert_array_equal(q, y)


@pytest.mark.parametrize("kind", ["x86-64-v3", "x86-64-v4", "aarch64"])
@pytest.mark.parametrize("gates", [1, 2, 3, 4])
@pytest.mark.parametrize("batch", [None, 1, 5, 16, 33])
def test_a_tile_fits_its_layer(kind, gates, batch):
    for hidden in (1, 7, 64, 500):
        tile = own_tile(key_of(9, batch, 1, gates, hidden), target(kind))
        assert 1 <= tile.units <= hidden
        assert 1 <= tile.rows <= tile.block <= max(batch or 16, 1)


# For each target: a multiply-add of whole vectors, and one of single floats.
FMA = {
    "x86-64-v3": (r"vfmadd\w+ps\b.*ymm", r"vfn?madd\w+ss\b"),
    "x86-64-v4": (r"vfmadd\w+ps\b.*zmm", r"vfn?madd\w+ss\b"),
    "aarch64": (r"fmla\s+v\d+\.4s", r"fmadd\s+s\d+"),
}


@pytest.mark.parametrize("kind", FMA)
def test_the_loop_has_vectors_and_no_calls(kind):
    on = target(kind)
    function, *_ = kernel(
        "gru_after", 50, 1, 64, own_tile(key_of(50, 1, 1, 3, 64), on), directions=1, parallel=0
    )
    asm = tvm.compile(schedule(function, on), target=on).mod.inspect_source("asm")
    body = re.search(r"^main_compute_:$.*?^\.Lfunc_end", asm, re.MULTILINE | re.DOTALL).group()
    whole, single = FMA[kind]
    assert not LIBM.search(asm)
    assert len(re.findall(whole, body)) > 10
    assert not re.search(single, body)
    # Memory is allocated before the first step and freed after the last one.
    calls = [m.start() for m in re.finditer(r"\b(?:callq?|blr?)\s", body)]
    products = [m.start() for m in re.finditer(whole, body)]
    assert not [at for at in calls if products[0] < at < products[-1]]


# The instruction that adds products of bytes, or of the integers that stand for them.
DOTS = {
    "x86-64-v3": r"vpmaddwd\b.*ymm",
    "zen4": r"vpdpbusd\b.*zmm",
    "cortex-a76": r"sdot\s+v\d+\.4s",
}


@pytest.mark.parametrize("kind", DOTS)
def test_bytes_are_multiplied_by_dot_products(kind):
    on = target(kind)
    cut = own_tile(key_of(50, 1, 1, 4, 64), on)
    function, *_ = kernel("lstm", 50, 1, 64, cut, directions=1, parallel=0, on=on)
    asm = tvm.compile(schedule(function, on), target=on).mod.inspect_source("asm")
    assert len(re.findall(DOTS[kind], asm)) >= 8


def test_code_does_not_depend_on_the_number_of_steps():
    on = target("x86-64-v3")
    tile = own_tile(key_of(None, 1, 1, 4, 64), on)
    lengths = []
    for steps in (16, 512):
        function, *_ = kernel("lstm", steps, 1, 64, tile, directions=1, parallel=0)
        asm = tvm.compile(schedule(function, on), target=on).mod.inspect_source("asm")
        lengths.append(len(asm.splitlines()))
    assert abs(lengths[0] - lengths[1]) < 20
