"""What a file is that is no ONNX model, by its first bytes, and what to do. Knows no TVM."""

import zipfile
from pathlib import Path

_EXPORT = "export the model to ONNX"
_RAW = "download the file itself, by its raw address"
# The place of some bytes in a file, the bytes, and what the file is.
_MARKS = (
    (0, b"version https://git-lfs", "it is a pointer of Git LFS: fetch the file with git lfs pull"),
    (0, b"<!", f"it is a web page: {_RAW}"),
    (0, b"<html", f"it is a web page: {_RAW}"),
    (4, b"ORTM", "it is in ONNX Runtime's own format: give the .onnx file that it was made of"),
    (4, b"TFL3", "it is a TensorFlow Lite model: convert it with tf2onnx --tflite"),
    (0, b"\x89HDF", f"it is an HDF5 file, as Keras writes: {_EXPORT}"),
    (0, b"GGUF", f"it is a GGUF file: {_EXPORT} from the original weights"),
    (8, b'{"', f"it is a file of safetensors, which has weights only: {_EXPORT} with its code"),
    (0, b"\x1f\x8b", "it is compressed: unpack it with gunzip"),
)
_PYTORCH = (
    "it is a file of PyTorch: load it in Python, and give the module or the exported program to "
    "quake_tvm.compile"
)


def other_format(path: Path) -> str | None:
    """What the file is and what to do; None if it is of no format that is known here."""
    with path.open("rb") as file:
        start = file.read(64)
    for place, mark, what in _MARKS:
        if start[place : place + len(mark)] == mark:
            return what
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except (OSError, zipfile.BadZipFile):
        return None
    if any(name.endswith(("/data.pkl", "/archive_format")) for name in names):
        return _PYTORCH  # torch.save or torch.export.save wrote it
    return "it is a zip archive: unpack it, and give the .onnx file"
