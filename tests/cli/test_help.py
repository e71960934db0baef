"""The help of every command: its text, and each option with its default, as golden files.

Layout is Typer's own, and differs from version to version. ``python -m pytest
tests/cli/test_help.py --update-golden`` rewrites the files.
"""

import subprocess
import sys
from pathlib import Path

import pytest
import typer

from quake_tvm.cli.app import app
from tests.shell import quake

GOLDEN = Path(__file__).parents[1] / "golden_help"
COMMANDS = typer.main.get_command(app).commands


def help_of(command):
    """A command's text and its parameters, one a line."""
    lines = [*command.help.splitlines(), ""]
    for parameter in command.params:
        names = ", ".join([*parameter.opts, *parameter.secondary_opts])
        default = "" if parameter.default in (None, False) else f" [{parameter.default}]"
        lines.append(f"{names}{default}: {getattr(parameter, 'help', '')}")
    return "\n".join(line.rstrip() for line in lines) + "\n"


@pytest.mark.parametrize("name", COMMANDS)
def test_help(name, request):
    path = GOLDEN / f"{name}.txt"
    found = help_of(COMMANDS[name])
    if request.config.getoption("--update-golden"):
        path.parent.mkdir(exist_ok=True)
        path.write_text(found)
    assert found == path.read_text(), "if this is meant, run pytest with --update-golden"


def test_every_file_is_a_command():
    assert {path.stem for path in GOLDEN.iterdir()} == set(COMMANDS)


def test_every_option_has_a_help_that_ends_a_sentence():
    for name, command in COMMANDS.items():
        for parameter in command.params:
            said = parameter.help
            assert said, (name, parameter.name)
            assert said[-1] in ".]", (name, parameter.name, said)


def test_short_help_and_version():
    assert quake("-h").stdout == quake("--help").stdout
    assert quake("compile", "-h").stdout == quake("compile", "--help").stdout
    assert quake("--version").stdout.startswith("quake-tvm 0.")


def test_help_loads_neither_tvm_nor_numpy():
    # The help needs none of it, and loading it is slow.
    script = f"""
import sys
from quake_tvm.cli.app import app
for name in {["", *COMMANDS]}:
    app([*name.split(), "--help"], standalone_mode=False)
    loaded = {{"tvm", "numpy"}} & set(sys.modules)
    assert not loaded, (name, loaded)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_completion():
    words = {"COMP_WORDS": "quake-tvm comp", "COMP_CWORD": "1"}
    shown = quake(_QUAKE_TVM_COMPLETE="complete_bash", **words)
    assert shown.stdout.split() == ["compile", "compare"]
