"""Tux Paint's stamps: 763 drawings and photographs of twelve categories, by DINOv2's features."""

from collections import Counter
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import onnx
from PIL import Image
from sklearn.model_selection import StratifiedKFold

import debian_data
import model_data

from .builds import Build
from .evaluation import Result, accuracy
from .features import features
from .heads import logistic_regression

TASK, MODEL = "stamps", "DINOv2 ViT-S/14"
SIZE, BATCH, FOLDS = 224, 4, 5
# A category with fewer pictures is left out.
FEWEST = 12
# ImageNet's mean and deviation, with which the model was trained.
MEAN, DEVIATION = np.float32([0.485, 0.456, 0.406]), np.float32([0.229, 0.224, 0.225])
ENCODED = "/backbone/layernorm/Add_1_output_0"


def read() -> tuple[list[Path], np.ndarray]:
    """The pictures and their categories.

    Raises
    ------
    DataError
        If they are not available.
    """
    folder = debian_data.stamps()
    paths = sorted(p for p in folder.rglob("*.png") if not p.stem.endswith("_mirror"))
    labels = [path.relative_to(folder).parts[0] for path in paths]
    count = Counter(labels)
    kept = [n for n, label in enumerate(labels) if count[label] >= FEWEST]
    return [paths[n] for n in kept], np.array([labels[n] for n in kept])


def picture(path: Path) -> np.ndarray:
    """Float32 ``(3, 224, 224)``: on a white square, resized, normalized."""
    image = Image.open(path).convert("RGBA")
    side = max(image.size)
    square = Image.new("RGBA", (side, side), "white")
    square.alpha_composite(image, ((side - image.width) // 2, (side - image.height) // 2))
    pixels = np.asarray(square.convert("RGB").resize((SIZE, SIZE), Image.Resampling.BICUBIC))
    return ((pixels.astype(np.float32) / 255 - MEAN) / DEVIATION).transpose(2, 0, 1)


def encoder() -> onnx.ModelProto:
    """The model without its decoder. It gives 257 tokens; the first represents the picture."""
    model = onnx.load(model_data.image_encoder())
    del model.graph.output[:]
    model.graph.output.append(
        onnx.helper.make_tensor_value_info(ENCODED, onnx.TensorProto.FLOAT, None)
    )
    return model


def leave_one_out(gallery: np.ndarray, labels: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """For each row the label of the nearest other row in the gallery, by cosine."""
    unit = [a / np.linalg.norm(a, axis=1, keepdims=True) for a in (rows, gallery)]
    cosines = unit[0] @ unit[1].T
    np.fill_diagonal(cosines, -np.inf)
    return labels[cosines.argmax(axis=1)]


def evaluate(ways: Mapping[str, Build], every: int = 1) -> list[Result]:
    """Logistic regression, with each picture in the test fold once, and the nearest neighbour.

    Of the pictures only every so manyth is taken, if ``every`` is above 1.
    """
    paths, labels = (taken[::every] for taken in read())
    inputs = {"input_image": np.stack([picture(path) for path in paths])}
    found = {
        way: features(f"{TASK}, {way}", encoder(), build, inputs, BATCH)[:, 0]
        for way, build in ways.items()
    }
    exact = found["exact"]
    folds = StratifiedKFold(FOLDS, shuffle=True, random_state=0).split(exact, labels)
    heads = [
        (logistic_regression(exact[train], labels[train]), test) for train, test in list(folds)
    ]

    def by_fold(rows: np.ndarray) -> np.ndarray:
        answers = np.empty_like(labels)
        for predict, test in heads:
            answers[test] = predict(rows[test])
        return answers

    def by_neighbour(rows: np.ndarray) -> np.ndarray:
        return leave_one_out(exact, labels, rows)

    return [
        accuracy(TASK, MODEL, "logistic regression", found, by_fold, labels),
        accuracy(TASK, MODEL, "1-NN", found, by_neighbour, labels),
    ]
