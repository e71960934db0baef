"""llvm-mca: instructions to text, text to cycles, and errors for missing or old tools."""

import pytest

from quake_tvm import QuakeError
from quake_tvm.emulation import mca
from quake_tvm.machines.targets import target

AARCH64 = {
    "00d4204e": "fadd\tv0.4s, v0.4s, v0.4s",
    "41d4224e": "fadd\tv1.4s, v2.4s, v2.4s",
    "c0035fd6": "ret",
    "ffffff97": "bl\t#-4",
}


@pytest.fixture
def tools():
    try:
        mca.version()
    except QuakeError as error:
        pytest.skip(f"{error} (sh tests/install_cross_tools.sh)")


@pytest.fixture
def path(tmp_path, monkeypatch):
    """A function that puts a made-up LLVM on an otherwise empty PATH."""

    def install(suffix, version):
        for tool in ("llvm-mc", "llvm-mca"):
            program = tmp_path / f"{tool}{suffix}"
            program.write_text(f"#!/bin/sh\necho 'Debian LLVM version {version}'\n")
            program.chmod(0o755)

    monkeypatch.setenv("PATH", str(tmp_path))
    mca._llvm.cache_clear()
    yield install
    mca._llvm.cache_clear()


def test_disassembly(tools):
    words = {**AARCH64, "ffffffff": None}
    assert mca.disassemble(words, target("cortex-a72")) == AARCH64


def test_a_chain_takes_longer_than_independent_work(tools):
    on = target("cortex-a72")
    chain, independent = (mca.cycles([word] * 300, on) for word in list(AARCH64)[:2])
    assert chain > 2 * independent >= 300


def test_a_narrow_processor_takes_longer(tools):
    work = ["41d4224e"] * 300
    a53, n1 = (mca.cycles(work, target(name)) for name in ("cortex-a53", "neoverse-n1"))
    assert a53 > n1


def test_calls_cost_no_more_than_branches(tools):
    on = target("cortex-a72")
    assert mca.cycles(["ffffff97", "c0035fd6"] * 100, on) < 1000


def test_the_odd_unknown_instruction_is_left_out(tools):
    on = target("cortex-a72")
    work = ["41d4224e"] * 300
    assert mca.cycles([*work, "ffffffff"], on) == pytest.approx(mca.cycles(work, on), rel=0.01)
    with pytest.raises(QuakeError, match="knows too few instructions"):
        mca.cycles(["41d4224e", "ffffffff"], on)


def test_a_processor_it_does_not_know(tools, monkeypatch):
    monkeypatch.setattr(mca, "model", lambda _: "cortex-a999")
    with pytest.raises(QuakeError, match=r"does not simulate cortex-a999.*newer llvm-mca"):
        mca.cycles(["c0035fd6"], target("cortex-a72"))


@pytest.mark.parametrize(
    ("name", "model"),
    [
        ("cortex-a72", "cortex-a72"),
        ("cortex-a53", "cortex-a53"),
        ("cortex-a76", "neoverse-n1"),
        ("raspberry-pi-5", "neoverse-n1"),
        ("aarch64", "cortex-a53"),
        ("x86-64-v3", "haswell"),
        ("armv7", None),
    ],
)
def test_models(name, model):
    assert mca.model(target(name)) == model


def test_the_newest_is_taken(path):
    path("", "14.0.6")
    path("-19", "19.1.7")
    path("-9", "9.0.1")
    path("-19-old", "99.0.0")
    assert mca.version() == "19.1.7"
    path("-21", "21.1.0git")
    mca._llvm.cache_clear()
    assert mca.version() == "21.1.0"


def test_none_or_only_an_old_one(path):
    with pytest.raises(QuakeError, match="apt install llvm-19"):
        mca.version()
    path("", "14.0.6")
    with pytest.raises(QuakeError, match="apt install llvm-19"):
        mca.version()
