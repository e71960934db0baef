"""Architectures of `timm`: a small variant of each, with image size and further settings."""

from collections.abc import Callable
from typing import Any

import timm
import torch

Built = tuple[torch.nn.Module, dict[str, torch.Tensor]]


def _model(name: str, size: int = 64, **settings: Any) -> Callable[[], Built]:
    def build() -> Built:
        model = timm.create_model(name, pretrained=False, num_classes=10, **settings)
        return model, {"x": torch.randn(1, 3, size, size)}

    return build


_STAGES = {"depths": (1, 1, 1, 1)}
TIMM: dict[str, Callable[[], Built]] = {
    **{
        name: _model(name)
        for name in (
            *("resnet10t", "mobilenetv2_035", "mobilenetv3_small_050", "lcnet_035", "tinynet_e"),
            *("mnasnet_small", "ghostnet_050", "regnetx_002", "regnety_002", "repvgg_a0"),
            *("efficientnet_lite0", "mobilenetv4_conv_small_035", "hardcorenas_a", "dla46_c"),
            *("fbnetv3_b", "mobilevit_xxs", "mobilevitv2_050", "edgenext_xx_small", "rexnet_100"),
            *("starnet_s050", "selecsls42", "nf_regnet_b0", "spnasnet_100", "efficientvit_b0"),
            *("fastvit_t8", "mobileone_s0", "skresnet18"),
        )
    },
    "densenet": _model("densenet121", block_config=(2, 2, 2, 2)),
    "convnext": _model("convnext_atto", **_STAGES),
    "convnextv2": _model("convnextv2_atto", **_STAGES),
    "poolformer": _model("poolformer_s12"),
    "mambaout": _model("mambaout_femto", **_STAGES),
    "inception_next": _model("inception_next_atto", **_STAGES),
    "vit": _model("vit_tiny_patch16_224", img_size=64, depth=2),
    "deit3": _model("deit3_small_patch16_224", img_size=64, depth=2),
    "eva02": _model("eva02_tiny_patch14_224", 56, img_size=56, depth=2),
    "beit": _model("beit_base_patch16_224", img_size=64, depth=2, embed_dim=96, num_heads=4),
    "mixer": _model("mixer_s32_224", img_size=64),
    "gmlp": _model("gmlp_ti16_224", img_size=64),
    "resmlp": _model("resmlp_12_224", img_size=64),
    "xcit": _model("xcit_nano_12_p16_224", img_size=64, depth=2),
    "cait": _model("cait_xxs24_224", img_size=64, depth=2),
    "swin": _model("swin_tiny_patch4_window7_224", img_size=64, window_size=4, depths=(1, 1, 1, 1)),
    "swinv2": _model("swinv2_tiny_window8_256", img_size=64, window_size=4, depths=(1, 1, 1, 1)),
    "pvt_v2": _model("pvt_v2_b0", depths=(1, 1, 1, 1)),
}
