"""A model with symbolic dimensions is compiled once, without shapes, and run at each of its sizes.

Where ONNX Runtime refuses a size, anything but a crash is right. At one size of some graphs the
result must have the bits of a build for that size alone.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

import quake_tvm

from .generate import Case
from .judge import Judge

Feeds = Mapping[str, np.ndarray]


@dataclass
class Sizes:
    """What became of the sizes of a graph.

    ``right`` and ``refused`` count sizes that ONNX Runtime accepts. ``fault`` is a wrong value or
    an error that is no refusal.
    """

    right: int = 0
    refused: int = 0
    never_valid: int = 0
    refusal: quake_tvm.QuakeError | None = None
    wrong: str = ""
    fault: Exception | None = None


def check_sizes(
    case: Case,
    judge: Judge,
    method: str,
    compared: Callable[[Feeds, list[np.ndarray]], str],
) -> Sizes:
    """Compile the case and run it at each size.

    ``compared`` tells what is wrong with the outputs. An error of the compilation is raised.
    """
    model = quake_tvm.compile(case.model, method=method)
    found = Sizes()
    for k, feeds in enumerate(case.feeds):
        valid = _accepts(judge, feeds)
        try:
            outputs = [o.copy() for o in model.run(feeds)]
        except quake_tvm.QuakeError as error:
            if len(str(error).strip().splitlines()) > 1:
                found.fault = error
                return found
            found.never_valid += not valid
            if valid:
                found.refused += 1
                found.refusal = error
            continue
        except Exception as error:
            found.fault = error
            return found
        if not valid:
            found.never_valid += 1
            continue
        found.wrong = compared(feeds, outputs)
        if not found.wrong and k == case.bits:
            found.wrong = _other_bits(case, method, feeds, outputs)
        if found.wrong:
            shapes = ", ".join(f"{name} {value.shape}" for name, value in feeds.items())
            found.wrong = f"at {shapes}: {found.wrong}"
            return found
        found.right += 1
    return found


def _accepts(judge: Judge, feeds: Feeds) -> bool:
    try:
        judge.outputs(feeds, "exact", 0)
    except Exception:  # ONNX Runtime has no common base for its errors
        return False
    return True


def _other_bits(case: Case, method: str, feeds: Feeds, got: list[np.ndarray]) -> str:
    """Where the outputs of a build for these shapes alone differ; empty if nowhere."""
    shapes = {name: value.shape for name, value in feeds.items()}
    static = quake_tvm.compile(case.model, method=method, shapes=shapes).run(feeds)
    names = [output.name for output in case.model.graph.output]
    for name, ours, theirs in zip(names, got, static, strict=True):
        floats = ours.dtype.kind == "f"
        same = ours.shape == theirs.shape and np.array_equal(ours, theirs, equal_nan=floats)
        if same and floats:  # zeros have signs
            same = np.array_equal(np.signbit(ours) & (ours == 0), np.signbit(theirs) & (ours == 0))
        if not same:
            return f"{name}: not the bits of the static build"
    return ""
