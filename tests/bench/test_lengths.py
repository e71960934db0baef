"""``quake-tvm bench --lengths``: one build for any size beside static ones. No time is asserted."""

import json

import pytest

from quake_tvm.bench import lengths
from quake_tvm.bench.lengths import Sizes
from quake_tvm.machines.targets import target
from tests.importers.onnx.models import exp, make, node
from tests.shell import quake


def saved(model, folder):
    path = folder / "model.onnx"
    path.write_bytes(model.SerializeToString())
    return path


def tokens():
    return make(
        [node("Softmax", ["x"], ["p"]), node("Mul", ["p", "y"], ["z"])],
        {"x": ["batch", "length", 5], "y": ["batch", "length", 1]},
        {"z": None},
    )


def test_cases_have_static_shapes(tmp_path):
    cases = lengths.cases(saved(tokens(), tmp_path), Sizes([1, 2], [3, 7]))
    assert [case.shape for case in cases] == ["1x3", "1x7", "2x3", "2x7"]
    dims = [
        [d.dim_value for d in i.type.tensor_type.shape.dim] for i in cases[-1].model.graph.input
    ]
    assert dims == [[2, 7, 5], [2, 7, 1]]


def test_named_dimensions_have_sizes_of_their_own(tmp_path):
    cases = lengths.cases(saved(tokens(), tmp_path), Sizes([1, 2], named={"length": [3, 7]}))
    assert [case.shape for case in cases] == [
        "1, length 3", "1, length 7", "2, length 3", "2, length 7"
    ]  # fmt: skip
    (case,) = lengths.cases(
        saved(tokens(), tmp_path), Sizes([1], named={"length": [3], "batch": [5]})
    )
    dims = [[d.dim_value for d in i.type.tensor_type.shape.dim] for i in case.model.graph.input]
    assert (case.shape, dims) == ("batch 5, length 3", [[5, 3, 5], [5, 3, 1]])


def test_each_size_is_measured_with_one_build_and_with_its_own(tmp_path):
    path, picture = saved(tokens(), tmp_path), tmp_path / "lines.svg"
    options = ["--lengths", "3,7", "--batches", "2", "--rounds", "1", "--plot", str(picture)]
    result = quake("bench", str(path), *options, "--json")
    assert result.returncode == 0, result.output
    cases = json.loads(result.stdout)["cases"]
    assert [case["shape"] for case in cases] == ["2x3", "2x7"]
    for case in cases:
        rows = {row["contender"]: row for row in case["contenders"]}
        assert {"quake4", "any size"} <= set(rows)
        assert rows["any size"]["difference"] == rows["quake4"]["difference"]
    assert "any size, batch 2" in picture.read_text()


def test_one_build_serves_all_cases(tmp_path, monkeypatch):
    compiled = []
    build = lengths.compiler.compile

    def compile_(*arguments, **options):
        compiled.append(arguments)
        return build(*arguments, **options)

    monkeypatch.setattr(lengths.compiler, "compile", compile_)
    lengths.any_size(saved(tokens(), tmp_path), target(), "quake2", None)
    assert len(compiled) == 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--lengths", "0"], "--lengths takes positive numbers"),
        (["--lengths", "8,x"], "--lengths takes positive numbers"),
        (["--lengths", "8", "--batches", "-1"], "--batches takes positive numbers"),
        (["--batches", "1"], "dimensions without sizes: give --lengths or --sizes"),
        (["--sizes", "length"], "--sizes takes each NAME=8,32,128 once"),
        (["--sizes", "length=0"], "--sizes length takes positive numbers"),
        (["--sizes", "width=8"], "no dimension 'width'; it has batch, length"),
        (["--sizes", "length=8", "--plot", "lines.svg"], "without --sizes"),
        (["--lengths", "8", "--shape", "x=1,2,5"], "leave out --kernel, --shape"),
        (["--lengths", "8", "-m", "quake2", "-m", "quake3"], "one --method"),
        (["--lengths", "8", "--plot", "lines.png"], "draws one model as .svg"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_bad_options(options, message, tmp_path):
    result = quake("bench", str(saved(tokens(), tmp_path)), *options)
    assert result.returncode == 2
    assert message in result.stderr


def test_a_static_model_has_no_lengths(tmp_path):
    result = quake("bench", str(saved(exp([2, 3]), tmp_path)), "--lengths", "8")
    assert result.returncode == 2
    assert "no dynamic dimensions" in result.stderr
