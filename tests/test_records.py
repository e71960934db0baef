"""Records in ``compile``, the pipeline and the shell: other schedules, same bits, a report."""

import json
import warnings

import numpy as np
import pytest
import tvm
from tvm import relax

import quake_tvm
from quake_tvm import QuakeError
from quake_tvm.build import import_model
from quake_tvm.machines.targets import target
from quake_tvm.options import Options
from quake_tvm.passes.relax.pipeline import Pipeline
from quake_tvm.report import Report
from quake_tvm.schedules import RECORD
from quake_tvm.schedules.choice import Choice, Key
from quake_tvm.schedules.records.files import RecordWarning
from quake_tvm.tvm_version import tir
from tests.cli.test_app import model  # noqa: F401
from tests.schedules.sample_records import plant, record
from tests.shell import quake
from tests.test_compiler import mlp

SHAPES = {"x": (40, 8)}
X = np.random.default_rng(1).normal(size=SHAPES["x"]).astype(np.float32)
# Numbers that the rule does not choose for a product of this size.
NUMBERS = {"rows": 3, "vectors": 1}


def keys(mod, on="native"):
    """The keys that the rules look up while a module is compiled."""
    asked = []

    def decide(key: Key) -> Choice:
        asked.append(key)
        return Choice()

    on = target(on)
    with on:
        Pipeline(on, Options.parse("quake2"), decide).upto("schedule")(mod)
    return list(dict.fromkeys(asked))


@pytest.fixture(scope="module")
def product():
    """The key of the model's one product."""
    (key,) = (k for k in keys(import_model(mlp(), SHAPES)) if k.operator == "matmul")
    return key


def compiled(records=False, **options):
    options = options or {"method": "quake2"}
    return quake_tvm.compile(mlp(), shapes=SHAPES, records=records, **options)


def scheduled(records, on="native"):
    """Every scheduled kernel as text."""
    on = target(on)
    with on:
        passes = Pipeline.of(on, records, method="quake2")
        mod = passes.upto("schedule")(import_model(mlp(), SHAPES))
    return {
        name.name_hint: function.script()
        for name, function in mod.functions_items()
        if isinstance(function, tir.PrimFunc)
    }


def test_a_record_changes_the_schedule_and_no_bit(tmp_path, product):
    plant(tmp_path, record("native", shape=product.shape, numbers=NUMBERS))
    ours, plain = compiled(tmp_path), compiled()
    with_record, without = scheduled(tmp_path), scheduled(False)
    changed = [name for name, text in with_record.items() if text != without.get(name)]
    assert [n for n in changed if f'"{RECORD}": "record, same shape"' in with_record[n]] == changed
    assert len(changed) == 1
    assert ours.report.records == {
        name: "record, same shape" if name in changed else "rule" for name in with_record
    }
    (a,), (b,) = ours.run(X), plain.run(X)
    np.testing.assert_array_equal(a.view("uint32"), b.view("uint32"))


def test_the_report_says_where_choices_are_from(tmp_path, product):
    plant(tmp_path, record("native", shape=(50, *product.shape[1:]), numbers=NUMBERS))
    report = compiled(tmp_path).report
    source = f"record of {'x'.join(map(str, (50, *product.shape[1:])))}"
    found = {site.operator: site.record for site in report.sites}
    assert found == {"gelu": source, "softmax": "rule"}
    assert f"choices: 1 by {source}; 1 by rule" in str(report)
    assert Report.from_json(report.to_json()) == report
    assert "choices:" not in str(compiled().report)


@pytest.mark.parametrize(
    "values",
    [
        {"name": "cortex-a72"},
        {"name": "x86-64-v2"},
        {"dtype": "float16"},
        {"operator": "convolution"},
        {"shape": (640, 8, 16)},
        {"kernels": 2},
    ],
    ids=str,
)
def test_records_of_something_else_do_not_apply(tmp_path, monkeypatch, product, values):
    with monkeypatch.context() as other:
        if kernels := values.get("kernels"):
            other.setattr("quake_tvm.schedules.records.record.KERNELS", kernels)
        given = {k: v for k, v in values.items() if k != "kernels"}
        plant(
            tmp_path, record(**{"name": "native", "shape": product.shape} | given, numbers=NUMBERS)
        )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RecordWarning)
        assert scheduled(tmp_path) == scheduled(False)
        assert set(compiled(tmp_path).report.records.values()) == {"rule"}


def test_records_of_a_related_machine_apply(tmp_path):
    (key,) = (k for k in keys(import_model(mlp(), SHAPES), "zen4") if k.operator == "matmul")
    plant(tmp_path, record("icelake-server", shape=key.shape, numbers=NUMBERS))
    assert "record of icelake-server" in "".join(scheduled(tmp_path, "zen4").values())
    assert scheduled(tmp_path, "zen3") == scheduled(False, "zen3")


def test_broken_records_cost_a_warning_and_nothing_else(tmp_path):
    path = plant(tmp_path, record("native")) / record("native").machine.folder / "matmul.jsonl"
    path.write_bytes(b"\x00\xff" * 1000)
    with pytest.warns(RecordWarning, match=r"matmul\.jsonl:1: "):
        ours = compiled(tmp_path)
    assert set(ours.report.records.values()) == {"rule"}
    np.testing.assert_array_equal(ours.run(X)[0], compiled().run(X)[0])


def test_false_is_the_rules_alone(tmp_path, monkeypatch, product):
    plant(tmp_path, record("native", shape=product.shape, numbers=NUMBERS))
    monkeypatch.setattr("quake_tvm.schedules.records.book.SHIPPED", tmp_path)
    assert "record, same shape" in compiled(None).report.records.values()
    assert set(compiled(False).report.records.values()) == {"rule"}


def test_the_pipeline_has_the_records_too(tmp_path, product):
    plant(tmp_path, record("native", shape=product.shape, numbers=NUMBERS))
    mod, native = import_model(mlp(), SHAPES), target()
    results = []
    for records in (tmp_path, False):
        road = quake_tvm.pipeline("native", records=records, method="quake2")
        machine = relax.VirtualMachine(tvm.compile(mod, native, relax_pipeline=road), tvm.cpu())
        results.append(machine["main"](tvm.runtime.tensor(X)).numpy())
    np.testing.assert_array_equal(*results)
    with pytest.raises(QuakeError, match="records"):
        quake_tvm.pipeline("native", records=tmp_path / "missing")


def test_the_rung_within_max_error_may_be_on_record(tmp_path):
    rungs = {"gelu 40x16": {"quake3": 1.0, "quake4": 1.01, "quake5": 2.0}}
    plant(tmp_path, record("native", rungs=rungs))
    for records, expected in ((False, "quake3"), (tmp_path, "quake4")):
        report = compiled(records, max_error=1e-3).report
        (gelu,) = (site for site in report.sites if site.operator == "gelu")
        assert gelu.method == expected
        assert ("rung on record" in gelu.record) == (expected == "quake4")
    (site,) = (s for s in compiled(tmp_path, method="quake2").report.sites if s.operator == "gelu")
    assert site.method == "quake2"
    # quake1 is the fastest on record, but its bound exceeds max_error.
    plant(tmp_path / "lower", record("native", rungs={"gelu 40x16": {"quake1": 1e-9}}))
    report = compiled(tmp_path / "lower", max_error=1e-3).report
    assert {site.method for site in report.sites if site.operator == "gelu"} == {"quake3"}


def test_a_model_on_record_travels(tmp_path, product):
    plant(tmp_path, record("native", shape=product.shape, numbers=NUMBERS))
    ours = compiled(tmp_path)
    loaded = quake_tvm.load(ours.export(tmp_path / "model.so"))
    assert loaded.report == ours.report
    np.testing.assert_array_equal(loaded.run(X)[0], ours.run(X)[0])


def test_a_report_without_records_is_still_read():
    raw = json.loads(compiled().report.to_json())
    del raw["records"]
    for site in raw["sites"]:
        del site["record"]
    read = Report.from_json(json.dumps(raw))
    assert {site.record for site in read.sites} == {"rule"}


@pytest.mark.parametrize("records", ["missing", True, 3, ["missing"]], ids=str)
def test_what_is_no_folder_of_records(tmp_path, monkeypatch, records):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(QuakeError, match="records") as error:
        quake_tvm.compile(mlp(), records=records)
    assert "\n" not in str(error.value)


def test_shell(model, tmp_path, product, request):  # noqa: F811
    if request.config.getoption("--unknown-cpu"):
        pytest.skip("the shell knows this CPU")
    shaped = model, "--shape", "x=40,8"
    folder = plant(tmp_path / "mine", record("native", shape=product.shape, numbers=NUMBERS))
    file = folder / record("native").machine.folder / "matmul.jsonl"
    with file.open("a") as lines:
        lines.write("broken\n")
    done = quake("compile", *shaped, "--records", folder, "--json")
    assert done.returncode == 0, done.stderr
    assert "record, same shape" in json.loads(done.stdout)["records"].values()
    warned = [line for line in done.stderr.splitlines() if "matmul.jsonl:2" in line]
    assert len(warned) == 1
    assert warned[0].startswith(f"warning: {file}:2: ")
    done = quake("compile", *shaped, "--records", "none", "--json")
    assert set(json.loads(done.stdout)["records"].values()) == {"rule"}
    for wrong in (["--records", tmp_path / "missing"], ["--records", "none", "--records", folder]):
        done = quake("run", *shaped, *wrong)
        assert done.returncode == 2
        assert done.stderr.strip().startswith("error: ")
        assert len(done.stderr.strip().splitlines()) == 1
