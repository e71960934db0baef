"""Tests whether TVM's resize2d reads the elements that the standard defines, with the same weights.

TVM's formulas are those of ``tvm.topi.image.resize``: the ratio follows from the lengths, in
float32. Knows no graph.
"""

import numpy as np

from .resampling import Axis, Method, coordinates, nearest

# tf_crop_and_resize is not among them: there ONNX Runtime differs from TVM.
_COORDINATES = {"half_pixel", "asymmetric", "align_corners"} | {
    "pytorch_half_pixel", "tf_half_pixel_for_nn"
}  # fmt: skip


def knows(method: Method) -> bool:
    """Whether TVM implements the method."""
    known = method.coordinates in _COORDINATES
    return known and not method.antialias and not method.exclude_outside


def agrees_for_all_lengths(scale: np.float32 | None, resized: int | None, method: Method) -> bool:
    """Whether TVM resizes an axis of a dynamic length as the standard defines.

    Parameters
    ----------
    scale : numpy.float32 or None
        The ratio, 1 for an axis that is not resized; None if the size is given.
    resized : int or None
        The size if it is given.
    method : Method
    """
    if scale == 1:
        return method.mode != "nearest" and method.coordinates != "align_corners"
    if scale is None:
        return method.mode != "nearest" and resized != 1
    whole = bool(scale >= 2 and scale % 1 == 0)
    if method.mode != "nearest":
        return whole
    # If the scale is a power of two, TVM's float32 is exact, and the pattern repeats with the
    # scale.
    exact = whole and np.log2(scale) % 1 == 0
    return bool(exact and agrees(Axis(8, int(8 * scale), scale), method))


def agrees(axis: Axis, method: Method) -> bool:
    """Whether TVM reads the same elements; it takes the ratio from the lengths and rounds."""
    if not knows(method):
        return False
    if axis.length == 0 or (axis.resized == 1 and method.coordinates == "align_corners"):
        return False  # TVM would divide by 0
    ours = coordinates(axis, method.coordinates)
    o = np.arange(axis.resized)
    ratio = axis.length / axis.resized
    theirs: np.ndarray
    if method.coordinates == "align_corners":
        theirs = o * (axis.length - 1) / (axis.resized - 1)
    elif method.coordinates == "pytorch_half_pixel" and axis.resized == 1:
        theirs = np.zeros(1)
    else:
        theirs = {
            "asymmetric": o * ratio,
            "tf_half_pixel_for_nn": (o + 0.5) * ratio,
        }.get(method.coordinates, (o + 0.5) * ratio - 0.5)
    if method.mode != "nearest":
        return bool(np.all(np.abs(ours - theirs) <= 1e-6 * (1 + np.abs(theirs))))
    wanted = np.clip(nearest(ours, method.rounding, bool(axis.scale < 1)), 0, axis.length - 1)
    floors = method.rounding in ("floor", "simple")
    whole = axis.resized % axis.length == 0
    if whole and floors and method.coordinates == "asymmetric" and axis.resized < 1e4:
        # TVM computes this case in integers too
        return np.array_equal(o // (axis.resized // axis.length), wanted)
    error = 4e-7 * (1 + np.abs(theirs))
    shift, rounded = {
        "floor": (1e-5, np.floor),
        "ceil": (-1e-5, np.ceil),
        "round_prefer_floor": (-0.5, np.ceil),
        "round_prefer_ceil": (0.5, np.floor),
    }.get(method.rounding, (np.nan, np.floor))
    return all(
        np.array_equal(np.clip(rounded(theirs + shift + e), 0, axis.length - 1), wanted)
        for e in (-error, error)
    )
