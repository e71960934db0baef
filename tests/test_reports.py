"""One ONNX model gives one report: the same sites, rungs and bounds on Relax and on Relay.

``python -m pytest tests/test_reports.py --update-golden`` rewrites ``golden_reports``.
"""

import json
from pathlib import Path

import onnx
import pytest

import quake_tvm
from quake_tvm.machines.targets import target
from quake_tvm.options import Options
from quake_tvm.report import Report
from quake_tvm.tvm_version import RELAY
from tests.onnx_models import MODELS

GOLDEN = Path(__file__).parent / "golden_reports"
OPTIONS = {
    "quake2": {"method": "quake2"},
    "max_error": {"max_error": 1e-3},
    "skip": {"method": "quake4", "skip": ["softmax", "gelu", "silu"]},
}


def report(model: onnx.ModelProto, **options) -> Report:
    """The report of a model's nonlinearities, in the model's own layout."""
    if not RELAY:
        from quake_tvm.importers.onnx.module import to_relax
        from quake_tvm.passes.relax.report import report

        return report(quake_tvm.QuAKE(**options)(to_relax(model)), Options.parse(**options))
    from tvm import relay

    mod, params = relay.frontend.from_onnx(model)
    with quake_tvm.PassContext(opt_level=3, **options) as context:
        relay.build(mod, target(), params=params)
    return context.report


def table(found: Report) -> dict[str, list]:
    """The parts of a report that must be the same on both TVMs."""
    lowered = [[s.operator, s.shape, s.method, s.relative, s.absolute] for s in found.sites]
    exact = [[s.operator, s.shape, s.dtype, s.reason] for s in found.exact]
    return {"lowered": sorted(lowered), "exact": sorted(exact)}


@pytest.mark.parametrize("options", OPTIONS)
@pytest.mark.parametrize("name", MODELS)
def test_report(name, options, request):
    path = GOLDEN / f"{name}_{options}.json"
    found = table(report(MODELS[name](), **OPTIONS[options]))
    if request.config.getoption("--update-golden"):
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps(found, indent=1) + "\n")
    assert found == json.loads(path.read_text())


def test_every_file_has_a_test():
    names = {f"{name}_{options}" for name in MODELS for options in OPTIONS}
    assert {path.stem for path in GOLDEN.iterdir()} == names
