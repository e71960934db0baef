"""The program that measures compile times: its output for one or two chains."""

from itertools import pairwise
from xml.etree import ElementTree

from quake_tvm.bench import chains
from quake_tvm.bench.line_picture import picture

PAGE = "# Title\n\n<!-- {0}: written -->\n<!-- end of {0} -->\n\nThe rest.\n"


def test_page_has_table_command_and_picture(tmp_path, monkeypatch):
    monkeypatch.setattr(chains, "METHODS", ("quake2",))
    page = tmp_path / "page.md"
    page.write_text(PAGE.format(chains.TVM))
    chains.main(["1", "2", "--page", str(page)])
    text = page.read_text()
    assert f"chains 1 2 --page {page}" in text
    assert "| a link | rung | 1 links | 2 links |" in text
    assert text.count("| quake2 |") == len(chains.LINKS)
    drawn = tmp_path / f"page_{chains.TVM}.svg"
    assert f"({drawn.name})" in text
    assert text.endswith("The rest.\n")
    root = ElementTree.parse(drawn).getroot()
    assert len(root.findall("{*}polyline")) == len(chains.LINKS)


def test_ten_times_as_much_is_as_far_everywhere():
    root = ElementTree.fromstring(picture({"a < b": [(1, 0.1), (10, 1), (100, 10)]}, "x", "y"))
    (line,) = root.findall("{*}polyline")
    places = [tuple(map(float, each.split(","))) for each in line.get("points").split()]
    across, up = ([b - a for a, b in pairwise(axis)] for axis in zip(*places, strict=True))
    assert abs(across[0] - across[1]) < 0.2
    assert abs(up[0] - up[1]) < 0.2
    assert "a < b" in "".join(root.itertext())
