"""Mutated files of fixed seeds. ``make fuzz-files`` tries other seeds."""

import pytest

from tests.fuzz.files import case, run

FILES = 60


def _failures(seeds):
    outcomes = list(run(seeds))
    assert len(outcomes) == len(seeds)
    bad = [(c, said) for c, said in outcomes if said not in ("taken", "refused")]
    return "\n".join(f"seed {c.seed}, {c.name}: {said[-600:]}" for c, said in bad)


def test_mutated_files():
    assert not _failures(range(FILES))


@pytest.mark.sweep
def test_many_mutated_files():
    assert not _failures(range(10_000, 12_000))


def test_a_seed_gives_the_same_file():
    assert case(7) == case(7)
    assert len({case(seed).content for seed in range(50)}) == 50


def test_what_is_no_one_line_error_is_found(monkeypatch):
    def traceback(path):
        raise KeyError(path)

    monkeypatch.setattr("tests.fuzz.files._use", traceback)
    assert "KeyError" in _failures([0])
