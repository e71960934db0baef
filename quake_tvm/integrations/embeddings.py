"""Sentence encoders from local folders: texts to vectors.

Needs the package ``tokenizers``. A folder without ``model.onnx`` also needs ``transformers`` and
``torch``. Nothing is downloaded. Knows :func:`quake_tvm.compile` and nothing below it.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from .. import tvm_version  # noqa: F401  # loads TVM, without torch
from ..compiler import compile
from ..errors import QuakeError
from ..runtime.model import Model
from .encoder_folder import EncoderFolder

_IDS, _MASK, _TYPES = "input_ids", "attention_mask", "token_type_ids"
BATCH = 32


class Embedder:
    """A sentence encoder. Make one with :meth:`load`.

    Attributes
    ----------
    model : Model
    folder : EncoderFolder
        How the tokens' vectors are pooled, and the longest text.
    """

    def __init__(self, model: Model, tokenizer: Any, folder: EncoderFolder) -> None:
        for tensor in model.inputs:
            if tensor.name not in (_IDS, _MASK, _TYPES):
                raise QuakeError(
                    f"the model has an input {tensor.name!r}: an encoder has {_IDS}, {_MASK} and "
                    f"{_TYPES}"
                )
        found = [k for k, tensor in enumerate(model.outputs) if len(tensor.shape) == 3]
        if not found:
            raise QuakeError("the model has no output of shape (batch, length, width)")
        self.model, self.folder = model, folder
        self._tokenizer, self._tokens = tokenizer, found[0]

    def __repr__(self) -> str:
        pooled = "+".join(self.folder.pooling)
        return f"<quake_tvm.integrations.Embedder {self.folder.path} ({pooled}), {self.model!r}>"

    @staticmethod
    def load(folder: str | Path, **options: Any) -> "Embedder":
        """Load a folder as sentence-transformers, transformers or optimum write it.

        Parameters
        ----------
        folder : path
            With ``tokenizer.json``, and ``model.onnx`` (or ``onnx/model.onnx``) or
            ``model.safetensors``. ``modules.json`` and its pooling's ``config.json`` are honoured;
            without them the mean is taken.
        **options
            Those of :func:`quake_tvm.compile`: method, precision, cache and so on.

        Raises
        ------
        QuakeError
            For a folder that lacks a file or asks for something that is not supported, for a
            package that is not installed, and as :func:`quake_tvm.compile`.
        """
        read = EncoderFolder.read(folder)
        tokenizer = _tokenizer(read)
        if read.onnx is not None:
            return Embedder(compile(read.onnx, **options), tokenizer, read)
        return Embedder(_from_weights(read, **options), tokenizer, read)

    def embed(self, texts: str | Sequence[str], batch: int = BATCH) -> np.ndarray:
        """The vectors of texts of any length.

        Parameters
        ----------
        texts : str or sequence of str
        batch : int
            How many texts are computed at once. Texts of similar length share a batch.

        Returns
        -------
        array of float32, of shape (texts, width)
            One text gives one row.

        Raises
        ------
        QuakeError
            For a batch below 1, and for what is no text.
        """
        texts = [texts] if isinstance(texts, str) else list(texts)
        for n, text in enumerate(texts):
            _check(text, n)
        if batch < 1:
            raise QuakeError(f"batch must be at least 1, not {batch}")
        encoded = self._tokenizer.encode_batch([self._prepared(text) for text in texts])
        order = sorted(range(len(encoded)), key=lambda k: len(encoded[k].ids))
        rows: list[np.ndarray | None] = [None] * len(encoded)
        for start in range(0, len(order), batch):
            chosen = order[start : start + batch]
            for k, row in zip(chosen, self._vectors([encoded[k] for k in chosen]), strict=True):
                rows[k] = row
        return np.stack(rows) if rows else np.zeros((0, self._width), np.float32)  # type: ignore

    def _prepared(self, text: str) -> str:
        """A text as sentence-transformers gives it to the tokenizer."""
        text = (self.folder.prompt + text).strip()
        return text.lower() if self.folder.lower else text

    @property
    def _width(self) -> int:
        return len(self.folder.pooling) * int(self.model.outputs[self._tokens].shape[-1])

    def _vectors(self, encoded: Sequence[Any]) -> np.ndarray:
        """The vectors of texts that are computed at once, padded to the longest one."""
        length = max(len(e.ids) for e in encoded)
        fields = {_IDS: "ids", _MASK: "attention_mask", _TYPES: "type_ids"}
        arrays = {
            name: np.array(
                [getattr(e, field) + [0] * (length - len(e.ids)) for e in encoded], np.int64
            )
            for name, field in fields.items()
        }
        feeds = {t.name: arrays[t.name].astype(t.dtype) for t in self.model.inputs}
        tokens = self.model.run(feeds)[self._tokens].astype(np.float32)
        pooled = pool(tokens, arrays[_MASK], self.folder.pooling)
        if not self.folder.normalize:
            return pooled
        return pooled / np.maximum(np.linalg.norm(pooled, axis=1, keepdims=True), 1e-12)


def _check(text: Any, n: int) -> None:
    if not isinstance(text, str):
        raise QuakeError(f"text {n} must be a str, not a {type(text).__name__}")
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise QuakeError(f"text {n} is no valid Unicode: {error}") from None


def pool(tokens: np.ndarray, mask: np.ndarray, kinds: Sequence[str]) -> np.ndarray:
    """The vectors of texts from those of their tokens.

    Parameters
    ----------
    tokens : array of shape (batch, length, width)
    mask : array of shape (batch, length)
        1 for tokens, 0 for padding.
    kinds : sequence of str
        ``cls``, ``max``, ``mean`` or ``mean_sqrt``; the results are joined.

    Returns
    -------
    array of shape (batch, width times the number of kinds)
    """
    here = mask[..., None].astype(tokens.dtype)
    count = np.maximum(here.sum(axis=1), 1e-9)
    found = {
        "cls": lambda: tokens[:, 0],
        "max": lambda: np.where(here > 0, tokens, -np.inf).max(axis=1),
        "mean": lambda: (tokens * here).sum(axis=1) / count,
        "mean_sqrt": lambda: (tokens * here).sum(axis=1) / np.sqrt(count),
    }
    return np.concatenate([found[kind]() for kind in kinds], axis=1)


def _tokenizer(folder: EncoderFolder) -> Any:
    try:
        from tokenizers import Tokenizer
    except ImportError:
        raise QuakeError("texts need the package tokenizers: pip install tokenizers") from None
    try:
        tokenizer = Tokenizer.from_file(str(folder.tokenizer))
    except Exception as error:  # tokenizers raises no type of its own
        raise QuakeError(f"{folder.tokenizer} is no tokenizer: {error}") from None
    tokenizer.no_padding()  # texts are padded batch by batch
    if folder.longest is not None:
        tokenizer.enable_truncation(folder.longest)
    return tokenizer


def _from_weights(folder: EncoderFolder, **options: Any) -> Model:
    try:
        import torch
        from transformers import AutoModel
    except ImportError as error:
        raise QuakeError(
            f"{folder.path} has no model.onnx, and its weights need torch and transformers "
            f"({error}): install these, or export the model to ONNX"
        ) from None
    module = AutoModel.from_pretrained(folder.path, local_files_only=True).eval()
    # Sizes of 2 and more: torch takes 0 and 1 for fixed.
    example = {name: torch.ones((2, 8), dtype=torch.int64) for name in (_IDS, _MASK)}
    shapes = {"shapes": dict.fromkeys(example, ("batch", "length"))}
    return compile(module, example_inputs=example, **{**shapes, **options})
