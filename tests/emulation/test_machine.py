"""The emulator's command for a target."""

import pytest

from quake_tvm.emulation import machine
from quake_tvm.errors import QuakeError
from quake_tvm.machines.targets import target
from tests.emulation.machines import ARMV7, MACHINES, emulated

AARCH64 = {"kind": "llvm", "mtriple": "aarch64-linux-gnu"}


@pytest.mark.parametrize(
    ("features", "cpu"),
    [
        ({"mcpu": "cortex-a72"}, "cortex-a72"),
        ({"mattr": ["+neon"]}, "cortex-a53"),
        ({"mattr": ["+neon", "+sve"]}, "max"),
        ({"mcpu": "apple-m1"}, "max"),
    ],
    ids=str,
)
def test_the_cpu_is_the_targets_if_qemu_knows_it(features, cpu):
    emulated("aarch64")
    command = machine.command(target({**AARCH64, **features}))
    assert command[0] == "qemu-aarch64"
    assert command[-2:] == ["-cpu", cpu]


def test_armv7():
    assert machine.command(emulated(ARMV7))[0] == "qemu-arm"


def test_this_machine_emulates_itself_not():
    assert machine.command(target()) == []


@pytest.mark.parametrize("name", ["aarch64", ARMV7])
def test_a_missing_emulator(monkeypatch, tmp_path, name):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(QuakeError, match=r"no qemu-.*: install Debian's qemu-user"):
        machine.command(target(MACHINES.get(name, name)))


@pytest.mark.parametrize("triple", ["riscv64-linux-gnu", "aarch64-linux-android"])
def test_what_has_no_emulator(triple):
    with pytest.raises(QuakeError, match=r"cannot emulate .*, only Linux on aarch64 and arm"):
        machine.command(target({"kind": "llvm", "mtriple": triple}))
