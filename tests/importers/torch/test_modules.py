"""Torch modules with example inputs, compiled directly."""

import re

import numpy as np
import pytest

torch = pytest.importorskip("torch")

import quake_tvm  # noqa: E402
from quake_tvm.errors import QuakeError  # noqa: E402

X = torch.linspace(-2, 2, 24).reshape(3, 8)


class _Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.linear = torch.nn.Linear(8, 4)
        self.dropout = torch.nn.Dropout()

    def forward(self, x, mask=None, scale=2.0):
        p = torch.softmax(self.dropout(self.linear(x)) * scale, -1)
        return p if mask is None else p * mask


NET = _Net()


def expected(*inputs, **named):
    NET.eval()
    with torch.no_grad():
        result = NET(*inputs, **named).numpy()
    NET.train()
    return result


def test_one_tensor_and_the_mode_is_kept():
    model = quake_tvm.compile(NET, method="quake5", example_inputs=X)
    assert NET.training
    assert NET.dropout.training
    np.testing.assert_allclose(model(X)[0], expected(X), rtol=1e-5)


def test_dynamic_dimensions_by_name():
    shapes = {"x": ("batch", 8), "mask": ("batch", 4)}
    examples = X, torch.ones(3, 4)
    model = quake_tvm.compile(
        NET, method="quake5", example_inputs=examples, shapes=shapes, ranges={"batch": (1, 9)}
    )
    assert model.inputs[0].shape == ("batch", 8)
    for n in (1, 2, 9):
        x, mask = torch.randn(n, 8), torch.rand(n, 4)
        np.testing.assert_allclose(model(x, mask)[0], expected(x, mask), rtol=2e-5)
    with pytest.raises(QuakeError, match="takes 1 to 9"):
        model(torch.randn(10, 8), torch.rand(10, 4))


def test_keywords_and_fixed_arguments():
    model = quake_tvm.compile(NET, method="quake5", example_inputs={"x": X, "scale": 0.5})
    assert [i.name for i in model.inputs] == ["x"]
    np.testing.assert_allclose(model(x=X)[0], expected(X, scale=0.5), rtol=1e-5)


class _Nested(torch.nn.Module):
    def forward(self, x, parts, *more):
        return torch.exp(x) + parts["a"] + parts["b"][0] + more[0]


def test_names_beside_nested_examples():
    one = torch.ones(1)
    examples = X, {"a": one, "b": [one]}, one
    model = quake_tvm.compile(_Nested(), example_inputs=examples, shapes={"x": ("n", 8)})
    assert [i.shape for i in model.inputs] == [("n", 8), (1,), (1,), (1,)]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "needs example inputs"),
        ({"example_inputs": (X, X, X, X)}, "do not fit the module.s forward: too many"),
        ({"example_inputs": X[:, :7]}, "fails on its example inputs"),
        ({"example_inputs": X, "shapes": {"y": (1,)}}, "shapes has no input 'y'; the inputs: x"),
        ({"example_inputs": X, "shapes": {"x": ("n", 9)}}, "give an example of these sizes"),
        ({"example_inputs": X, "shapes": {"x": ("n",)}}, "1 dimensions, and its example has 2"),
        ({"example_inputs": X, "shapes": {"x": ("n", "k")}}, "fixes it at 8"),
        ({"example_inputs": X[:1], "shapes": {"x": ("n", 8)}}, "an example with 2 or more"),
    ],
)
def test_refused(options, message):
    with pytest.raises(QuakeError, match=message):
        quake_tvm.compile(NET, **options)


class _Choice(torch.nn.Module):
    def forward(self, x):
        if x.sum() > 0:
            return x * 2
        return x


def test_named_steps_of_a_recurrent_layer_are_refused_with_the_way_out():
    x, shapes = torch.ones(6, 3, 5), {"input": ("s", 3, 5)}
    with pytest.raises(QuakeError, match=r"no name 's': .* at 6, .* leaves open"):
        quake_tvm.compile(torch.nn.GRU(5, 4), example_inputs=x, shapes=shapes)


class _Packed(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = torch.nn.GRU(5, 4)

    def forward(self, x, lengths):
        packed = torch.nn.utils.rnn.pack_padded_sequence(x, lengths)
        return self.layer(packed)[1]


def test_a_layer_of_packed_sequences_is_refused_with_the_way_out():
    examples = torch.ones(6, 2, 5), torch.tensor([6, 4])
    with pytest.raises(QuakeError, match=r"torch.export fails .*; torch.compile\(..., backend='q"):
        quake_tvm.compile(_Packed(), example_inputs=examples)


def test_an_if_that_data_decide_is_refused_with_its_line():
    line = r"in line \d+ of .*test_modules.py \(if x.sum\(\) > 0:\): choose by torch.where"
    with pytest.raises(QuakeError, match=line):
        quake_tvm.compile(_Choice(), example_inputs=X)


def test_examples_are_for_modules_only():
    with pytest.raises(QuakeError, match="example_inputs are for a torch module, not for str"):
        quake_tvm.compile("model.onnx", example_inputs=X)


def test_examples_may_be_arrays():
    model = quake_tvm.compile(_Nested(), example_inputs=(X.numpy(), {"a": X, "b": [X]}, X))
    assert [i.dtype for i in model.inputs] == ["float32"] * 4


class _Size(torch.nn.Module):
    def forward(self, x):
        return torch.exp(x[: int(x[0, 0])])


class _Fails(torch.nn.Module):
    def forward(self, x):
        return torch.exp(x) @ x


@pytest.mark.parametrize(
    ("part", "message"),
    [
        (_Size(), r"size in line \d+ of {} \(return .*\): choose by torch.where"),
        (_Fails(), r"example inputs in line \d+ of {} \(return torch.exp\(x\) @ x\): mat1 and"),
    ],
    ids=["size", "fails"],
)
def test_an_error_shows_the_line_of_the_module(part, message):
    with pytest.raises(QuakeError, match=message.format(re.escape(__file__))):
        quake_tvm.compile(torch.nn.Sequential(torch.nn.Identity(), part), example_inputs=X)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("made", [torch.jit.script, lambda m: torch.jit.trace(m, X)])
def test_scripts_are_refused(made):
    with pytest.raises(QuakeError, match="cannot be exported: give the module it was made of"):
        quake_tvm.compile(made(torch.nn.GELU().eval()), example_inputs=X)


@pytest.mark.parametrize("part", [torch.nn.BatchNorm1d(8), torch.nn.Dropout()])
def test_programs_in_training_mode_are_refused(part):
    program = torch.export.export(part.train(), (X,))
    with pytest.raises(QuakeError, match=r"export the module after module\.eval\(\)"):
        quake_tvm.compile(program)


class _Counting(torch.nn.Module):
    """Counts its calls, keeps what it saw, and makes a table at the first call."""

    def __init__(self, table):
        super().__init__()
        self.calls, self.seen, self.table = 0, [], table

    def forward(self, x):
        if self.table is None:
            self.table = torch.arange(8.0)
            self.width = 8
        self.calls += 1
        self.seen.append(self.calls)
        return x * self.table


@pytest.mark.parametrize("table", [None, torch.arange(8.0)], ids=["made by forward", "given"])
def test_what_forward_changes_is_as_it_was_and_told(table, caplog):
    module = torch.nn.Sequential(_Counting(table))
    model = quake_tvm.compile(module, method="exact", example_inputs=X)
    np.testing.assert_array_equal(model(X)[0], (X * torch.arange(8.0)).numpy())
    part = module[0]
    assert (part.calls, part.seen, part.table) == (0, [], table)
    assert not hasattr(part, "width")
    assert "0.calls, 0.seen" in caplog.text


class _Calls(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.calls = 0

    def forward(self, x):
        self.calls += 1
        return x * self.calls


def test_the_program_is_that_of_the_first_call():
    np.testing.assert_array_equal(quake_tvm.compile(_Calls(), example_inputs=X)(X)[0], X.numpy())
