"""``quake-tvm plan``, and ``compile`` with the plan that it wrote."""

import json

import numpy as np

from quake_tvm.site_plan import Plan
from tests.cli.test_app import model  # noqa: F401
from tests.shell import quake

SHAPE = "--shape", "x=4,8"


def test_plan_and_compile(model, tmp_path):  # noqa: F811
    inputs, out = tmp_path / "inputs.npz", tmp_path / "plan.toml"
    np.savez(inputs, x=np.random.default_rng(0).normal(size=(5, 4, 8)).astype(np.float32))
    done = quake("plan", model, "-i", inputs, *SHAPE, "--budget", "1e-2", "-o", out, "--json")
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    plan = Plan.load(out)
    assert told["inputs"] == plan.inputs == 5
    assert {s["operator"] for s in told["sites"]} == {"gelu", "softmax"}
    assert told["verdict"] == plan.verdict

    done = quake("compile", model, *SHAPE, "--plan", out, "--json")
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert [s["method"] for s in report["sites"]] == [s.method for s in plan.sites]
    assert report["plan"] == str(plan)

    done = quake("compile", model, *SHAPE, "--plan", out, "-m", "quake2")
    assert done.returncode == 2
    assert done.stderr.strip() == (
        "error: a plan sets every rung: leave out method=, max_error=, only= and skip="
    )


def test_tables_and_a_metric_in_the_user_s_folder(model, tmp_path):  # noqa: F811
    inputs = tmp_path / "inputs.npz"
    np.savez(inputs, x=np.ones((4, 8), np.float32))
    (tmp_path / "mine.py").write_text("def error(expected, found):\n    return 0.0\n")
    command = "plan", model, "-i", inputs, *SHAPE, "--metric", "mine:error"
    done = quake(*command, cwd=tmp_path, PYTHONSAFEPATH="1")  # as in an installed command
    assert done.returncode == 0, done.stderr
    assert "softmax" in done.stdout
    assert "plan, measured" in done.stdout
    assert (tmp_path / "plan.toml").is_file()


def test_products_and_an_unknown_precision(model, tmp_path):  # noqa: F811
    inputs = tmp_path / "inputs.npz"
    np.savez(inputs, x=np.random.default_rng(0).normal(size=(4, 8)).astype(np.float32))
    command = "plan", model, "-i", inputs, *SHAPE, "--budget", "0.1", "--precision"
    done = quake(*command, "bfloat16", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "bfloat16: " in done.stdout
    assert Plan.load(tmp_path / "plan.toml").products
    done = quake(*command, "int4", cwd=tmp_path)
    assert done.returncode == 2
    assert "precision" in done.stderr


def test_a_wrong_plan_writes_nothing(model, tmp_path):  # noqa: F811
    inputs = tmp_path / "inputs.npz"
    np.savez(inputs, y=np.ones((4, 8), np.float32))
    done = quake("plan", model, "-i", inputs, *SHAPE, cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr.strip().endswith("holds y; the model takes x")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["inputs.npz"]
