"""A small network, trained briefly: from the images to the cost of a rung."""

import pytest

pytest.importorskip("torch")
pytest.importorskip("sklearn")

import numpy as np
import torch

from tasks import builds, digits


def test_evaluate(monkeypatch):
    monkeypatch.setattr(digits, "NETWORKS", {"SiLU": digits.NETWORKS["CNN, SiLU"]})
    ways = {"exact": builds.EXACT, "quake2": builds.RUNGS["quake2"]}
    (result,) = digits.evaluate(ways, seeds=1, epochs=2)
    assert (result.items, result.networks) == (540, 1)
    assert result.exact > 0.5
    assert result.losses.keys() == {"quake2"}
    assert 0.999 < result.losses["quake2"].cosine_min < 1 - 1e-9


def test_the_same_seed_trains_the_same_network():
    train, _, labels, _ = digits.read()
    build = digits.NETWORKS["CNN, tanh"]
    one, other, another = (
        digits.trained(build, train[:64], labels[:64], seed, 1).state_dict() for seed in (0, 0, 1)
    )
    assert all(torch.equal(one[name], other[name]) for name in one)
    assert not all(torch.equal(one[name], another[name]) for name in one)


def test_vision_transformer_as_torch_has_it():
    """Attention whose softmax torch guards against rows of only -inf."""
    torch.manual_seed(0)
    network = digits.VisionTransformer().eval()
    pictures = np.random.default_rng(0).random((4, 1, 8, 8), np.float32)
    with torch.no_grad():
        expected = network(torch.from_numpy(pictures)).numpy()
    found = digits.logits("test", network, builds.EXACT, pictures, pictures)
    np.testing.assert_allclose(found, expected, atol=2e-5)
