"""A static scale for each norm, from the weights, and whether it is proven.

Knows what is proven and typical of each norm's operand, not how.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from ..build import import_model
from ..importers.dimensions import Shapes, checked_shapes
from ..options import Options
from ..passes import quake
from ..passes.relax.outline_branches import OutlineBranches
from ..passes.relax.recognize_norms import RecognizeNorms
from ..passes.relax.unify_extents import UnifyExtents
from ..passes.relax.widen_halves import WidenHalves
from ..support.compiler_lock import compiling
from .seen import largest
from .walk import Found, walk

# float16's largest number and the half of its last place.
_LARGEST, _ROUNDING = 65504.0, 2.0**-11
# A scaled row of typical size is below this, and room for rows 60 times as long is above it.
_TYPICAL_TOP = 4.0
# A proven scale that makes typical rows shorter than this would cost digits: squares below 2^-24
# round to 0, and they are n of them.
_LEAST = 1.0


def room(length: int) -> float:
    """The root sum of squares up to which no order of float16 additions overflows.

    The difference from the mean and the square round once each, and each of ``length`` - 1
    additions rounds; all may round up.
    """
    return math.sqrt(_LARGEST / (1 + _ROUNDING) ** (length + 2))


@dataclass(frozen=True)
class Norm:
    """A norm along the last axis, and its scale.

    Attributes
    ----------
    number : int
        From 1, in the model's order.
    operator : str
        ``"layer_norm"`` or ``"rms_norm"``.
    length : int
        The elements of a row.
    epsilon : float
        That of the norm. With the scale s it is s^2 epsilon, in float32.
    typical, proven : float or None
        The typical and the largest root sum of squares of a row, from the weights. None: unknown.
    seen : float or None
        The largest on the given inputs.
    scale : float or None
        A power of two, at most 1, by which a row is multiplied before its squares are summed in
        float16. None if nothing is known.
    claim : str
        ``"proven"``: with the scale no input overflows. ``"typical"``: the scale fits rows up to 60
        times as long as typical ones. ``"unknown"``.
    """

    number: int
    operator: str
    length: int
    epsilon: float
    typical: float | None
    proven: float | None
    seen: float | None
    scale: float | None
    claim: str

    @property
    def overflows(self) -> bool:
        """Whether a row that was seen is too long for the scale."""
        return self.seen is not None and self.seen * (self.scale or 1.0) > room(self.length)


@dataclass(frozen=True)
class NormScales:
    """The norms of a model.

    Attributes
    ----------
    norms : tuple of Norm
    """

    norms: tuple[Norm, ...]

    @property
    def survives(self) -> str:
        """``"yes"``, ``"with these scales"``, or ``"not proven"``."""
        if any(norm.claim != "proven" or norm.overflows for norm in self.norms):
            return "not proven"
        unscaled = all(norm.scale == 1.0 for norm in self.norms)
        return "yes" if unscaled else "with these scales"

    @property
    def verdict(self) -> str:
        """A line for people."""
        line = f"survives float16 norms: {self.survives}"
        notes = [] if self.norms else ["it has no norm along the last axis"]
        for claim, what in (
            ("typical", "hold with their scale for rows up to 60 times as long as typical ones"),
            ("unknown", "have no scale, since what comes before them is not known"),
        ):
            count = sum(norm.claim == claim for norm in self.norms)
            if count:
                notes.append(f"{count} of {len(self.norms)} {what}")
        unscaled = [n for n in self.norms if n.seen is not None and n.seen > room(n.length)]
        if unscaled:
            notes.append(f"without scales {len(unscaled)} may overflow on these inputs")
        wrong = sum(norm.overflows for norm in self.norms)
        if wrong:
            notes.append(f"even with these scales {wrong} may overflow on these inputs")
        return f"{line} ({'; '.join(notes)})" if notes else line

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        norms = [asdict(norm) for norm in self.norms]
        return {"survives": self.survives, "verdict": self.verdict, "norms": norms}


def norm_scales(
    model: Any,
    shapes: Shapes | None = None,
    inputs: Sequence[Mapping[str, np.ndarray]] = (),
) -> NormScales:
    """The size of what enters each norm of a model, and a scale for sums of squares in float16.

    Parameters
    ----------
    model : path, onnx.ModelProto, torch.export.ExportedProgram or tvm.IRModule
        Norms along the last axis are found, also those that are written in single operators.
        Inputs of a float type are taken to have the mean square 1, where sizes are typical.
    shapes : mapping of input name to shape, optional
        As for :func:`quake_tvm.compile`.
    inputs : sequence of mapping of input name to array
        For what is seen. The model is compiled and run if there are any.

    Returns
    -------
    NormScales

    Raises
    ------
    QuakeError
        For a model that cannot be imported, and for inputs that do not fit it.
    """
    mod = import_model(model, checked_shapes(shapes))
    with compiling():
        plain = OutlineBranches()(WidenHalves()(mod))
        plain = RecognizeNorms()(UnifyExtents()(plain))
        found = list(walk(quake.recognize(plain, Options.parse())))
    seen = iter(largest(plain, inputs) if inputs else ())
    norms = [(f, next(seen, None) if f.function == "main" else None) for f in found]
    return NormScales(tuple(_scaled(n, *norm) for n, norm in enumerate(norms, 1)))


def _scaled(number: int, found: Found, seen: float | None) -> Norm:
    """The largest proven scale if typical rows keep their digits, else one for typical rows."""
    norm = Norm(
        number,
        found.operator,
        found.length,
        found.epsilon,
        found.typical,
        found.proven,
        seen,
        None,
        "unknown",
    )
    proven = _power(room(found.length), found.proven)
    if proven is not None and (
        proven == 1.0 or found.typical is None or proven * found.typical >= _LEAST
    ):
        return replace(norm, scale=proven, claim="proven")
    if found.typical is not None:
        return replace(norm, scale=_power(_TYPICAL_TOP, found.typical), claim="typical")
    return norm


def _power(limit: float, size: float | None) -> float | None:
    """The largest power of two, at most 1, that makes a size at most this."""
    if size is None:
        return None
    return 1.0 if size <= limit else 2.0 ** math.floor(math.log2(limit / size))
