"""``quake-tvm quantize`` in the shell: an ONNX model with static scales. Loads TVM when called."""

from pathlib import Path
from typing import Annotated

import typer

from ..support.whole_file import check_writable
from .shell import AsJson, ModelPath, Shape, busy, output, parse_shapes, print_json


def quantize(
    model: ModelPath,
    inputs: Annotated[
        list[Path],
        typer.Option(
            "--inputs", "-i", help="Calibration inputs by name, .npz: of one call, or stacked."
        ),
    ],
    out: Annotated[Path, typer.Option("--output", "-o", help="The quantized model to write.")],
    operator: Annotated[
        list[str] | None,
        typer.Option(help="Quantize this ONNX operator only, such as MatMul; repeatable."),
    ] = None,
    shape: Shape = None,
    as_json: AsJson = False,
) -> None:
    """Write a model of bytes with static scales, for `compile`.

    onnxruntime's quantizer finds the scales on the calibration inputs. Without calibration, use
    `compile --precision int8`.
    """
    from ..build import import_model
    from ..importers.interface import inputs_of
    from ..integrations.quantizer import quantize as write
    from ..planning.inputs import read

    check_writable(out, but=model)
    shapes = parse_shapes(shape)
    with busy(f"quantizing {model.name}"):
        calls = read(inputs, inputs_of(import_model(model, shapes)))
        write(model, calls, out, operators=operator)
    if as_json:
        print_json({"model": str(model), "calls": len(calls), "output": str(out)})
        return
    found = "1 call" if len(calls) == 1 else f"{len(calls)} calls"
    output.print(f"written: {out}, from {found}", markup=False, soft_wrap=True)
