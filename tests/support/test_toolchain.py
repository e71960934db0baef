"""Compilers: which is found for which triple, in which order, and the error if there is none."""

import importlib.util
import platform
import sys
from pathlib import Path

import numpy as np
import pytest

import quake_tvm
from quake_tvm.emulation import kernel
from quake_tvm.errors import QuakeError
from quake_tvm.machines.targets import target
from quake_tvm.support import toolchain
from quake_tvm.support.toolchain import Triple, compiler, linker
from tests.emulation.machines import call, emulated, function
from tests.test_compiler import mlp

ANDROID = {"kind": "llvm", "mtriple": "aarch64-linux-android24"}


def llvm(triple):
    return target({"kind": "llvm", "mtriple": triple})


@pytest.fixture
def empty(monkeypatch, tmp_path):
    """A machine without a compiler. Its architecture differs from all targets here."""
    for variable in ("CC", "CXX", "ANDROID_NDK_HOME"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(toolchain, "find_spec", lambda _: None)
    monkeypatch.setattr(platform, "machine", lambda: "s390x")
    return tmp_path


def program(path: Path, script: str = "exit 0") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return path


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("x86_64-conda-linux-gnu", "x86_64-linux-gnu"),
        ("x86_64-linux-gnu", "x86_64-linux-gnu"),
        ("aarch64-unknown-linux-musl", "aarch64-linux-musl"),
        ("arm64-linux-gnu", "aarch64-linux-gnu"),
        ("armv7l-linux-gnueabihf", "arm-linux-gnueabihf"),
        ("aarch64-linux-android24", "aarch64-linux-android24"),
        ("arm64-apple-macos11", "aarch64-macos"),
        ("arm64-apple-ios17", "aarch64-ios"),
        ("riscv64-linux-gnu", "riscv64-linux-gnu"),
        ("wasm32-wasi", "wasm32-wasi"),
        ("thumbv7em-none-eabihf", "arm-none"),
    ],
)
def test_triples(text, read):
    assert str(Triple.parse(text)) == read


def test_the_hosts_own_compiler(monkeypatch, empty):
    monkeypatch.setattr(platform, "machine", lambda: "x86_64")
    program(empty / "c++")
    program(empty / "g++")
    assert compiler(target("x86-64-v3")) == ["g++"]
    monkeypatch.setenv("CXX", "c++ -stdlib=libc++")
    assert compiler(target("x86-64-v3")) == ["c++", "-stdlib=libc++"]
    with pytest.raises(QuakeError, match=r"install g\+\+-aarch64-linux-gnu"):
        compiler(target("aarch64"))


@pytest.mark.parametrize("triple", ["x86_64-linux-gnu", "aarch64-linux-gnu"])
def test_another_architecture_is_cross_whatever_the_host(empty, triple):
    assert not toolchain.triple(llvm(triple)).is_host
    program(empty / "g++")
    with pytest.raises(QuakeError, match=f"no c.. compiler for {triple}"):
        compiler(llvm(triple))
    program(empty / f"{triple}-g++")
    assert compiler(llvm(triple)) == [f"{triple}-g++"]


@pytest.mark.parametrize("triple", ["x86_64-linux-musl", "x86_64-linux-android24"])
def test_another_c_library_is_cross(monkeypatch, triple):
    monkeypatch.setattr(platform, "machine", lambda: "x86_64")
    assert not Triple.parse(triple).is_host


def test_debian_comes_before_zig(empty):
    program(empty / "zig")
    armv7 = target("armv7")
    assert compiler(armv7) == ["zig", "c++", "-target", "arm-linux-gnueabihf"]
    program(empty / "arm-linux-gnueabihf-g++")
    program(empty / "arm-linux-gnueabihf-gcc")
    assert compiler(armv7) == ["arm-linux-gnueabihf-g++"]
    assert compiler(armv7, "c") == ["arm-linux-gnueabihf-gcc"]


def test_zig_from_pypi(monkeypatch, empty):
    monkeypatch.setattr(toolchain, "find_spec", lambda name: name == "ziglang" or None)
    zig = [sys.executable, "-m", "ziglang", "cc", "-target"]
    assert compiler(target("riscv64"), "c") == [*zig, "riscv64-linux-gnu"]
    assert compiler(llvm("arm64-apple-macos11"), "c") == [*zig, "aarch64-macos"]


def test_android_is_left_to_its_ndk(monkeypatch, empty):
    program(empty / "zig")
    with pytest.raises(QuakeError, match="ANDROID_NDK_HOME"):
        compiler(target(ANDROID))
    ndk = empty / "ndk"
    clang = ndk / "toolchains/llvm/prebuilt/linux-x86_64/bin/aarch64-linux-android24-clang++"
    program(clang)
    monkeypatch.setenv("ANDROID_NDK_HOME", str(ndk))
    assert compiler(target(ANDROID)) == [str(clang)]
    assert compiler(llvm("aarch64-linux-android")) == [str(clang)]


@pytest.mark.parametrize(
    ("triple", "advice"),
    [
        ("aarch64-linux-gnu", "apt install g++-aarch64-linux-gnu, or pip install ziglang"),
        ("armv7l-linux-gnueabihf", "apt install g++-arm-linux-gnueabihf, or pip install ziglang"),
        ("x86_64-linux-gnu", "apt install g++-x86-64-linux-gnu, or pip install ziglang"),
        ("arm64-apple-macos", "pip install ziglang"),
        ("arm64-apple-ios", "choose a target"),
    ],
)
def test_what_to_install(empty, triple, advice):
    with pytest.raises(QuakeError) as error:
        compiler(llvm(triple))
    assert str(error.value).endswith(advice) or advice in str(error.value)
    assert "\n" not in str(error.value)


def test_no_libraries_on_webassembly():
    with pytest.raises(QuakeError, match="loads no libraries on wasm32-wasi"):
        linker(target("wasm32"))


def test_export_says_why_it_cannot_link_and_leaves_nothing(monkeypatch, empty):
    model = quake_tvm.compile(mlp(2), "aarch64")
    script = "echo 'ld: some line' >&2; echo 'ld: error: no such thing' >&2; exit 1"
    program(empty / "aarch64-linux-gnu-gcc", script)
    (empty / "out").mkdir()
    with pytest.raises(QuakeError, match=r"aarch64-linux-gnu-gcc cannot link.*no such thing"):
        model.export(empty / "out/model.so")
    assert not list((empty / "out").iterdir())


@pytest.mark.parametrize("name", ["aarch64", "armv7"])
def test_what_zig_links_runs(monkeypatch, tmp_path, name):
    if importlib.util.find_spec("ziglang") is None:
        pytest.skip("no zig: pip install ziglang")
    on = emulated(name)
    x = np.linspace(-3, 3, 128, dtype=np.float32).reshape(2, 64)
    with monkeypatch.context() as patch:
        patch.setattr(toolchain, "_debian", lambda *_: [])
        library = kernel.export(
            {"f": function("sigmoid", "quake5", (2, 64))}, on, tmp_path / "k.so"
        )
    ((y,),) = kernel.run_all(library, [call("sigmoid", "f", x)], on)
    proven = quake_tvm.bound("sigmoid", "quake5")
    exact = 1 / (1 + np.exp(-x.astype(np.float64)))
    assert (abs(y - exact) <= proven.relative * exact + proven.absolute).all()
