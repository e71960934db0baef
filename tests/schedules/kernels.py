"""Small te kernels, and functions to run them with and without a schedule."""

from dataclasses import replace

import numpy as np
import tvm
from tvm import te

from quake_tvm.kernels import winograd as winograd_kernel
from quake_tvm.kernels.byte_depthwise import Grouped, of_groups, packed
from quake_tvm.machines.targets import target
from quake_tvm.numerics import winograd as winograd_products
from quake_tvm.numerics.byte_dots import FORMATS, formats_of
from quake_tvm.passes.relax.pack_convolutions import (
    Window,
    depthwise_convolution,
    grouped_convolution,
    packed_convolution,
)
from quake_tvm.passes.relax.pack_weights import panels
from quake_tvm.schedules import RULE, product_tiles, schedule
from quake_tvm.schedules.fence import fence_products
from quake_tvm.schedules.winograd import BLOCK

RNG = np.random.default_rng


def placeholder(*shape, name="x", dtype="float32"):
    return te.placeholder(shape, dtype, name)


def random_inputs(inputs, given=None):
    """Normal random numbers for every input, except those that ``given`` has by name."""
    rng = RNG(0)
    return [
        (given or {}).get(
            t.op.name, rng.normal(size=[int(n) for n in t.shape]).astype(str(t.dtype))
        )
        for t in inputs
    ]


def build_and_run(function, arrays, shape, name="native", dtype="float32"):
    """The single output of a PrimFunc."""
    out = tvm.runtime.empty(shape, dtype)
    kernel = tvm.compile(function, target=target(name))["main"]
    kernel(*map(tvm.runtime.tensor, arrays), out)
    return out.numpy()


def both(inputs, output, name="native", given=None):
    """(rule, scheduled result, plain result) for random inputs, except those ``given`` by name.

    The products of the plain loops are fenced like those of the rules. Otherwise LLVM would fuse a
    product with the addition of the next stage if it keeps the result in a register.
    """
    function = te.create_prim_func([*inputs, output])
    scheduled = schedule(function, target(name))
    arrays, shape = random_inputs(inputs, given), [int(n) for n in output.shape]
    ours, plain = (
        build_and_run(form, arrays, shape, name, str(output.dtype))
        for form in (scheduled, fence_products(function))
    )
    return str(scheduled.attrs[RULE]), ours, plain


def window(size, strides=1, dilation=1, padding=(0, 0), rank=2):
    """The same window in every dimension. ``padding`` is (before, after)."""
    before, after = ((n,) * rank for n in padding)
    return Window((size,) * rank, (strides,) * rank, (dilation,) * rank, before, after)


def pixels(shape, view):
    """The extents of the output's pixels."""
    steps = zip(
        shape[1:-1], view.before, view.after, view.size, view.dilation, view.strides, strict=True
    )
    return [(n + b + a - (size - 1) * d - 1) // s + 1 for n, b, a, size, d, s in steps]


def depthwise(shape, size, **options):
    """(inputs, output) of a depthwise convolution. ``shape`` is (n, pixels.., c)."""
    rank = len(shape) - 2
    x, w = placeholder(*shape), placeholder(*[size] * rank, shape[-1], name="w")
    view = window(size, rank=rank, **options)
    return [x, w], depthwise_convolution(x, w, pixels(shape, view), view)


def byte_depthwise(shape, size, name, strides=1, padding=(0, 0)):
    """(inputs, output, packed weights by name) of a depthwise convolution of bytes."""
    form = next(form for form in (*formats_of(target(name)), *FORMATS) if form.adds_groups)
    rank = len(shape) - 2
    plain = RNG(1).integers(-127, 128, (*[size] * rank, shape[-1])).astype(np.int8)
    given = packed(form, plain)
    x = te.placeholder(shape, "uint8", "x")
    w = te.placeholder(given.shape, "int32", "w")
    view, row = window(size, strides, padding=padding, rank=rank), Grouped(size, strides, 1)
    *after, last = view.after
    wide = replace(view, after=(*after, last + row.more))
    y = of_groups(wide.padded(x), w, pixels(shape, view), view.strides, view.dilation, row, form)
    return [x, w], y, {"w": given}


def convolution(shape, channels, size, groups=1, name="native", **options):
    """(inputs, output, packed weights by name, plain weights (o, window.., i / groups))."""
    rank, each = len(shape) - 2, channels // groups
    view = window(size, rank=rank, **options)
    plain = RNG(1).normal(size=(channels, *[size] * rank, shape[-1] // groups)).astype(np.float32)
    x = placeholder(*shape)
    places = pixels(shape, view)
    width = product_tiles.panel(places[-1], each, target(name))
    if groups == 1:
        in_panels = panels(np.moveaxis(plain, 0, -1), width)
        w = placeholder(*in_panels.shape, name="w")
        y = packed_convolution(x, w, places, channels, view)
    else:
        split = plain.reshape(groups, each, *plain.shape[1:])
        in_panels = np.moveaxis(panels(np.moveaxis(split, 1, -1), width), 0, 1)
        w = placeholder(*in_panels.shape, name="w")
        y = grouped_convolution(x, w, places, each, view)
    return [x, w], y, {"w": np.ascontiguousarray(in_panels)}, plain


def winograd(shape, channels, name="native", padding=(1, 1), width=None, paired=False):
    """(inputs, output, packed weights by name, plain weights (o, 3, 3, i))."""
    plain = RNG(1).normal(size=(channels, 3, 3, shape[-1])).astype(np.float32)
    width = width or product_tiles.panel(BLOCK, channels, target(name))
    factors = winograd_products.weights(plain)
    in_panels = panels(winograd_products.paired(factors) if paired else factors, width)
    x = placeholder(*shape)
    w = placeholder(*in_panels.shape, name="w", dtype=str(in_panels.dtype))
    view = window(3, padding=padding)
    y = winograd_kernel.convolution(x, w, pixels(shape, view), channels, view.before)
    return [x, w], y, {"w": in_panels}, plain


def numpy_convolution(x, w, groups=1, strides=1, dilation=1, padding=(0, 0)):
    """x (n, pixels.., i) by w (o, window.., i / groups) in float64."""
    rank, size = x.ndim - 2, w.shape[1]
    x = np.pad(x.astype(np.float64), [(0, 0), *[padding] * rank, (0, 0)])
    reach = (size - 1) * dilation + 1
    views = np.lib.stride_tricks.sliding_window_view(
        x, [reach] * rank, axis=tuple(range(1, rank + 1))
    )  # (n, pixels.., i, window..)
    steps = (slice(None), *[slice(None, None, strides)] * rank, slice(None))
    views = views[(*steps, *[slice(None, None, dilation)] * rank)]
    n, *pixels = views.shape[: rank + 1]
    views = views.reshape(n, *pixels, groups, x.shape[-1] // groups, *[size] * rank)
    split = w.astype(np.float64).reshape(groups, len(w) // groups, *w.shape[1:])
    window_axes = "uvw"[:rank]
    y = np.einsum(f"...gi{window_axes},go{window_axes}i->...go", views, split)
    return y.reshape(n, *pixels, len(w))


def numpy_depthwise(x, w, **options):
    """x (n, pixels.., c) by w (window.., c) in float64."""
    return numpy_convolution(x, np.moveaxis(w, -1, 0)[..., None], groups=w.shape[-1], **options)
