"""One ONNX model gives one report: the same sites, rungs and bounds on Relax and on Relay.

``python -m pytest tests/test_reports.py --update-golden`` rewrites ``golden_reports``.
"""

import functools
import json
from pathlib import Path

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


@functools.cache
def imported(name: str) -> tuple:
    """A model's module, and its weights on Relay, whose importer takes longer than a build."""
    if not RELAY:
        from quake_tvm.importers.onnx.module import to_relax

        return to_relax(MODELS[name]()), None
    from tvm import relay

    return relay.frontend.from_onnx(MODELS[name]())


def report(name: str, **options) -> Report:
    """The report of a model's nonlinearities, in the model's own layout."""
    mod, params = imported(name)
    if not RELAY:
        from quake_tvm.passes.relax.report import report

        return report(quake_tvm.QuAKE(**options)(mod), Options.parse(**options))
    from tvm import relay

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
    found = table(report(name, **OPTIONS[options]))
    if request.config.getoption("--update-golden"):
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps(found, indent=1) + "\n")
    assert found == json.loads(path.read_text())


def test_every_file_has_a_test():
    names = {f"{name}_{options}" for name in MODELS for options in OPTIONS}
    assert {path.stem for path in GOLDEN.iterdir()} == names
