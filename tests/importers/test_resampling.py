"""Interpolation tables of resized axes, applied in numpy, against ONNX Runtime's Resize."""

import itertools

import numpy as np
import pytest

from quake_tvm.importers.resampling import Axis, Method, coordinates, periodic, table
from tests.onnx_nodes import Case, known_to_onnxruntime, model, reference

SCALES = [0.25, 0.33, 0.5, 2 / 3, 0.7, 0.9, 1.1, 1.5, 2, 2.3, 7 / 3, 3, 4]
COORDINATES = ["half_pixel", "pytorch_half_pixel", "align_corners", "asymmetric",
               "half_pixel_symmetric"]  # fmt: skip
ROUNDINGS = ["round_prefer_floor", "round_prefer_ceil", "floor", "ceil"]


def values(length):
    """Irregular values: neighbours differ by more than rounding does."""
    return np.sin(np.arange(length, dtype=np.float32) ** 2) + np.arange(length, dtype=np.float32)


def apply(rows, x, value=0.0):
    """Resize the last axis."""
    taken = x[..., rows.indices].astype(np.float64)
    y = taken[..., 0] if rows.weights is None else (taken * rows.weights).sum(-1)
    return np.where(rows.outside, value, y)


def sweep(method, coordinate, roi=(0.0, 1.0), **attributes):
    """One model of all lengths and scales. The resized axis is the last axis of an image."""
    cases, expected = [], []
    for length, scale in itertools.product(range(1, 18), np.float32(SCALES)):
        axis = Axis(length, int(scale * np.float32(length)), scale, roi)
        if axis.resized in (0, length):  # ONNX Runtime copies a tensor whose shape does not change
            continue
        x = values(length)
        rows = table(axis, method)
        expected.append(apply(rows, x, attributes.get("extrapolation_value", 0.0)))
        region = None if roi == (0.0, 1.0) else np.float32([0, 0, 0, roi[0], 1, 1, 1, roi[1]])
        cases.append(
            Case(
                "Resize",
                19,
                [x.reshape(1, 1, 1, -1)],
                [region, np.float32([1, 1, 1, scale])],
                {
                    "mode": method.mode,
                    "coordinate_transformation_mode": coordinate,
                    **attributes,
                },
            )
        )
    assert len(cases) > 150
    for case, y, wanted in zip(cases, expected, reference(*model(cases)), strict=True):
        np.testing.assert_allclose(y, wanted[0, 0, 0], rtol=3e-5, atol=3e-5, err_msg=str(case))


@pytest.mark.parametrize("rounding", ROUNDINGS)
@pytest.mark.parametrize("coordinate", COORDINATES)
def test_nearest(coordinate, rounding):
    sweep(Method("nearest", coordinate, rounding), coordinate, nearest_mode=rounding)


@pytest.mark.parametrize("mode", ["linear", "cubic"])
@pytest.mark.parametrize("coordinate", COORDINATES)
def test_interpolation(coordinate, mode):
    sweep(Method(mode, coordinate), coordinate)


@pytest.mark.parametrize("exclude", [False, True])
@pytest.mark.parametrize("mode", ["linear", "cubic"])
@pytest.mark.parametrize("coordinate", ["half_pixel", "align_corners", "asymmetric"])
def test_antialias(coordinate, mode, exclude):
    method = Method(mode, coordinate, antialias=True, exclude_outside=exclude)
    sweep(method, coordinate, antialias=1, exclude_outside=int(exclude))


@pytest.mark.parametrize("a", [-0.75, -0.5])
@pytest.mark.parametrize("coordinate", ["half_pixel", "align_corners"])
def test_cubic_without_what_lies_outside(coordinate, a):
    method = Method("cubic", coordinate, cubic_coeff_a=a, exclude_outside=True)
    sweep(method, coordinate, cubic_coeff_a=a, exclude_outside=1)


@pytest.mark.parametrize("mode", ["nearest", "linear", "cubic"])
@pytest.mark.parametrize("roi", [(0.1, 0.8), (-0.2, 1.3), (0.9, 0.2)], ids=str)
def test_regions(roi, mode):
    method = Method(mode, "tf_crop_and_resize")
    sweep(method, "tf_crop_and_resize", roi, extrapolation_value=5.5)


@pytest.mark.parametrize("scale", SCALES)
def test_before_opset_11(scale):
    scale = np.float32(scale)
    for length in range(1, 18):
        axis = Axis(length, int(scale * np.float32(length)), scale)
        if axis.resized in (0, length):
            continue
        case = Case("Resize", 10, [values(length)], [np.array([scale])], {"mode": "nearest"})
        (wanted,) = reference(*model([case]))
        rows = table(axis, Method("nearest", "asymmetric", "simple"))
        np.testing.assert_array_equal(apply(rows, values(length)), wanted)


@pytest.mark.parametrize("mode", ["nearest", "linear", "cubic"])
@pytest.mark.parametrize("coordinate", COORDINATES)
@pytest.mark.parametrize("scale", [0.25, 0.5, 0.75, 1.5, 2, 2.5, 3, 4])
def test_periodic_tables_are_the_others(scale, coordinate, mode):
    method, scale = Method(mode, coordinate), np.float32(scale)
    rows = periodic(scale, method)
    if rows is None:
        rounded = mode != "nearest" and scale in (0.75, 1.5, 2.5, 3)
        assert rounded or coordinate not in ("half_pixel", "asymmetric")
        return
    for length in range(1, 40):
        o = np.arange(length * rows.period // rows.step)
        if not len(o):
            continue
        given = table(Axis(length, len(o), scale), method)
        indices = o[:, None] // rows.period * rows.step + rows.indices[o % rows.period]
        np.testing.assert_array_equal(np.clip(indices, 0, length - 1), given.indices)
        if rows.weights is not None:
            np.testing.assert_array_equal(rows.weights[o % rows.period], given.weights)


def test_scales_that_are_no_simple_fraction_have_no_period():
    assert periodic(np.float32(0.7), Method("linear", "half_pixel")) is None
    assert periodic(np.float32(2), Method("linear", "align_corners")) is None
    assert periodic(np.float32(2), Method("linear", "half_pixel", antialias=True)) is None


def test_an_infinity_beside_the_window_does_not_matter():
    x = values(12)
    x[7] = np.inf
    for mode in ("linear", "cubic"):
        rows = table(Axis(12, 4, np.float32(1 / 3)), Method(mode, "half_pixel", antialias=True))
        y = apply(rows, x)
        assert np.isfinite(y[0])
        assert not np.isnan(y).any()


def test_a_scale_of_one_leaves_the_axis():
    x = coordinates(Axis(5, 5, np.float32(1)), "align_corners")
    np.testing.assert_array_equal(x, np.arange(5))
    assert known_to_onnxruntime(
        Case("Resize", 13, [values(5)], [None, np.float32([1])], {"mode": "nearest"})
    )
