"""Builds that are kept on disk: what has the same key, what has not, and what is removed."""

import json
import os
import subprocess

import numpy as np
import onnx
import pytest

import quake_tvm
from quake_tvm import build, build_cache, build_key
from quake_tvm.machines.targets import target
from quake_tvm.options import Options
from tests.processes import python
from tests.shell import quake
from tests.test_compiler import X, mlp

NATIVE = target("native")


@pytest.fixture(autouse=True)
def folder(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path / "quake_tvm" / "builds"


def key(model=None, on=NATIVE, records=(), more=(), **options):
    model = mlp() if model is None else model
    return build_key.key_of(model, on, Options.parse(**options), records, *more)


def test_the_second_start_loads_what_the_first_compiled(folder, caplog):
    first = quake_tvm.compile(mlp(), cache=True)
    assert len(list(folder.iterdir())) == 1
    with caplog.at_level("INFO", "quake_tvm"):
        second = quake_tvm.compile(mlp(), cache=True)
    assert "loaded the kept build" in caplog.text
    np.testing.assert_array_equal(first(X)[0], second(X)[0])
    assert (first.report, first.options) == (second.report, second.options)


@pytest.mark.slow
def test_a_kept_build_is_loaded_without_the_passes_and_importers(tmp_path):
    path = tmp_path / "mlp.onnx"
    onnx.save(mlp(), path)
    quake_tvm.compile(path, records=False, cache=True)
    loaded = _output(
        f"import quake_tvm, sys; quake_tvm.compile({str(path)!r}, records=False, cache=True); "
        "print(*(m.removeprefix('quake_tvm.') for m in sys.modules))"
    ).split()
    assert "build_cache" in loaded
    unneeded = {"build", "passes.relax.pipeline", "importers.onnx.module", "rich.table"}
    assert not unneeded & set(loaded)


def test_a_damaged_build_is_compiled_again(folder, caplog):
    model = quake_tvm.compile(mlp(), cache=True)
    (path,) = folder.iterdir()
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    np.testing.assert_array_equal(quake_tvm.compile(mlp(), cache=True)(X)[0], model(X)[0])
    assert "damaged" in caplog.text
    quake_tvm.load(path)


def test_a_folder_that_may_only_be_read(folder, monkeypatch):
    model = quake_tvm.compile(mlp(), cache=True)
    (path,) = folder.iterdir()

    def refuse(*_, **__):
        raise PermissionError

    monkeypatch.setattr(build_cache.os, "utime", refuse)
    np.testing.assert_array_equal(build_cache.find(path.stem)(X)[0], model(X)[0])
    cut = path.read_bytes()[:-1]
    path.unlink()  # written in place, the code that is loaded would change, and crash at exit
    path.write_bytes(cut)
    monkeypatch.setattr(build_cache.Path, "unlink", refuse)
    assert build_cache.find(path.stem) is None


def test_the_key_depends_on_everything(tmp_path, monkeypatch):
    changed = mlp()
    changed.graph.initializer[0].raw_data = changed.graph.initializer[0].raw_data[:-1] + b"\x01"
    (tmp_path / "x86-64-v3").mkdir()
    record = tmp_path / "x86-64-v3" / "exp.jsonl"
    record.write_text("{}")
    keys = [
        key(),
        key(changed),
        key(on=target("x86-64-v3")),
        key(on=target("cortex-a72")),
        key(method="quake3"),
        key(max_error=0.1),
        key(only=["gelu"]),
        key(skip=["gelu"]),
        key(special_values="finite"),
        key(more=({"x": [1, 8]},)),
        key(more=("bfloat16",)),
        key(records=[tmp_path]),
    ]
    record.write_text("{ }")
    keys.append(key(records=[tmp_path]))
    build_key._versions.cache_clear()
    monkeypatch.setattr(build_key.tvm, "__version__", "0.99")
    keys.append(key())
    build_key._versions.cache_clear()
    assert None not in keys
    assert len(set(keys)) == len(keys)


def test_the_key_depends_on_every_file_of_code(tmp_path, monkeypatch):
    package = tmp_path / "some_code"
    (package / "records" / "cpu").mkdir(parents=True)
    files = package / "__init__.py", package / "records" / "cpu" / "products.jsonl"
    for file in files:
        file.write_text("")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(build_key, "_CODE", ("some_code",))
    found = [build_key._versions.__wrapped__()]
    for file in files:
        file.write_text("1")
        found.append(build_key._versions.__wrapped__())
    (package / "notes.txt").write_text("no code")
    assert len(set(found)) == len(found) == 3
    assert build_key._versions.__wrapped__() == found[-1]


def test_what_changed_is_compiled_and_never_served_from_the_folder(tmp_path, monkeypatch):
    path, compiled = tmp_path / "mlp.onnx", []
    onnx.save(mlp(), path)
    built = quake_tvm.compile(path, cache=True)
    monkeypatch.setattr(build, "build", lambda *_: compiled.append(1) or built)
    quake_tvm.compile(path, cache=True)
    assert not compiled
    for options in ({"method": "quake3"}, {"skip": ["gelu"]}, {"target": "x86-64-v3"}):
        quake_tvm.compile(path, cache=True, **options)
    assert len(compiled) == 3
    content = bytearray(path.read_bytes())
    at = content.index(mlp().graph.initializer[0].raw_data)
    content[at] ^= 1
    path.write_bytes(content)
    quake_tvm.compile(path, cache=True)
    assert len(compiled) == 4
    build_key._versions.cache_clear()
    monkeypatch.setattr(build_key.tvm, "__version__", "0.99")
    quake_tvm.compile(path, cache=True)
    build_key._versions.cache_clear()
    assert len(compiled) == 5


def test_the_key_is_the_same_in_another_process():
    script = (
        "from tests.test_build_cache import key; print(key(skip=['tanh', 'gelu', 'exp', 'elu']))"
    )
    seeds = [_output(script, PYTHONHASHSEED=str(seed)) for seed in (1, 2)]  # the order of sets
    assert seeds[0] == seeds[1] == key(skip=["elu", "exp", "gelu", "tanh"])


def _output(script, **environment):
    done = subprocess.run(
        python(script),
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, **environment},
    )
    return done.stdout.strip()


def test_files_have_the_key_of_their_content(tmp_path):
    path = tmp_path / "model.onnx"
    onnx.save(mlp(), path, save_as_external_data=True, location="weights", size_threshold=0)
    first = key(path)
    weights = tmp_path / "weights"
    weights.write_bytes(weights.read_bytes()[:-1] + b"\x01")
    assert None not in (first, key(path))
    assert key(path) != first


def test_what_has_no_key(tmp_path):
    (tmp_path / "model.onnx").write_bytes(b"nonsense")
    assert key(tmp_path / "model.onnx") is None
    assert key(tmp_path / "missing.onnx") is None
    assert key("a\0b") is None
    os.mkfifo(tmp_path / "pipe")
    assert key(tmp_path / "pipe") is None
    assert key(quake_tvm.build.import_model(mlp())) is None


def test_programs_of_torch():
    torch = pytest.importorskip("torch")
    net = torch.nn.Linear(3, 3).eval()

    def exported():
        return torch.export.export(net, (torch.ones(2, 3),))

    first = key(exported())
    assert first == key(exported())
    with torch.no_grad():
        net.weight[0, 0] += 1
    assert first != key(exported())


def test_the_builds_that_were_used_longest_ago_are_removed(folder):
    folder.mkdir(parents=True)
    for name, used in (("a", 30), ("b", 10), ("c", 20)):
        (folder / f"{name}.so").write_bytes(bytes(100))
        os.utime(folder / f"{name}.so", (used, used))
    assert [b.path.name for b in build_cache.clear(250)] == ["b.so"]
    assert [b.path.name for b in build_cache.builds()] == ["a.so", "c.so"]


def test_the_command(folder, tmp_path):
    onnx.save(mlp(), tmp_path / "mlp.onnx")
    home = str(tmp_path)
    done = quake("compile", tmp_path / "mlp.onnx", "--cache", XDG_CACHE_HOME=home)
    assert done.returncode == 0, done.stderr
    kept = json.loads(quake("cache", "--json", XDG_CACHE_HOME=home).stdout)
    assert kept["folder"] == str(folder)
    assert len(kept["builds"]) == 1
    assert "removed: 1 build" in quake("cache", "--clear", XDG_CACHE_HOME=home).stdout
    assert list(folder.iterdir()) == []


def test_without_a_home_the_build_is_not_kept(monkeypatch, caplog):
    def unknown():
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setattr(build_cache.Path, "home", unknown)
    quake_tvm.compile(mlp(), cache=True)
    assert "the build is not kept: there is no cache folder: set XDG_CACHE_HOME" in caplog.text


def test_a_folder_that_may_not_be_read(monkeypatch):
    def refuse(_):
        raise PermissionError

    monkeypatch.setattr(build_cache.Path, "is_file", refuse)
    assert build_cache.find("any") is None
