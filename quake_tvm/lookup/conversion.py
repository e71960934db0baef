"""Convert feed-forward layers of an ONNX model to look-ups, one layer after another.

A layer learns from the rows that the model gives it with all layers before it converted. It is kept
as it is if its look-up misses the budget. The state of a conversion is in a folder, so that it can
be stopped and continued.
"""

import logging
import operator
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import SupportsIndex

import numpy as np
import onnx

from ..compiler import compile
from ..errors import QuakeError
from ..importers.onnx import file as onnx_file
from ..runtime.description import Inputs
from ..support import given
from ..support.notebook import page, text
from .blocks import Block, find
from .distil import Distillation, Settings
from .layer import FORMATS, STORED, LookupLayer
from .measure import Errors, errors, milliseconds
from .report import table
from .state_folder import StateFolder, arrays
from .surgery import alone, beside, cut, replaced

# Every so many rows are kept for the measurement and not trained on.
_TESTED = 8
# The rung on which a model runs to give rows to learn from.
_METHOD = "quake5"

logger = logging.getLogger(__name__)
# (what is done, rows trained on, of how many)
Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class ConvertedLayer:
    """What became of a layer.

    Attributes
    ----------
    number : int
        Its place among the model's feed-forward layers, from 0.
    x, y : str
        The names of its tensors.
    errors : Errors
        Relative errors of the look-up, and of what it has to beat.
    bytes_before, bytes_after : int
        The size of its weights.
    ms_before, ms_after : float
        Milliseconds of the layer alone for ``rows`` rows, on TVM's threads.
    rows : int
    kept : bool
        Whether the look-up is in the model.
    """

    number: int
    x: str
    y: str
    errors: Errors
    bytes_before: int
    bytes_after: int
    ms_before: float
    ms_after: float
    rows: int
    kept: bool


@dataclass(frozen=True)
class Converted:
    """A model with look-ups.

    Attributes
    ----------
    model : onnx.ModelProto
        Runs in ONNX Runtime too, slowly: the look-ups carry their meaning in ONNX's own operators.
    beside : onnx.ModelProto
        Has the layers, and the look-ups beside them. It computes what the source does, unless a
        plan takes some of the look-ups.
    layers : list of ConvertedLayer
    """

    model: onnx.ModelProto
    beside: onnx.ModelProto
    layers: list[ConvertedLayer]

    def __str__(self) -> str:
        return text(lambda shown: shown.print(table(self.layers)))

    def _repr_html_(self) -> str:
        return page("", lambda shown: shown.print(table(self.layers)))


def convert(
    model: onnx.ModelProto | str | Path,
    calibration: Sequence[Inputs],
    *,
    layers: Sequence[int] | None = None,
    budget: float = 0.2,
    settings: Settings | None = None,
    form: str = "bfloat16",
    rows: int = 128,
    mask: str | None = None,
    folder: str | Path | None = None,
    progress: Progress = lambda what, done, total: None,
) -> Converted:
    """Replace feed-forward layers by look-ups that were trained to give the same.

    Parameters
    ----------
    model : onnx.ModelProto or path
        float32.
    calibration : sequence of what ``Model.run`` takes
        Inputs of the kind that the model will see. The look-ups learn nothing else.
    layers : sequence of int, optional
        Which of the model's feed-forward layers, from 0; all by default.
    budget : float
        The largest relative error of a layer's output with what is added to it
        (:class:`.measure.Errors`). A layer that misses it stays.
    settings : Settings, optional
    form : {"float32", "bfloat16", "int8"}
        What tables are stored in.
    rows : int
        Rows of the calls that are timed.
    mask : str, optional
        The name of an input that is 0 for padding and has an element for each row of a layer, such
        as ``attention_mask``. Rows of padding are neither learnt nor measured.
    folder : path, optional
        Where the state of an interrupted conversion is kept and found again. Its caller removes it.
    progress : callable

    Returns
    -------
    Converted

    Raises
    ------
    QuakeError
        If the model has no such layer or is too large with its tables, if an option has no such
        value, if the inputs or the mask do not fit the model, if they give rows with NaN or
        infinity, or if the folder cannot be written, is in use, or is another conversion's.
    """
    given.choice(form, "form", STORED)
    budget = given.number(budget, "budget")
    if budget < 0:
        raise QuakeError(f"budget must be a relative error from 0, not {budget:g}")
    given.count(rows, "rows")
    settings = Settings() if settings is None else settings
    if not isinstance(settings, Settings):
        raise QuakeError(f"settings must be Settings(..), not {type(settings).__name__}")
    source = _source(model)
    blocks = find(source)
    if not blocks:
        raise QuakeError(
            "the model has no feed-forward layer: two products by constant float32 weights. "
            "Convert before you change the precision or quantize"
        )
    chosen = _chosen(layers, len(blocks))
    _check_size(source, [blocks[n] for n in chosen], settings, form)
    calibration = given.calls(calibration, "the calibration")
    masks = None if mask is None else [_mask(source, inputs, mask) for inputs in calibration]
    options = [chosen, budget, asdict(settings), form, rows, mask]
    result = both = source
    made = []
    with StateFolder(folder, source, calibration, options) as kept:
        for n in chosen:
            found, layer = _converted(
                result, blocks[n], calibration, masks, budget, settings, form, rows, kept, progress
            )
            if found.kept:
                result = replaced(result, blocks[n], layer, form)
                both = beside(both, blocks[n], layer, form)
            made.append(found)
            logger.info("layer %d: error %.3g, %s", n, found.errors.look_up, "kept" * found.kept)
    return Converted(result, both, made)


def _source(model: onnx.ModelProto | str | Path) -> onnx.ModelProto:
    if isinstance(model, onnx.ModelProto):
        return onnx_file.sound(model)
    if isinstance(model, str | Path):
        return onnx_file.read(model)
    kind = type(model).__name__
    raise QuakeError(f"cannot convert a value of type {kind}: give an ONNX path or ModelProto")


def _chosen(layers: Sequence[int] | None, count: int) -> list[int]:
    """The numbers of the layers to convert, ascending."""
    if layers is None:
        return list(range(count))
    if isinstance(layers, str | bytes) or not isinstance(layers, Iterable):
        raise QuakeError(f"layers must be a list of layers' numbers, as [0, 1], not {layers!r:.60}")
    chosen = list(layers)
    for n in chosen:
        if isinstance(n, bool) or not isinstance(n, SupportsIndex):
            raise QuakeError(f"layers must be whole numbers, as [0, 1], not {n!r:.60}")
        if n not in range(count):
            raise QuakeError(f"there is no layer {n}: the model has {count}, from 0")
    return sorted({operator.index(n) for n in chosen})


def _check_size(
    model: onnx.ModelProto, blocks: Sequence[Block], settings: Settings, form: str
) -> None:
    """Refuse, before days of training, tables that an ONNX file has no room for."""
    entries = settings.tables << settings.bits
    size = FORMATS[form].itemsize if form in FORMATS else 1
    added = sum(entries * (block.widths[2] * size + 4 * (form not in FORMATS)) for block in blocks)
    whole = model.ByteSize() + added
    if whole > onnx.checker.MAXIMUM_PROTOBUF:
        raise QuakeError(
            f"with its tables the model has {whole / 1e9:.1f} GB, and an ONNX file at most 2: take "
            "fewer layers, tables or bits, or the format int8"
        )


def _converted(
    model: onnx.ModelProto,
    block: Block,
    calibration: Sequence[Inputs],
    masks: Sequence[np.ndarray] | None,
    budget: float,
    settings: Settings,
    form: str,
    rows: int,
    kept: StateFolder,
    progress: Progress,
) -> tuple[ConvertedLayer, LookupLayer]:
    """What became of one layer, and its look-up."""
    what = f"layer {block.number}"
    progress(f"{what}: collecting rows", 0, settings.rows)
    x, y, residual = _rows(model, block, calibration, masks)
    tested = np.arange(len(x)) // 64 % _TESTED == 0
    if tested.all():
        raise QuakeError(f"{len(x)} rows are too few to learn from: give more calibration inputs")
    state = Distillation(x[~tested], y[~tested], settings)
    kept.train(state, block.number, lambda: progress(what, state.seen, settings.rows))
    layer = state.layer()
    found = errors(layer, form, (x, y), residual, tested)
    new = replaced(model, block, layer, form)
    look_up = replace(block, nodes=())
    before, after = milliseconds([alone(model, block, rows), alone(new, look_up, rows)])
    done = ConvertedLayer(
        block.number,
        block.x,
        block.y,
        found,
        4 * block.weights,
        layer.bytes[form],
        before,
        after,
        rows,
        bool(found.look_up <= budget),
    )
    return done, layer


def _mask(model: onnx.ModelProto, inputs: Inputs, name: str) -> np.ndarray:
    """Which rows of a call count, bool."""
    names = [value.name for value in onnx_file.inputs(model)]
    if name not in names:
        raise QuakeError(f"mask: there is no input {name!r}; there are {', '.join(names)}")
    call = inputs if isinstance(inputs, Mapping) else dict(zip(names, arrays(inputs), strict=False))
    if name not in call:
        raise QuakeError(f"mask: the calibration has no input {name!r}")
    return np.asarray(call[name]).ravel() != 0


def _rows(
    model: onnx.ModelProto,
    block: Block,
    calibration: Sequence[Inputs],
    masks: Sequence[np.ndarray] | None,
) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
    """The rows of a layer's x, y and residual on all inputs."""
    part = compile(cut(model, block), target="native", method=_METHOD)
    names = [output.name for output in part.outputs]
    found: dict[str, list[np.ndarray]] = {name: [] for name in names}
    for inputs in calibration:
        for name, array in zip(names, part.run(inputs), strict=True):
            found[name].append(np.array(array))
    if block.residual and any(
        a.shape != b.shape for a, b in zip(found[block.y], found[block.residual], strict=True)
    ):
        del found[block.residual]  # something else than a residual: one for several rows
    whole = {name: _flat(arrays, block, masks) for name, arrays in found.items()}
    if len(whole[block.x]) != len(whole[block.y]):
        raise QuakeError(
            f"layer {block.number} gives {len(whole[block.y])} rows for {len(whole[block.x])}: "
            "leave it out"
        )
    return whole[block.x], whole[block.y], whole.get(block.residual or "")


def _flat(
    arrays: Sequence[np.ndarray], block: Block, masks: Sequence[np.ndarray] | None
) -> np.ndarray:
    """The rows of a tensor of the block on all inputs, without padding."""
    found = []
    for n, array in enumerate(arrays):
        rows = array.reshape(-1, array.shape[-1])
        if masks and len(masks[n]) != len(rows):
            raise QuakeError(
                f"mask: it has {len(masks[n])} elements, and the layer {len(rows)} rows"
            )
        rows = rows[masks[n]] if masks else rows
        if not np.isfinite(rows).all():
            raise QuakeError(
                f"call {n} of the calibration, from 0, gives layer {block.number} rows with NaN "
                "or infinity, from which nothing is learnt: leave it out"
            )
        found.append(rows)
    return np.concatenate(found)
