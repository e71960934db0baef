"""Each named target compiles to its machine's code, with its vectors. Wrong names are refused."""

import json
import os
import re
from pathlib import Path

import pytest
import tvm

from quake_tvm.errors import QuakeError
from quake_tvm.machines.table import TARGETS
from quake_tvm.machines.targets import (
    config,
    cores,
    describe,
    features,
    lanes,
    runs_here,
    target,
    targets,
    vectors,
)
from quake_tvm.numerics.operators import OPERATORS
from quake_tvm.support.toolchain import triple
from quake_tvm.tvm_version import RELAY

# The first bytes of an object: ELF's machine, Apple's CPU type, WebAssembly's four letters.
ELF = {"x86_64": 62, "aarch64": 183, "arm": 40, "riscv64": 243}
APPLE_ARM64 = b"\xcf\xfa\xed\xfe\x0c\x00\x00\x01"
# A target of TVM, without a number of cores.
ARM = {"kind": "llvm", "mtriple": "aarch64-linux-gnu"}
# Arithmetic on whole vectors, if the target has any, and fused if the target has FMA.
ARITHMETIC = {
    "x86_64 SSE": r"\b(?:add|mul|sub)ps\b.*%xmm",
    "x86_64 AVX2": r"\bvfn?m\w+ps\b.*%ymm",
    "x86_64 AVX-512": r"\bvfn?m\w+ps\b.*%zmm",
    "aarch64 NEON": r"\bfml[as](?:\.4s\s+v|\s+v\d+\.4s)",
    "arm NEON": r"\bvfm[as]\.f32\s+q",
    "riscv64 none": r"\bfn?m(?:add|sub)\.s\b",
    "wasm32 SIMD128": r"\bf32x4\.mul\b",
}


def library(on: tvm.target.Target) -> tvm.runtime.Module:
    """A compiled softmax and GELU of a few rows."""
    return _relay(on) if RELAY else _relax(on)


def _relay(on: tvm.target.Target) -> tvm.runtime.Module:
    from tvm import relay

    from quake_tvm.passes.dialect import call

    def lowered(operator: str, **options: object) -> relay.Expr:
        options |= OPERATORS[operator].parameters
        return call(operator, x, method="quake2", ieee=True, source="", shape="", **options)

    x = relay.var("x", shape=(64, 128))
    both = relay.Tuple([lowered("softmax", axis=1), lowered("gelu")])
    with tvm.transform.PassContext(opt_level=3):
        return relay.build(tvm.IRModule.from_expr(relay.Function([x], both)), on).get_lib()


def _relax(on: tvm.target.Target) -> tvm.runtime.Module:
    from tvm import te

    from quake_tvm.kernels import compute
    from quake_tvm.schedules import schedule

    x = te.placeholder((64, 128), name="x")
    outputs = {
        "softmax": compute.softmax(x, method="quake2"),
        "gelu": compute.elementwise(x, "gelu", "quake2"),
    }
    kernels = {
        name: schedule(te.create_prim_func([x, y]).with_attr("global_symbol", name), on)
        for name, y in outputs.items()
    }
    return tvm.compile(tvm.IRModule(kernels), target=on).mod


def write_object(library: tvm.runtime.Module, path: Path) -> bytes:
    (library.save if RELAY else library.write_to_file)(str(path))
    return path.read_bytes()


@pytest.mark.parametrize("name", targets())
def test_every_name_compiles_to_code_of_its_machine(name, tmp_path):
    on = target(name)
    machine, compiled = triple(on), library(on)
    written = write_object(compiled, tmp_path / "kernels.o")
    if machine.system == "macos":
        assert written.startswith(APPLE_ARM64)
    elif machine.system == "wasi":
        assert written.startswith(b"\x00asm")
    else:
        assert written.startswith(b"\x7fELF")
        assert int.from_bytes(written[18:20], "little") == ELF[machine.architecture]
    asm = (compiled.get_source if RELAY else compiled.inspect_source)("asm")
    assert re.search(ARITHMETIC[f"{machine.architecture} {vectors(on)}"], asm)


def test_every_row_is_listed_or_refused():
    for name in TARGETS:
        if name not in targets():
            with pytest.raises(QuakeError, match=r"TVM's LLVM \d+|needs the TVM that has Relax"):
                target(name)
    assert {"aarch64", "armv7", "raspberry-pi-4", "cortex-a72", "x86-64-v3"} <= set(targets())


@pytest.mark.parametrize("name", targets())
def test_every_name_says_what_it_is(name):
    assert describe(name)
    resolved = target(name)
    assert int(resolved.attrs["num-cores"]) >= 1
    for same in (config(name), json.dumps(config(name))):
        assert str(target(same)) == str(resolved)


def test_what_cpus_can_do():
    assert [lanes(target(n)) for n in ("x86-64-v2", "x86-64-v3", "x86-64-v4")] == [4, 8, 16]
    assert "fma" not in features(target("x86-64-v2"))
    assert features(target("raspberry-pi-4")) == ["fma"]
    assert features(target("raspberry-pi-5")) == ["fma", "fp16", "dotprod"]
    graviton = target("graviton3")
    assert "sve" in features(graviton)
    assert (vectors(graviton), lanes(graviton)) == ("NEON", 4)


def test_avx_without_avx2_has_vectors_of_eight():
    """No named target has AVX alone. Sandy Bridge and Ivy Bridge do."""
    on = target({"kind": "llvm", "mtriple": "x86_64-linux-gnu", "mcpu": "sandybridge"})
    assert (vectors(on), lanes(on)) == ("AVX", 8)


def test_one_core_where_the_system_does_not_say(monkeypatch):
    monkeypatch.setattr(os, "cpu_count", lambda: None)
    assert config("x86-64-v3")["num-cores"] == 1
    assert cores(target(ARM)) == 1


def test_what_runs_here():
    assert runs_here(target())
    assert not runs_here(target("android-arm64"))


def test_inputs_in_the_place_of_the_target_are_refused_with_the_fix():
    with pytest.raises(QuakeError, match=r"^target is a name, .* not a tuple; .*example_inputs=$"):
        target(((1, 128),))


def test_targets_of_tvm_are_taken_as_they_are():
    own = tvm.target.Target({"kind": "llvm", "mtriple": "aarch64-linux-gnu"})
    assert target(own) is own


@pytest.mark.skipif(not RELAY, reason="Relax's kernels are compiled by LLVM")
def test_a_target_in_c():
    assert target({"kind": "c"}).kind.name == "c"


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ("raspberry-pi4", "did you mean raspberry-pi-4 "),
        ("pentium", "unknown target 'pentium'"),
        ('{"kind": "llvm"', "no valid JSON"),
        ("cuda", "unknown target 'cuda'.* lists the CPUs"),
        ('{"kind": "nope"}', "targets are CPUs, of kind llvm.*: not 'nope'"),
        ({"kind": "cuda"}, "targets are CPUs"),
        ({"tag": "nvidia/nvidia-a100"}, "targets are CPUs|refuses this target"),
        ({**ARM, "host": {"kind": "opencl"}}, "targets are CPUs.*: not 'opencl'"),
        (tvm.target.Target({"kind": "hexagon"}), "targets are CPUs"),
        ({**ARM, "num-cores": -1}, "num-cores must be a whole number from 1"),
        ({**ARM, "vector-width": -3}, "refuses this target"),
        ({"mcpu": "cortex-a72"}, "refuses this target"),
        ({**ARM, "mcpux": "cortex-a72"}, "refuses this target"),
        ({**ARM, "mcpu": "cortex-a27"}, "knows no mcpu 'cortex-a27'.* cortex-a7"),
        ({**ARM, "mcpu": "znver4"}, "knows no mcpu 'znver4'"),
        ({**ARM, "mattr": ["+neon", "+nein"]}, r"knows no mattr '\+nein'"),
        ({"kind": "llvm", "mtriple": "arm65-linux-gnu"}, "no code generator .*'arm65-linux-gnu'"),
    ],
    ids=str,
)
def test_wrong_targets(wrong, message):
    with pytest.raises(QuakeError, match=message) as error:
        target(wrong)
    assert "\n" not in str(error.value)
