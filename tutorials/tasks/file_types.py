"""Files of this machine, classified by Magika: 214 types, from the first and the last kilobyte.

A file's label is its suffix, if the suffix is unambiguous. The set of files depends on the machine,
so the metric can be compared between rungs, not between machines.
"""

import json
import sys
from collections import defaultdict
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path

import numpy as np

import model_data

from .builds import Build
from .evaluation import Result, accuracy
from .features import features

TASK, MODEL = "file types", "Magika"
BATCH = 8
# Bytes from each end of a file, the block that they are taken from without white space, and the
# number that stands for a missing byte.
END, BLOCK, PADDING = 1024, 4096, 256
FOLDERS = ("/usr/share", "/usr/lib", f"{sys.base_prefix}/lib")
# The most and the fewest files of a type (types with fewer are left out), and the least size of a
# file in bytes.
MOST, FEWEST, SHORTEST = 30, 5, 64
TYPES = """asm=asm awk=awk bat=batch bmp=bmp bz2=bzip c=c cmake=cmake cpp=cpp crt=pem cs=cs css=css
csv=csv el=lisp f90=fortran gif=gif go=go gz=gzip html=html ini=ini jar=jar java=java jpg=jpeg
js=javascript json=json m4=m4 md=markdown npy=npy npz=npz o=elf ogg=ogg otf=otf pdf=pdf pem=pem
php=php pl=perl pm=perl png=png ps=postscript ps1=powershell py=python pyc=pythonbytecode rb=ruby
rs=rust rst=rst sh=shell so=elf sql=sql svg=svg tar=tar tcl=tcl tex=latex tiff=tiff toml=toml
ts=typescript ttf=ttf txt=txt wav=wav whl=zip woff=woff woff2=woff2 xml=xml xz=xz yaml=yaml
yml=yaml zip=zip"""
_KINDS = dict(pair.split("=") for pair in TYPES.split())


def read() -> tuple[np.ndarray, np.ndarray]:
    """Inputs int32 ``(files, 2048)`` and the numbers of their types.

    Raises
    ------
    DataError
        If Magika's names cannot be had.
    """
    names = json.loads(model_data.file_types().read_text())["target_labels_space"]
    by_type = defaultdict(list)
    for path in paths():
        by_type[_KINDS[path.suffix[1:]]].append(path)
    rows, labels = [], []
    for kind in sorted(by_type):
        files = different(by_type[kind])
        if len(files) >= FEWEST:
            rows += [ends(content) for content in files]
            labels += [names.index(kind)] * len(files)
    return np.array(rows, np.int32), np.array(labels)


def paths() -> list[Path]:
    """The files of known types on this machine, in an order that does not depend on their type."""
    found = (path for folder in FOLDERS for path in Path(folder).rglob("*.*"))
    kept = [p for p in found if p.suffix[1:] in _KINDS and p.is_file() and not p.is_symlink()]
    return sorted(kept, key=lambda p: sha256(str(p).encode()).digest())


def different(paths: list[Path]) -> list[bytes]:
    """Contents of the first files that are long enough, without duplicates."""
    found: dict[bytes, None] = {}
    for path in paths:
        content = path.read_bytes()
        if len(content) >= SHORTEST:
            found[content] = None
        if len(found) == MOST:
            break
    return list(found)


def ends(content: bytes) -> list[int]:
    """Magika's input: the beginning, padded at its end, and the end, padded at its beginning."""
    first = list(content[:BLOCK].lstrip()[:END])
    last = list(content[-BLOCK:].rstrip()[-END:])
    return first + [PADDING] * (2 * END - len(first) - len(last)) + last


def evaluate(ways: Mapping[str, Build]) -> list[Result]:
    """The accuracy of the most likely type."""
    rows, labels = read()
    model = model_data.file_classifier()
    found = {
        way: features(f"{TASK}, {way}", model, build, {"bytes": rows}, BATCH)
        for way, build in ways.items()
    }
    return [accuracy(TASK, MODEL, "its own", found, lambda p: p.argmax(axis=1), labels)]
