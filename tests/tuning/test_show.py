"""The display of a session before, during and after its run."""

import io
import sys
from dataclasses import replace
from functools import cache

import pytest
from rich.console import Console

from quake_tvm import QuakeError
from quake_tvm.machines.targets import target
from quake_tvm.schedules.space import candidates
from quake_tvm.tuning import show
from quake_tvm.tuning.state import State, Work
from tests.tuning.fakes import kernel_of, product, softmax, tasks_of


@cache
def chosen(make):
    """A choice for a model's only kernel that differs from the rule's."""
    _, other, *_ = candidates(kernel_of(make()).function, target(), most=2)
    return other


def work(mod, rule=2e-3, best=2e-3, **values):
    (task,) = tasks_of(mod)
    (kernel,) = task.kernels
    return Work(task, kernel, kernel.calls * rule, rule, best, **values)


def state(**values):
    """A state in which one of two tasks has saved half of its time. Their times are 4 to 1."""
    works = [
        work(product(), 2e-3, 1e-3, choice=chosen(product), trials=12, left=23),
        work(softmax(), 5e-4, 5e-4, trials=5, finished="all tried"),
        work(softmax(), 1e-9, 1e-9),
    ]
    curve = [(8, 4.0, 0.8), (12, 6.0, 0.6)]
    return State(works=works, trials=17, failed=1, seconds=65.4, curve=curve, records=1, **values)


def rendered(renderable, width=80):
    console = Console(width=width, record=True, file=io.StringIO())
    console.print(renderable)
    return console.export_text().splitlines()


def test_before_anything_is_known():
    assert rendered(show.live(State(doing="reading"), 0.0, [], 10))[0] == "reading"
    empty = State(stopped="interrupted")
    assert str(empty) == "interrupted before every kernel was measured once"


def test_while_it_runs():
    running = state(doing="measuring")
    running.current = running.works[0]
    lines = rendered(show.live(running, 70.0, ["8 trials", "50 s"], 10))
    assert lines[0].rstrip() == "measuring"
    assert lines[1].rstrip() == "matmul 8x16x8: 2 ms to 1 ms (0.500); 23 candidates left"
    assert lines[2].startswith("best so far: vectors=")
    assert lines[3].rstrip() == "17 trials (1 failed) in 70 s; left: 8 trials, 50 s, 2 of 3 tasks"
    assert lines[4].rstrip() == "kernels together: 0.600 of untuned; 1 record"
    assert max(map(len, lines)) <= 80
    first, second, third = (line for line in lines if "│" in line)
    assert [cell.strip() for cell in first.strip("│").split("│")] == [
        *("80.0%", "matmul 8x16x8", "2 ms", "1 ms", "0.500", "12", "now")
    ]
    assert "all tried" in second
    assert "1 ns" in third


def test_tasks_that_find_no_room_are_summed_up():
    lines = rendered(show.live(state(), 0.0, [], 1))
    *_, last = (line for line in lines if "│" in line)
    assert "20.0%" in last
    assert "2 more" in last


def test_at_the_end():
    done = state(stopped="the budget is used up")
    table, line = str(done).rsplit("\n", 1)
    assert line == (
        "the budget is used up: kernels together 2.5 ms to 1.5 ms (0.600) in 17 trials, "
        "1 failed, 65 s; 1 record"
    )
    assert "the rule's own" in table
    assert " ".join(f"{k}={n}" for k, n in done.works[0].choice.numbers.items()) in table


def test_metaschedules_own_are_called_so():
    theirs = replace(chosen(softmax), numbers={}, trace=object())
    assert show.choice(work(softmax(), choice=theirs, trials=1)) == "MetaSchedule's own"


@pytest.mark.parametrize(
    ("value", "unit", "told"),
    [
        (2.5, "s", "2.5 s"),
        (2.5e-3, "s", "2.5 ms"),
        (999.4e-6, "s", "999 us"),
        (3e-10, "s", "0.3 ns"),
        (1234567.8, "cycles", "1,234,568"),
    ],
)
def test_costs(value, unit, told):
    assert show.cost(value, unit) == told


@pytest.mark.parametrize("ending", ["png", "svg"])
@pytest.mark.parametrize("make", [State, state], ids=["empty", "finished"])
def test_plot(tmp_path, ending, make):
    pytest.importorskip("matplotlib")
    path = tmp_path / f"curve.{ending}"
    make().plot(path)
    assert path.read_bytes().lstrip().startswith({"png": b"\x89PNG", "svg": b"<?xml"}[ending])
    assert [file.name for file in tmp_path.iterdir()] == [path.name]


def test_no_plot(tmp_path, monkeypatch):
    with pytest.raises(QuakeError, match=r"cannot write|matplotlib"):
        state().plot(tmp_path / "missing" / "curve.png")
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(QuakeError, match="pip install matplotlib"):
        state().plot(tmp_path / "curve.png")
