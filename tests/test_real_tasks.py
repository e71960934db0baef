"""The command: its output files, and its errors."""

import numpy as np
import pytest

pytest.importorskip("scipy")
pytest.importorskip("safetensors")
pytest.importorskip("tokenizers")

import model_data
import real_tasks
from tasks import builds, format_report, lee, report, rung_report


@pytest.fixture
def few_texts(monkeypatch):
    """Lee's first 25 texts, cut to 32 tokens."""
    try:
        texts, judgements = lee.read()
        model_data.sentence_weights()
    except model_data.DataError as error:
        pytest.skip(str(error))
    assert judgements.shape == (50, 50)
    assert np.array_equal(judgements, judgements.T)
    monkeypatch.setattr(lee, "read", lambda: (texts[:25], judgements[:25, :25]))
    monkeypatch.setattr("tasks.texts.LENGTHS", (32,))


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """An empty page and folder for results, outside of the repository."""
    monkeypatch.setenv(real_tasks.THREADS, "1")
    page = tmp_path / "accuracy.md"
    page.write_text(
        "".join(
            f"<!-- {name}: written by `make tasks` -->\n<!-- end of {name} -->\n"
            for name in ("tasks", "formats")
        )
    )
    monkeypatch.setattr(real_tasks, "PAGE", page)
    monkeypatch.setattr(real_tasks, "FOLDER", tmp_path / "accuracy")
    return tmp_path


def test_lee_of_a_few_texts(folder, few_texts, capsys):
    assert real_tasks.main(["lee"]) == 0
    assert capsys.readouterr().out.startswith("Lee similarity, MiniLM-L6, cosine: 0.")
    (result,) = report.results_of(report.read(folder / "accuracy" / "tasks.json"))
    assert result.items == 25
    assert result.losses["quake5"].cosine_min > 1 - 1e-6
    assert result.losses["quake1"].cosine_min < result.losses["quake3"].cosine_min
    page = real_tasks.PAGE.read_text()
    assert "| Lee similarity | MiniLM-L6, cosine | 25 | 0." in page


def test_formats_have_a_section_of_their_own(folder, few_texts, monkeypatch):
    ways = {way: builds.FORMATS[way] for way in ("exact", "bfloat16", "ONNX Runtime int8")}
    monkeypatch.setattr(format_report, "WAYS", ways)
    assert real_tasks.main(["--formats", "lee"]) == 0
    (result,) = report.results_of(report.read(folder / "accuracy" / format_report.FILE))
    bfloat16, int8 = result.losses.values()
    assert int8.cosine_min < bfloat16.cosine_min < 1 - 1e-7
    assert not (folder / "accuracy" / rung_report.FILE).exists()
    rungs, formats = real_tasks.PAGE.read_text().split("<!-- formats")
    assert "Lee similarity" not in rungs
    assert "| Lee similarity | MiniLM-L6, cosine | 25 | 0." in formats


def test_a_task_without_data_is_skipped_in_one_line(folder, monkeypatch, capsys):
    def missing():
        raise model_data.DataError("there is no apt-get here")

    monkeypatch.setattr(lee, "read", missing)
    assert real_tasks.main(["lee"]) == 0
    assert capsys.readouterr().err == "skipped lee: there is no apt-get here\n"
    assert not (folder / "accuracy").exists()


def test_latency_comes_after_the_tasks(folder, capsys):
    pytest.importorskip("matplotlib")
    assert real_tasks.main(["--latency"]) == 2
    assert capsys.readouterr().err.endswith("Magika, MiniLM-L6: make tasks first\n")


def test_unknown_task(capsys):
    with pytest.raises(SystemExit) as exit:
        real_tasks.main(["mnist"])
    assert exit.value.code == 2
    assert "unknown task 'mnist'; choose from: lee, reuters" in capsys.readouterr().err
