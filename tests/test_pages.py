"""The README and docs/: Python programs run, shell commands parse, links lead somewhere.

Every page of docs/ is in the navigation of mkdocs.yml. ``make docs`` checks the site itself.
"""

import re
import shlex
from pathlib import Path

import click
import numpy as np
import onnx
import pytest
import typer
import yaml
from onnx import TensorProto, helper

import quake_tvm
from quake_tvm.cli import app
from quake_tvm.machines import table
from tests import encoder_folder
from tests.helpers import module

ROOT = Path(__file__).parents[1]
# tests/relay/test_pages.py runs the programs of docs/relay.md.
DOCS = sorted((ROOT / "docs").rglob("*.md"))
PAGES = [
    ROOT / "README.md",
    ROOT / "PACKAGE.md",
    *(p for p in DOCS if p != ROOT / "docs" / "relay.md"),
]
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```", re.DOTALL | re.MULTILINE)


def blocks(page: Path, language: str) -> list[str]:
    return [text for kind, text in BLOCK.findall(page.read_text()) if kind == language]


@pytest.fixture
def targets_as_before():
    """Unregisters the targets that a page registered."""
    before = set(table.TARGETS)
    yield
    for name in set(table.TARGETS) - before:
        del table.TARGETS[name]


@pytest.mark.parametrize("page", [p for p in PAGES if blocks(p, "python")], ids=lambda p: p.name)
def test_programs(page, tmp_path, monkeypatch, targets_as_before):
    """The programs run in order, in one namespace. ``model.onnx`` takes x of 128 columns."""
    from tvm import relax

    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    onnx.save(model(), "model.onnx")
    x = np.ones((1, 128), np.float32)
    names = {
        "quake_tvm": quake_tvm,
        "mod": module(lambda x: relax.op.nn.softmax(x), (4, 8)),
        "target": quake_tvm.target("native"),
        "array": x,
        "calibration_inputs": [{"x": x}],
    }
    for program in blocks(page, "python"):
        if re.search(r"^import torch", program, re.MULTILINE):
            pytest.importorskip("torch")
        if "all-MiniLM-L6-v2" in program:
            pytest.importorskip("tokenizers")
            Path("all-MiniLM-L6-v2").mkdir()
            encoder_folder.save(Path("all-MiniLM-L6-v2"))
        program = re.sub(r"minutes=\d+", "minutes=0.05", program)
        exec(compile(program, str(page), "exec"), names)


def model() -> onnx.ModelProto:
    nodes = [
        helper.make_node("Sigmoid", ["x"], ["s"]),
        helper.make_node("Softmax", ["s"], ["y"], axis=-1),
    ]
    x, y = (helper.make_tensor_value_info(n, TensorProto.FLOAT, ["n", 128]) for n in "xy")
    graph = helper.make_graph(nodes, "graph", [x], [y])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def commands(page: Path) -> list[list[str]]:
    lines = "\n".join(blocks(page, "")).replace("\\\n", " ").splitlines()
    words = [shlex.split(line, comments=True) for line in lines if "quake-tvm " in line]
    return [found[1:] for found in words if found and found[0] == "quake-tvm"]


@pytest.mark.parametrize("page", [p for p in PAGES if commands(p)], ids=lambda p: p.name)
def test_commands(page):
    shell = typer.main.get_command(app.app)
    for name, *arguments in commands(page):
        command = shell.get_command(click.Context(shell), name)
        assert command is not None, name
        command.make_context(name, arguments)


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub and MkDocs name them."""
    text = re.sub(r"^```.*?^```", "", page.read_text(), flags=re.DOTALL | re.MULTILINE)
    titles = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("page", [*sorted(ROOT.glob("*.md")), *DOCS], ids=lambda p: p.name)
def test_links(page):
    for link in re.findall(r"\]\(([^):]+)\)", page.read_text()):
        target, _, anchor = link.partition("#")
        path = page.parent / target if target else page
        assert path.exists(), link
        assert not anchor or anchor in anchors(path), link


def test_every_page_is_in_the_navigation():
    def leaves(entry):
        if isinstance(entry, str):
            return [entry]
        values = entry.values() if isinstance(entry, dict) else entry
        return [leaf for value in values for leaf in leaves(value)]

    listed = leaves(yaml.safe_load((ROOT / "mkdocs.yml").read_text())["nav"])
    assert len(listed) == len(set(listed))
    outside = {"changelog.md", "contributing.md", "security.md"}
    assert set(listed) - outside == {str(p.relative_to(ROOT / "docs")) for p in DOCS}


def test_the_readme_is_short():
    assert len((ROOT / "README.md").read_text().splitlines()) <= 150
