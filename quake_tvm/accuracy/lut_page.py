"""The tables of ``docs/lut.md``: errors of both searches, of tables between bytes, instructions.

``python -m quake_tvm.accuracy.lut_page`` writes them. Errors are over all inputs; instructions are
counted in QEMU.
"""

import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from tvm import te

from ..emulation import count, kernel
from ..errors import QuakeError
from ..kernels.piecewise import piecewise_linear
from ..lut import records, scaled
from ..lut.functions import FUNCTIONS
from ..lut.integers import IntegerTable, approximate, signed
from ..lut.published import published
from ..machines.targets import target
from ..numerics import byte_tables  # noqa: F401  (registers the targets' instructions)
from ..numerics.ladder import LADDER
from ..numerics.operators import OPERATORS
from ..schedules import schedule
from ..support.generated_page import write_section
from ..tvm_version import Expr, tir

PAGE = Path(__file__).parents[2] / "docs" / "lut.md"
# The scale at which largest errors are shown.
EXPONENT = 5
# The inputs of tables between integers are from -RANGE to RANGE, those of exp from -2 RANGE to 0.
RANGE = 6.0
COUNTED = ("x86-64-v3", "cortex-a53", "cortex-a72")
SIZE = 16384


def _row(*cells: object) -> str:
    return f"| {' | '.join(map(str, cells))} |"


def _rows(*header: str) -> list[str]:
    return [_row(*header), _row(*["---"] * len(header))]


def searches() -> str:
    """Errors of the published tables, of the genetic search and of the dynamic programme."""
    lines = _rows(
        "function", "entries", "published", "genetic", "dynamic", "published on the grid",
        "genetic on the grid", "seed", "largest error, genetic", "dynamic",
    )  # fmt: skip
    for name, of in FUNCTIONS.items():
        for entries in records.ENTRIES:
            kept, other = records.record(name, entries), published().get((name, entries))
            means = (scaled.mean_error(of, each) for each in (kept.genetic(), kept.best))
            largest = (
                scaled.measured(of, each[EXPONENT], EXPONENT)
                for each in (kept.genetic(), kept.best)
            )
            lines.append(
                _row(
                    name,
                    entries,
                    f"{other.mean:.2e}" if other else "",
                    *(f"{mean:.2e}" for mean in means),
                    f"{other.fitness:.2e}" if other else "",
                    f"{kept.fitness:.2e}",
                    kept.seed,
                    *(f"{e.max:.3g} at {e.witness * 2.0**-EXPONENT:g}" for e in largest),
                )
            )
    return "\n".join(lines)


def _outputs(name: str, dtype: str) -> np.ndarray:
    """A function between quantizations of a type: the outputs at all inputs.

    The inputs cover the function's range here, and the outputs the whole type.
    """
    limits = np.iinfo(dtype)
    step = 2 * RANGE / 2**limits.bits
    x = (np.arange(limits.min, limits.max + 1) - signed(dtype)) * step
    y = FUNCTIONS[name].of(x - RANGE if name == "exp" else x)
    least, scale = y.min(), np.ptp(y) / (limits.max - limits.min)
    return np.rint((y - least) / scale + limits.min).astype(dtype)


def integers() -> str:
    """Errors of tables between bytes and between integers of 16 bits."""
    header = "function", "entries", "8 bits: differ", "largest", "MSE", "16 bits: largest", "MSE"
    lines = _rows(*header)
    for name in ("gelu", "hswish", "silu", "sigmoid", "tanh", "exp"):
        for entries in records.ENTRIES:
            cells: list[str] = []
            for dtype in ("int8", "int16"):
                outputs = _outputs(name, dtype)
                made = approximate(outputs, dtype, entries)
                apart = np.mean(made.outputs() != outputs)
                cells += [f"{apart:.1%}"] if dtype == "int8" else []
                cells += [f"{made.error.max:g} at {made.error.witness}", f"{made.error.mse:.3g}"]
            lines.append(_row(name, entries, *cells))
    return "\n".join(lines)


def _kernels(dtype: str) -> Iterator[tuple[str, tir.PrimFunc, list[np.ndarray]]]:
    """SiLU of integers by each method, with the arrays that it takes."""
    x = te.placeholder((SIZE,), dtype, "x")
    given = np.random.default_rng(0).integers(-128, 128, SIZE).astype(dtype)
    outputs = _outputs("silu", dtype)
    for entries in records.ENTRIES:
        y = _piecewise(x, approximate(outputs, dtype, entries))
        yield f"{entries} entries", te.create_prim_func([x, y]), [given]
    if dtype == "int8":
        table = te.placeholder((len(outputs),), dtype, "table")
        y = te.compute(
            (SIZE,),
            lambda i: table[tir.Cast("int32", tir.reinterpret("uint8", x[i]))],
            "y",
        )
        by_bits = np.roll(outputs, len(outputs) // 2)
        yield "256 entries", te.create_prim_func([x, table, y]), [given, by_bits]
    y = te.compute((SIZE,), lambda i: _on_quake2(x[i], dtype), "y")
    yield "quake2 in float32", te.create_prim_func([x, y]), [given]


def _piecewise(x: te.Tensor, table: IntegerTable) -> te.Tensor:
    return te.compute(x.shape, lambda i: piecewise_linear(x[i], table), "y")


def _on_quake2(x: Expr, dtype: str) -> Expr:
    """SiLU of an integer as the passes lower it without tables."""
    limits, silu = np.iinfo(dtype), OPERATORS["silu"].expression
    assert silu is not None
    step = 2 * RANGE / 2**limits.bits
    real = silu(tir.Cast("float32", x) * tir.const(step, "float32"), LADDER["quake2"])
    steps = real / tir.const(step, "float32")
    low, high = (tir.const(float(n), "float32") for n in (limits.min, limits.max))
    inside = tir.max(tir.min(steps, high), low)
    rounded = tir.reinterpret("int32", inside + tir.const(1.5 * 2**23, "float32"))
    return tir.Cast(dtype, rounded)


def instructions() -> str:
    """Instructions an element of SiLU between quantizations."""
    lines = _rows("", "", *COUNTED)
    for dtype in ("int8", "int16"):
        cells: dict[str, list[str]] = {}
        for name in COUNTED:
            on = target(name)
            with tempfile.TemporaryDirectory() as folder:
                made = list(_kernels(dtype))
                functions = {f"k{n}": schedule(f, on) for n, (_, f, _) in enumerate(made)}
                library = kernel.export(functions, on, Path(folder, "kernels.so"))
                for n, (method, _, arrays) in enumerate(made):
                    results = [((SIZE,), dtype)]
                    done = count.execution(library, f"k{n}", arrays, results, on, sample=1000)
                    cells.setdefault(method, []).append(f"{done.instructions / SIZE:.2f}")
        lines += [_row(dtype, method, *each) for method, each in cells.items()]
    return "\n".join(lines)


def main() -> None:
    """Measure and write all three tables."""
    for name, text in (
        ("searches", searches()),
        ("integers", integers()),
        ("instructions", instructions()),
    ):
        write_section(PAGE, name, text)


if __name__ == "__main__":
    try:
        main()
    except QuakeError as error:
        sys.exit(f"error: {error}")
