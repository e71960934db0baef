"""Architectures of `transformers`: each with the settings that make it small, and its inputs."""

from collections.abc import Callable
from typing import Any

import torch
import transformers
import transformers.modeling_utils
import transformers.models.auto.modeling_auto

Built = tuple[torch.nn.Module, dict[str, torch.Tensor]]
_LENGTH = 12
# Settings by which configurations state their size, under all names in use.
_SMALL = {
    **dict.fromkeys(("hidden_size", "d_model", "n_embd", "dim", "hidden_dim", "n_embed"), 32),
    **dict.fromkeys(("num_hidden_layers", "n_layer", "n_layers", "num_layers"), 1),
    **dict.fromkeys(("encoder_layers", "decoder_layers", "num_decoder_layers"), 1),
    **dict.fromkeys(("num_attention_heads", "n_head", "n_heads", "num_heads"), 4),
    **dict.fromkeys(("encoder_attention_heads", "decoder_attention_heads"), 4),
    **dict.fromkeys(("intermediate_size", "n_inner", "d_ff", "ffn_dim", "d_inner"), 48),
    **dict.fromkeys(("encoder_ffn_dim", "decoder_ffn_dim"), 48),
    **{"num_key_value_heads": 2, "head_dim": 8, "embedding_size": 32, "d_kv": 8},
    **{"vocab_size": 100, "max_position_embeddings": 64, "n_positions": 64, "rotary_dim": 4},
    **dict.fromkeys(("pad_token_id", "bos_token_id", "decoder_start_token_id"), 0),
    "eos_token_id": 1,
}


def _model(kind: str, inputs: dict[str, torch.Tensor], **settings: Any) -> Built:
    config = transformers.AutoConfig.for_model(kind, **settings)
    for name, value in _SMALL.items():
        if name not in settings and isinstance(vars(config).get(name), int):
            setattr(config, name, value)
    config.use_cache = False
    if vars(config).get("layer_types"):
        config.layer_types = config.layer_types[: config.num_hidden_layers]
    return transformers.AutoModel.from_config(config), inputs


def _ids(vocabulary: int = 100) -> torch.Tensor:
    return torch.randint(2, vocabulary, (2, _LENGTH))


def _text(kind: str, **settings: Any) -> Callable[[], Built]:
    mask = torch.ones(2, _LENGTH, dtype=torch.int64)
    mask[1, -3:] = 0
    return lambda: _model(kind, {"input_ids": _ids(), "attention_mask": mask}, **settings)


def _plain_text(kind: str, **settings: Any) -> Callable[[], Built]:
    return lambda: _model(kind, {"input_ids": _ids()}, **settings)


def _translator(kind: str, **settings: Any) -> Callable[[], Built]:
    inputs = {"input_ids": _ids(), "decoder_input_ids": _ids()[:, :5]}
    return lambda: _model(kind, inputs, **settings)


def _picture(kind: str, size: int = 32, **settings: Any) -> Callable[[], Built]:
    inputs = {"pixel_values": torch.randn(1, 3, size, size)}
    return lambda: _model(kind, inputs, image_size=size, **settings)


def _sound(kind: str, **settings: Any) -> Callable[[], Built]:
    narrow = {"conv_dim": (16, 16, 16), "conv_stride": (5, 2, 2), "conv_kernel": (10, 3, 3)}
    settings = {**narrow, "num_feat_extract_layers": 3, **settings}
    settings |= {"num_conv_pos_embedding_groups": 4, "num_conv_pos_embeddings": 16}
    return lambda: _model(kind, {"input_values": torch.randn(1, 1600)}, **settings)


_STAGES = {"depths": [1, 1, 1, 1], "embed_dim": 16, "num_heads": [1, 2, 2, 4]}
TRANSFORMERS: dict[str, Callable[[], Built]] = {
    **{
        kind: _text(kind)
        for kind in (
            *("bert", "roberta", "distilbert", "electra", "mpnet", "albert", "camembert"),
            *("xlm-roberta", "ernie", "convbert", "squeezebert", "nystromformer", "roformer"),
            *("deberta", "deberta-v2", "modernbert", "gpt2", "gpt_neox", "gptj", "opt", "bloom"),
            *("llama", "mistral", "qwen2", "qwen3", "gemma", "gemma2", "phi", "phi3", "falcon"),
            *("stablelm", "olmo", "olmo2", "granite", "starcoder2", "cohere", "smollm3", "glm"),
            *("gpt_neo", "codegen", "mpt", "persimmon", "helium", "ctrl", "mixtral"),
        )
    },
    **{kind: _plain_text(kind) for kind in ("fnet", "xlnet", "mamba")},
    "mamba2": _plain_text("mamba2", hidden_size=32, num_heads=4, head_dim=16, n_groups=2),
    "rwkv": _plain_text("rwkv", hidden_size=32, attention_hidden_size=32, num_hidden_layers=2),
    **{
        kind: _translator(kind)
        for kind in ("t5", "bart", "mbart", "marian", "pegasus", "blenderbot", "mt5", "m2m_100")
    },
    **{kind: _picture(kind, patch_size=8) for kind in ("vit", "deit", "dinov2", "beit", "ijepa")},
    "swin": _picture("swin", patch_size=2, window_size=2, **_STAGES),
    "swinv2": _picture("swinv2", patch_size=2, window_size=2, **_STAGES),
    "convnext": _picture("convnext", depths=[1, 1, 1, 1], hidden_sizes=[8, 16, 16, 32]),
    "convnextv2": _picture("convnextv2", depths=[1, 1, 1, 1], hidden_sizes=[8, 16, 16, 32]),
    "resnet": _picture("resnet", depths=[1, 1, 1, 1], hidden_sizes=[8, 16, 16, 32]),
    "segformer": _picture("segformer", depths=[1, 1, 1, 1], hidden_sizes=[8, 16, 32, 32]),
    "mobilevit": _picture("mobilevit", size=64),
    "wav2vec2": _sound("wav2vec2"),
    "hubert": _sound("hubert"),
    "wavlm": _sound("wavlm"),
}
