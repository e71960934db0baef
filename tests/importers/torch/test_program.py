"""Whole programs of torch.export: what is refused, the order of inputs, and dynamic dimensions."""

import re

import numpy as np
import pytest

import quake_tvm
from quake_tvm.build import import_model
from quake_tvm.passes.relax.graph import op_name

from .programs import Call, F, Several, X, Y, nn, torch


@pytest.mark.parametrize(
    ("function", "what"),
    [
        (lambda x: x[x > 0], "depends on data|mask"),
        (lambda x: torch.linalg.svdvals(x), "aten._linalg_svd.default"),
        (lambda x: x + torch.rand(6), "aten.rand"),
        (
            lambda x: torch.ops.higher_order.while_loop(
                lambda x: x.sum() < 9, lambda x: (x + 1,), (x,), ()
            ),
            "operator while_loop cannot be",
        ),
        (
            lambda x: torch.cond(x.sum() > 0, torch.fft.fft, lambda x: x + 0j, (x,)).real,
            "a branch of torch.cond gives something other than real tensors",
        ),
        (lambda x: F.scaled_dot_product_attention(x, x, x, dropout_p=0.5), "dropout_p=0.5"),
        (lambda x: torch.fft.fft(x), "an output of the program is complex"),
        (lambda x: torch.fft.fft(x).asin().real, "aten.asin.default of complex numbers"),
    ],
)
def test_what_cannot_be_compiled_is_refused_in_one_line(function, what):
    with torch.no_grad():
        program = torch.export.export(Call(function), (X,))
    with pytest.raises(quake_tvm.QuakeError, match=what) as error:
        import_model(program)
    assert "\n" not in str(error.value)


def test_what_no_output_depends_on_is_left_out():
    """It may be of operators without converter, and its sizes may depend on data."""

    def forward(x):
        torch.linalg.svdvals(x)
        torch.ones(x.shape[0], x.sum().long()).cumsum(1)
        torch.cond(x.sum() > 0, torch.exp, torch.neg, (x,))
        return x * 2

    with torch.no_grad():
        program = torch.export.export(Call(forward), (X,))
    main = import_model(program)["main"]
    found = [op_name(b.value) for block in main.body.blocks for b in block.bindings]
    assert list(filter(None, found)) == ["relax.multiply"]  # the output is a tuple


def test_inputs_and_outputs_keep_their_order():
    class Nested(nn.Module):
        def forward(self, x, power, *, shift, unused=None):
            x.mul_(2)
            return {"b": x * power, "a": None, "c": (x + shift, 3, x.shape[0])}

    program = torch.export.export(Nested(), (X.clone(), 3), {"shift": Y})
    model = quake_tvm.compile(program, method="exact")
    assert [i.name for i in model.inputs] == ["x", "shift"]
    tripled, shifted, three, length = model.run({"shift": Y.numpy(), "x": X.numpy()})
    np.testing.assert_allclose(tripled, 6 * X.numpy(), rtol=1e-6)
    np.testing.assert_allclose(shifted, 2 * X.numpy() + Y.numpy(), rtol=1e-6)
    assert (int(three), int(length)) == (3, 4)


def _dynamic(function, x, dim=torch.export.Dim.AUTO):
    with torch.no_grad():
        program = torch.export.export(Call(function), (x,), dynamic_shapes=(({0: dim},),))
    return quake_tvm.compile(program, method="exact")


def test_a_specialised_dimension_is_static():
    layer = nn.LSTM(8, 4).eval()
    model = _dynamic(lambda x: layer(x)[0], torch.randn(3, 2, 8))
    assert model.inputs[0].shape == (3, 2, 8)
    with pytest.raises(quake_tvm.QuakeError, match=re.escape("must have shape (3, 2, 8)")):
        model.run(np.zeros((5, 2, 8), np.float32))


def test_a_dynamic_dimension_follows_its_input():
    model = _dynamic(
        lambda x: (x[1:-2], x[-3:], x.softmax(0), torch.cat([x, x]), x / x.shape[0], x.mean(0)),
        torch.randn(8, 6),
    )
    x = torch.randn(11, 6)
    expected = (x[1:-2], x[-3:], x.softmax(0), torch.cat([x, x]), x / 11, x.mean(0))
    for one, value in zip(model.run(x.numpy()), expected, strict=True):
        np.testing.assert_allclose(one, value.numpy(), rtol=1e-5, atol=1e-6)


def _last(size):
    """A tensor with this many elements along its last dimension."""
    return torch.from_numpy(np.resize(X.numpy(), (2, 3, size)))


# Each with the smallest size that torch accepts. A smaller size would read out of range.
DYNAMIC = {
    "narrow": (3, lambda x: x.narrow(2, -3, 2)),
    "narrow, as many": (4, lambda x: x.narrow(2, x.shape[2] - 4, 4)),
    "select": (2, lambda x: x.select(2, -2)),
    "unfold": (4, lambda x: x.unfold(2, 4, 3)),
    "topk": (3, lambda x: x.topk(3, 2)),
    "smallest": (3, lambda x: x.topk(3, 2, largest=False)[0]),
    "reflect": (4, lambda x: F.pad(x, (2, 3), mode="reflect")),
    "reflect less": (4, lambda x: F.pad(x, (-1, 3), mode="reflect")),
    "replicate": (1, lambda x: F.pad(x, (2, 3), mode="replicate")),
    "circular": (3, lambda x: F.pad(x, (2, 3), mode="circular")),
    "circular less": (3, lambda x: F.pad(x, (-1, 2), mode="circular")),
    "cut": (4, lambda x: F.pad(x, (-1, -2), mode="circular")),
    "split": (2, lambda x: x.split([2, x.shape[2] - 2], 2)),
    "tensor_split": (0, lambda x: x.tensor_split((2, -2), 2)),
    "slice_scatter": (0, lambda x: x.slice_scatter(x[..., 1:3] * 2, 2, 1, 3)),
}


def test_a_dynamic_dimension_that_is_too_small():
    """One model, whose inputs have separate dynamic dimensions."""
    functions = [function for _, function in DYNAMIC.values()]
    given = tuple(_last(9 + k) for k in range(len(functions)))
    dims = {2: torch.export.Dim.DYNAMIC}
    with torch.no_grad():
        several = Several([(function, (x,)) for function, x in zip(functions, given, strict=True)])
        program = torch.export.export(several, given, dynamic_shapes=((dims,) * len(given),))
    model = quake_tvm.compile(program, method="exact")
    wide = [x.numpy() for x in given]
    counts = [
        len(torch.utils._pytree.tree_leaves(f(x))) for f, x in zip(functions, given, strict=True)
    ]
    for k, (name, (least, function)) in enumerate(DYNAMIC.items()):
        x = _last(least + 6)
        results = model.run(*wide[:k], x.numpy(), *wide[k + 1 :])
        first = sum(counts[:k])
        wanted = torch.utils._pytree.tree_leaves(function(x))
        for got, value in zip(results[first : first + counts[k]], wanted, strict=True):
            if value.is_floating_point():
                np.testing.assert_array_equal(got, value.numpy(), err_msg=name)
        if not least:
            continue
        with pytest.raises(quake_tvm.QuakeError) as error:
            model.run(*wide[:k], _last(least - 1).numpy(), *wide[k + 1 :])
        assert "\n" not in str(error.value)


def test_sizes_for_which_the_program_does_not_hold_are_refused():
    model = _dynamic(lambda x: x.reshape(-1, 4), torch.randn(8, 3))
    assert model.run(np.zeros((12, 3), np.float32))[0].shape == (9, 4)
    with pytest.raises(quake_tvm.QuakeError, match="exported for sizes with"):
        model.run(np.zeros((7, 3), np.float32))
    model = _dynamic(lambda x: x + 1, torch.randn(8, 3), torch.export.Dim("n", min=3, max=10))
    with pytest.raises(quake_tvm.QuakeError, match=r"has 11 in dimension 's.*3 to 10"):
        model.run(np.zeros((11, 3), np.float32))


def test_names_and_ranges_of_a_program():
    """A transformer's layer, with both dimensions dynamic, at the ends of their ranges."""
    layer = nn.TransformerEncoderLayer(16, 2, 32, batch_first=True).eval()
    dims = torch.export.Dim("b", max=6), torch.export.Dim("s", min=3)
    with torch.no_grad():
        program = torch.export.export(
            layer, (torch.randn(2, 5, 16),), dynamic_shapes=({0: dims[0], 1: dims[1]},)
        )
    (name,) = (i.name for i in quake_tvm.compile(program, method="exact").inputs)
    model = quake_tvm.compile(
        program,
        method="exact",
        shapes={name: ("batch", "length", 16)},
        ranges={"batch": (2, 100), "length": (1, 40)},
    )
    assert model.inputs[0].shape == ("batch", "length", 16)
    assert model.ranges == {"batch": (2, 6), "length": (3, 40)}
    for size in ((2, 3), (6, 40), (2, 40), (6, 3), (3, 17)):
        x = torch.randn(*size, 16)
        np.testing.assert_allclose(model.run(x.numpy())[0], layer(x).detach(), atol=2e-5)
    with pytest.raises(quake_tvm.QuakeError, match=r"'batch' \(axis 0\), which takes 2 to 6"):
        model.run(np.zeros((7, 5, 16), np.float32))
    with pytest.raises(quake_tvm.QuakeError, match="takes no name 'width'"):
        quake_tvm.compile(program, shapes={name: ("batch", "length", "width")})


def test_numbers_that_follow_from_sizes_are_outputs():
    numbers = lambda x: (x.shape[0] / 2, 3 * x.shape[0] + 1, x.shape[0] > 5, x + 1)  # noqa: E731
    model = _dynamic(numbers, torch.randn(8, 3))
    half, whole, many, _ = model.run(np.zeros((5, 3), np.float32))
    assert (half.dtype, float(half), int(whole)) == (np.float64, 2.5, 16)
    assert (many.dtype, bool(many)) == (np.bool_, False)


@pytest.mark.parametrize("layer", [nn.LayerNorm(6), nn.BatchNorm1d(5), nn.GroupNorm(1, 5)])
def test_norms_of_halves_with_weights_of_float32(layer):
    """As under torch.autocast."""
    x = X.bfloat16()
    with torch.no_grad():
        program = torch.export.export(layer.eval(), (x,))
        wanted = layer(x).float().numpy()
    (got,) = quake_tvm.compile(program, method="exact").run(x)
    assert got.dtype.name == "bfloat16"
    np.testing.assert_allclose(got.astype(np.float32), wanted, rtol=1e-2, atol=1e-2)
