"""Random nodes of ONNX's operators on images against ONNX Runtime."""

import random

import numpy as np
import pytest

from tests.onnx_nodes import Case, compare, ints, known_to_onnxruntime, values

OPSETS = [7, 9, 10, 11, 18, 22]
SCALES = [0.25, 0.33, 0.5, 2 / 3, 0.7, 0.9, 1, 1, 1.1, 1.5, 2, 2, 2.3, 7 / 3, 3, 4]


def resize(rng):
    """A Resize or Upsample of any form; None if it would be empty."""
    opset = rng.choice([7, 9, 10, 11, 13, 18, 19, 22])
    rank = rng.choice([4, 4, 4, 4, 1, 2, 3, 5])
    modes = ["nearest", "linear"] if opset < 11 else ["nearest", "linear", "cubic"]
    attributes = {"mode": (mode := rng.choice(modes))}
    most = 17 if rank < 5 else 6
    shape = [rng.randint(1, 3 if rank > 2 and d < 2 else most) for d in range(rank)]
    layout = rng.choice(["NCHW", "NCHW", "NHWC", "any"])
    chosen = range(2, rank)
    if rank <= 2 or (layout == "any" and mode == "nearest"):
        chosen = range(rank)
    elif layout == "NHWC" and rank == 4 and mode != "cubic":
        chosen = (1, 2)
    scales = [float(np.float32(rng.choice(SCALES))) if d in chosen else 1 for d in range(rank)]
    if opset < 10:
        scales = [max(1.0, s) for s in scales]
    resized = [int(np.float32(s) * np.float32(n)) for s, n in zip(scales, shape, strict=True)]
    if 0 in resized:
        return None
    x = values(*shape, dtype="int8" if mode == "nearest" and rng.random() < 0.2 else "float32")
    if opset < 9:
        return Case("Upsample", opset, [x], [], {**attributes, "scales": scales})
    if opset < 11:
        operator = "Upsample" if opset == 9 else "Resize"
        return Case(operator, opset, [x], [np.float32(scales)], attributes)
    coordinates = ["half_pixel", "pytorch_half_pixel", "align_corners", "asymmetric"]
    coordinates += (
        ["half_pixel_symmetric"] if opset >= 19 else ["tf_half_pixel_for_nn"] * (opset < 13)
    )
    if rng.random() < 0.9:
        attributes["coordinate_transformation_mode"] = rng.choice(coordinates)
    if mode == "nearest" and rng.random() < 0.8:
        attributes["nearest_mode"] = rng.choice(
            ["round_prefer_floor", "round_prefer_ceil", "floor", "ceil"]
        )
    if mode == "cubic" and rng.random() < 0.4:
        attributes["cubic_coeff_a"] = -0.5
    if opset >= 18 and mode != "nearest" and rng.random() < 0.35:
        attributes["antialias"] = 1
    if (mode == "cubic" or "antialias" in attributes) and rng.random() < 0.4:
        attributes["exclude_outside"] = 1
    axes = list(range(rank))
    if opset >= 18 and rng.random() < 0.4:
        axes = [d for d in axes if scales[d] != 1] or [rank - 1]
        attributes["axes"] = axes
    roi = None if opset >= 13 else np.zeros(0, np.float32)
    if rng.random() < 0.1 and x.dtype == np.float32:
        attributes["coordinate_transformation_mode"] = "tf_crop_and_resize"
        attributes["extrapolation_value"] = 7.5
        starts = [0 if scales[d] == 1 else rng.choice([0, 0.1, -0.2, 0.6]) for d in axes]
        ends = [1 if scales[d] == 1 else rng.choice([1, 0.9, 1.3, 0.2]) for d in axes]
        roi = np.float32(starts + ends)
        return Case("Resize", opset, [x], [roi, np.float32([scales[d] for d in axes])], attributes)
    if rng.random() < 0.5:
        return Case("Resize", opset, [x], [roi, np.float32([scales[d] for d in axes])], attributes)
    sizes = [
        resized[d] if rng.random() < 0.7 or scales[d] == 1 else rng.randint(1, 20) for d in axes
    ]
    if opset >= 18 and rng.random() < 0.3:
        attributes["keep_aspect_ratio_policy"] = rng.choice(["not_larger", "not_smaller"])
    none = None if opset >= 13 else np.zeros(0, np.float32)
    return Case("Resize", opset, [x], [roi, none, ints(*sizes)], attributes)


def pooling(rng):
    """A pooling whose windows fit."""
    operator, opset = rng.choice(["MaxPool", "AveragePool", "LpPool"]), rng.choice(OPSETS)
    rank = rng.choice([1, 2, 2, 2, 3])
    kernel = [rng.randint(1, 4) for _ in range(rank)]
    attributes = {"kernel_shape": kernel, "strides": [rng.randint(1, 4) for _ in range(rank)]}
    since = {"MaxPool": 10, "AveragePool": 19, "LpPool": 18}[operator]
    if opset >= since and rng.random() < 0.3:
        attributes["dilations"] = [rng.randint(1, 3) for _ in range(rank)]
    if opset >= (18 if operator == "LpPool" else 10) and rng.random() < 0.5:
        attributes["ceil_mode"] = 1
    if rng.random() < 0.5:
        attributes["pads"] = [rng.randint(0, k - 1) for k in kernel * 2]
    elif len(attributes) == 2 and all(map(int.__ge__, kernel, attributes["strides"])):
        attributes["auto_pad"] = rng.choice(["SAME_UPPER", "SAME_LOWER", "VALID"])
    if operator == "AveragePool":
        attributes["count_include_pad"] = rng.randint(0, 1)
    if operator == "LpPool":
        attributes["p"] = rng.choice([1, 2, 3, 4])
    dilations = attributes.get("dilations", [1] * rank)
    least = [(k - 1) * d + 1 for k, d in zip(kernel, dilations, strict=True)]
    spatial = [n + rng.randint(0, 9 if rank < 3 else 4) for n in least]
    return Case(operator, opset, [values(2, 3, *spatial)], [], attributes)


def transposed(rng):
    """A ConvTranspose, with or without an output_shape."""
    rank, groups = rng.choice([1, 2, 2, 3]), rng.choice([1, 2])
    kernel = [rng.randint(1, 3) for _ in range(rank)]
    spatial = [rng.randint(2, 7) for _ in range(rank)]
    strides = [rng.randint(1, 3) for _ in range(rank)]
    attributes = {"strides": strides, "group": groups}
    whole = [(n - 1) * s + k for n, s, k in zip(spatial, strides, kernel, strict=True)]
    if rng.random() < 0.7:
        attributes["output_shape"] = [max(1, n - rng.randint(0, 2)) for n in whole]
    if rng.random() < 0.5:
        attributes["auto_pad"] = rng.choice(["SAME_UPPER", "SAME_LOWER"])
    constants = [values(4, 3, *kernel)]
    if rng.random() < 0.5:
        constants.append(values(3 * groups))
    return Case(
        "ConvTranspose", rng.choice([7, 11]), [values(1, 4, *spatial)], constants, attributes
    )


def convolution(rng):
    rank, groups = rng.choice([1, 2, 2, 3]), rng.choice([1, 2, 4])
    attributes = {"group": groups, "strides": [rng.randint(1, 3) for _ in range(rank)]}
    if rng.random() < 0.4:
        attributes["auto_pad"] = rng.choice(["SAME_UPPER", "SAME_LOWER", "VALID"])
    else:
        attributes["pads"] = [rng.randint(0, 2) for _ in range(2 * rank)]
        attributes["dilations"] = [rng.randint(1, 2) for _ in range(rank)]
    kernel = [rng.randint(1, 3) for _ in range(rank)]
    weights = values(8, 4 // groups, *kernel)
    x = values(2, 4, *[rng.randint(5, 9) for _ in range(rank)])
    return Case("Conv", rng.choice([7, 11]), [x], [weights, values(8)], attributes)


def drawn(make, seed, count):
    """Random nodes that ONNX Runtime accepts."""
    rng, found = random.Random(seed), []
    while len(found) < count:
        case = make(rng)
        if case is not None and known_to_onnxruntime(case):
            found.append(case)
    return found


@pytest.mark.parametrize(
    ("make", "count"), [(convolution, 6), (transposed, 12), (pooling, 40), (resize, 60)]
)
def test_random_nodes(make, count):
    compare(drawn(make, 0, count))


@pytest.mark.sweep
@pytest.mark.parametrize("seed", range(1, 21))
@pytest.mark.parametrize("make", [resize, pooling, transposed, convolution])
def test_more_random_nodes(make, seed):
    compare(drawn(make, seed, 150))
