"""Handwritten digits with small networks that are trained here: one a nonlinearity, and a ViT.

The test set is 540 of scikit-learn's 1,797 images of 8 by 8 pixels. It is small, so each network is
trained from several seeds, and each of them is tested on all 540.
"""

from collections.abc import Callable, Mapping

import numpy as np
import torch
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from torch import nn

from .builds import Build
from .evaluation import Result, accuracy
from .features import features, steps

TASK = "digits"
TEST, SEEDS, EPOCHS, BATCH = 540, 5, 20, 64


def convolutional(nonlinearity: Callable[[], nn.Module]) -> nn.Module:
    """Two convolutions and two linear layers."""
    return nn.Sequential(
        nn.Conv2d(1, 16, 3, padding=1),
        nonlinearity(),
        nn.Conv2d(16, 32, 3, stride=2, padding=1),
        nonlinearity(),
        nn.Flatten(),
        nn.Linear(32 * 4 * 4, 64),
        nonlinearity(),
        nn.Linear(64, 10),
    )


class VisionTransformer(nn.Module):
    """Four layers, 64 wide, of four heads, over sixteen patches of 2 by 2."""

    def __init__(self) -> None:
        super().__init__()
        self.patches = nn.Conv2d(1, 64, 2, stride=2)
        self.positions = nn.Parameter(0.02 * torch.randn(1, 16, 64))
        self.layers = nn.Sequential(
            *(
                nn.TransformerEncoderLayer(64, 4, 128, 0.0, "gelu", batch_first=True)
                for _ in range(4)
            )
        )
        self.head = nn.Linear(64, 10)

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        """Logits ``(n, 10)`` of pictures ``(n, 1, 8, 8)``."""
        tokens = self.patches(input).flatten(2).transpose(1, 2) + self.positions
        return self.head(self.layers(tokens).mean(dim=1))


NETWORKS: dict[str, Callable[[], nn.Module]] = {
    **{
        f"CNN, {name}": lambda nonlinearity=nonlinearity: convolutional(nonlinearity)
        for name, nonlinearity in {
            "SiLU": nn.SiLU,
            "ELU": nn.ELU,
            "softplus": nn.Softplus,
            "Mish": nn.Mish,
            "tanh": nn.Tanh,
            "sigmoid": nn.Sigmoid,
            "GELU": nn.GELU,
        }.items()
    },
    "ViT, GELU and softmax": VisionTransformer,
}


def read() -> list[np.ndarray]:
    """Pictures to train on and to test, float32 ``(n, 1, 8, 8)``, and the labels of both."""
    digits = load_digits()
    pictures = np.float32(digits.images[:, None]) / 16
    return train_test_split(
        pictures, digits.target, test_size=TEST, random_state=0, stratify=digits.target
    )


def trained(
    build: Callable[[], nn.Module], pictures: np.ndarray, labels: np.ndarray, seed: int, epochs: int
) -> nn.Module:
    """A network after some epochs of Adam."""
    torch.manual_seed(seed)
    network = build()
    optimizer = torch.optim.Adam(network.parameters(), 2e-3)
    x, y = torch.from_numpy(pictures), torch.from_numpy(labels)
    for _ in range(epochs):
        for chosen in torch.randperm(len(x)).split(BATCH):
            optimizer.zero_grad()
            nn.functional.cross_entropy(network(x[chosen]), y[chosen]).backward()
            optimizer.step()
    return network.eval()


def logits(
    label: str, network: nn.Module, build: Build, pictures: np.ndarray, seen: np.ndarray
) -> np.ndarray:
    """The network's outputs for the pictures, built for all of them as one batch.

    Bytes of a convolutional network have scales from the pictures that it has seen in training.
    """
    program = torch.export.export(network, (torch.from_numpy(pictures),))
    typical = None if isinstance(network, VisionTransformer) else {"input": seen}
    return features(label, program, build, {"input": pictures}, len(pictures), typical)


def evaluate(ways: Mapping[str, Build], seeds: int = SEEDS, epochs: int = EPOCHS) -> list[Result]:
    """The accuracy of the most likely digit, for each of the networks."""
    train, test, train_labels, labels = read()
    results = []
    for name, build in NETWORKS.items():
        networks = [
            trained(build, train, train_labels, seed, epochs)
            for seed in steps(range(seeds), f"training: {name}")
        ]
        found = {
            way: np.stack(
                [logits(f"{TASK}, {name}, {way}", n, build, test, train) for n in networks]
            )
            for way, build in ways.items()
        }
        results.append(
            accuracy(TASK, name, "its own", found, lambda rows: rows.argmax(axis=-1), labels)
        )
    return results
