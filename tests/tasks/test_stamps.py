"""From pictures to nearest neighbours."""

import numpy as np
import pytest

pytest.importorskip("PIL")
pytest.importorskip("sklearn")

from PIL import Image

from tasks import stamps


def test_picture_on_white(tmp_path):
    path = tmp_path / "wide.png"
    Image.new("RGBA", (40, 20), (0, 0, 0, 255)).save(path)
    pixels = stamps.picture(path) * stamps.DEVIATION[:, None, None] + stamps.MEAN[:, None, None]
    assert pixels.shape == (3, 224, 224)
    np.testing.assert_allclose(pixels[:, [0, 112, 223], 112], [[1, 0, 1]] * 3, atol=1e-6)


def test_no_one_is_their_own_neighbour():
    gallery = np.array([[1, 0], [1, 0.1], [0, 1], [0.1, 1]])
    labels = np.array(["a", "b", "c", "d"])
    found = stamps.leave_one_out(gallery, labels, gallery + 0.001)
    assert found.tolist() == ["b", "a", "d", "c"]


def test_categories_with_few_pictures_and_mirrored_ones_are_left_out(tmp_path, monkeypatch):
    for category, count in {"animals": 13, "space": 3}.items():
        folder = tmp_path / category / "deeper"
        folder.mkdir(parents=True)
        for n in range(count):
            (folder / f"{n}.png").touch()
        (folder / "0_mirror.png").touch()
    monkeypatch.setattr(stamps.debian_data, "stamps", lambda: tmp_path)
    paths, labels = stamps.read()
    assert len(paths) == 13
    assert set(labels) == {"animals"}
