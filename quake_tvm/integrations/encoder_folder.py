"""What a folder of sentence-transformers or transformers says: files, pooling, the longest text.

Reads JSON only. Knows no model and no tokenizer.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import QuakeError

# Flags of a pooling module's config.json, in the order in which their results are joined.
_POOLINGS = {
    "pooling_mode_cls_token": "cls",
    "pooling_mode_max_tokens": "max",
    "pooling_mode_mean_tokens": "mean",
    "pooling_mode_mean_sqrt_len_tokens": "mean_sqrt",
}
_ONNX = ("model.onnx", "onnx/model.onnx")
# transformers writes a number beyond this where a tokenizer has no longest text.
_NO_LIMIT = 10**9


@dataclass(frozen=True)
class EncoderFolder:
    """A model's folder.

    Attributes
    ----------
    path : Path
    tokenizer : Path
        ``tokenizer.json``.
    onnx : Path or None
        None if the weights are in ``model.safetensors`` only.
    pooling : tuple of str
        How the tokens' vectors become the text's: ``cls``, ``max``, ``mean``, ``mean_sqrt``.
    normalize : bool
        Whether the text's vector gets length 1.
    longest : int or None
        The most tokens of a text; longer ones are cut.
    lower : bool
        Whether texts are put into lower case before they are split.
    prompt : str
        What is put before each text.
    """

    path: Path
    tokenizer: Path
    onnx: Path | None
    pooling: tuple[str, ...]
    normalize: bool
    longest: int | None
    lower: bool
    prompt: str

    @staticmethod
    def read(path: str | Path) -> "EncoderFolder":
        """Read a folder.

        Raises
        ------
        QuakeError
            For a folder without a tokenizer or a model, and for modules that are not supported.
        """
        folder = Path(path)
        tokenizer = folder / "tokenizer.json"
        if not tokenizer.is_file():
            raise QuakeError(f"no file tokenizer.json in {folder}: save a fast tokenizer there")
        onnx = next((folder / name for name in _ONNX if (folder / name).is_file()), None)
        if onnx is None and not (folder / "model.safetensors").is_file():
            raise QuakeError(f"neither model.onnx nor model.safetensors in {folder}")
        prompt = _prompt(folder / "config_sentence_transformers.json")
        pooling: tuple[str, ...] = ("mean",)
        normalize = False
        for module in _json(folder / "modules.json", []):
            kind = module["type"].rpartition(".")[2]
            if kind == "Pooling":
                pooling = _pooling(folder / module["path"] / "config.json", prompt)
            elif kind == "Normalize":
                normalize = True
            elif kind != "Transformer":
                raise QuakeError(f"{folder} has a module {kind}, which is not supported")
        own = _json(folder / "sentence_bert_config.json", {})
        longest, lower = own.get("max_seq_length"), bool(own.get("do_lower_case"))
        if longest is None:
            longest = _longest(folder)
        return EncoderFolder(folder, tokenizer, onnx, pooling, normalize, longest, lower, prompt)


def _json(path: Path, default: Any) -> Any:
    """The content of a file, or the default if there is none."""
    if not path.is_file():
        return default
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise QuakeError(f"{path} is no JSON: {error}") from None


def _longest(folder: Path) -> int | None:
    """The most tokens that both the model and the tokenizer take.

    Some models have fewer places than position embeddings, which only the tokenizer tells.
    """
    limits = (
        _json(folder / "config.json", {}).get("max_position_embeddings"),
        _json(folder / "tokenizer_config.json", {}).get("model_max_length"),
    )
    return min((int(n) for n in limits if n and n < _NO_LIMIT), default=None)


def _prompt(path: Path) -> str:
    """The prompt that the folder names as the default; empty if there is none."""
    config = _json(path, {})
    name = config.get("default_prompt_name")
    return "" if name is None else config.get("prompts", {}).get(name, "")


def _pooling(path: Path, prompt: str) -> tuple[str, ...]:
    config = _json(path, {})
    if prompt and not config.get("include_prompt", True):
        raise QuakeError(f"{path} leaves the prompt out of the pooling, which is not supported")
    wanted = [name for name, on in config.items() if name.startswith("pooling_mode_") and on]
    for name in wanted:
        if name not in _POOLINGS:
            raise QuakeError(f"{path} asks for {name}, which is not supported")
    return tuple(kind for name, kind in _POOLINGS.items() if name in wanted) or ("mean",)
