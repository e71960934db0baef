"""Programs of torch.export against eager: values, dtypes and shapes of every kind of operator.

TVM's default pipeline compiles the cases, many in one module: this tests only the importer.
"""

import operator
import re

import numpy as np
import pytest
import tvm
from tvm import relax

import quake_tvm
from quake_tvm.compiler import import_model

torch = pytest.importorskip("torch")
nn, F = torch.nn, torch.nn.functional

torch.manual_seed(0)
X = torch.randn(4, 5, 6) * 2
Y = torch.randn(4, 5, 6)
I = torch.randint(-5, 6, (4, 5, 6))  # noqa: E741
J = torch.randint(1, 4, (4, 5, 6))
B = X > 0
PICTURE = torch.randn(2, 6, 9, 8)
SERIES = torch.randn(2, 6, 11)
EMPTY = torch.zeros(4, 0, 6)
INF, NAN = float("inf"), float("nan")
SPECIAL = torch.tensor([0.0, -0.0, NAN, INF, -INF, 1, -1, 1e-9, -1e-9, 0.3, 20, -20, 1e30])
PLACES = torch.tensor([[1, 0, 2], [-2, 3, 3]])


class Several(nn.Module):
    """Several functions in one module, each with its inputs."""

    def __init__(self, cases):
        super().__init__()
        self.cases = cases
        self.modules_ = nn.ModuleList([f for f, _ in cases if isinstance(f, nn.Module)])

    def forward(self, *inputs):
        results, first = [], 0
        for function, given in self.cases:
            results.append(function(*inputs[first : first + len(given)]))
            first += len(given)
        return results


def imported(module, inputs, **options):
    """The outputs of a module that is exported, imported and compiled by TVM."""
    with torch.no_grad():
        program = torch.export.export(module, inputs, **options)
    target = tvm.target.Target({"kind": "llvm", "opt-level": 0})
    machine = relax.VirtualMachine(tvm.compile(import_model(program), target), tvm.cpu())
    tensors = [tvm.runtime.tensor(x.contiguous().numpy()) for x in inputs]
    return [array.numpy() for array in machine["main"](*tensors)]


def check(cases, tolerance=2e-5):
    module = Several(list(cases.values())).eval()
    inputs = tuple(x for _, given in cases.values() for x in given)
    got = iter(imported(module, inputs))
    wrong = []
    for name, (function, given) in cases.items():
        with torch.no_grad():
            results = torch.utils._pytree.tree_leaves(function(*given))
        for value in results:
            expected, one = value.detach().numpy(), next(got)
            if one.dtype != expected.dtype or one.shape != expected.shape:
                wrong.append(f"{name}: {one.dtype}{one.shape}, torch {expected.dtype}{value.shape}")
            elif not np.allclose(
                one.astype("f8"), expected.astype("f8"), tolerance, tolerance, equal_nan=True
            ):
                wrong.append(f"{name}: {one.ravel()[:8]}, torch {expected.ravel()[:8]}")
    assert not wrong, "\n".join(wrong)


OPERATORS = {
    **{"add": operator.add, "sub": operator.sub, "mul": operator.mul, "div": operator.truediv},
    **{"floordiv": operator.floordiv, "mod": operator.mod, "fmod": torch.fmod},
    **{"lt": operator.lt, "ge": operator.ge, "eq": operator.eq, "ne": operator.ne},
    "trunc": lambda x, y: torch.div(x, y, rounding_mode="trunc"),
}
KINDS = {
    **{"int_int": (I, J), "float_int": (X, J), "bool_int": (B, J), "int_float": (I, Y)},
    "int8_int32": (I.to(torch.int8), J.to(torch.int32)),
    "uint8_int8": (J.to(torch.uint8), J.to(torch.int8)),
    "half_scalar": (X.half(), torch.tensor(2.5)),
    "double_float": (X.double(), Y),
}


@pytest.mark.parametrize("numbers", [(0.5, 2.5), (2, -1)], ids=["floats", "ints"])
def test_operators_promote_scalars_as_torch_does(numbers):
    cases = {}
    for name, function in OPERATORS.items():
        for number in numbers:
            for kind, tensor in {"int": I, "float": X, "int32": I.int()}.items():
                cases[f"{name} {kind} {number}"] = (
                    lambda x, f=function, n=number: f(x, n),
                    (tensor,),
                )
    check(cases)


@pytest.mark.parametrize("kind", KINDS)
def test_operators_promote_tensors_as_torch_does(kind):
    skipped = {
        "half_scalar": {"floordiv", "mod", "fmod", "trunc"},
        "bool_int": {"sub"},  # torch refuses these
    }.get(kind, set())
    cases = {n: (f, KINDS[kind]) for n, f in OPERATORS.items() if n not in skipped}
    check(cases, 2e-2 if kind == "half_scalar" else 2e-5)


def test_dtypes_of_mixed_operands():
    check(
        {
            "where": (torch.where, (B, I, X)),
            "where numbers": (lambda b: torch.where(b, 2, 3.5), (B,)),
            "cat": (lambda i, x, b: torch.cat([i, x, b]), (I, X, B)),
            "clamp": (lambda i: i.clamp(0.5, 2.5), (I,)),
            "clamp the other way round": (lambda x: x.clamp(2, 1), (X,)),
            "bool + bool": (lambda b: b + b.roll(1), (B,)),
            "bool * bool": (lambda b: b * b.roll(1), (B,)),
            "bool / 2": (lambda b: b / 2, (B,)),
            "i ** 3": (lambda i: i**3 + i**0, (I,)),
            "i ** 0.5": (lambda i: i.abs() ** 0.5, (I,)),
            "exp of ints": (lambda i: torch.exp(i * 0.5) + torch.sigmoid(i), (I,)),
            "sum of bool": (lambda b: b.sum(-1), (B,)),
            "cumsum of bool": (lambda b: b.cumsum(-1), (B,)),
            "sum of int32": (lambda i: i.int().sum(0), (I,)),
            "prod": (lambda i: i.int().prod(-1), (I,)),
            "mean of ints": (lambda i: i.mean(-1, dtype=torch.float32), (I,)),
            "rsub": (lambda i: 1.5 - i, (I,)),
            "addmm of ints": (
                lambda i: torch.addmm(i[0, :, :5], i[0], i[1].T, beta=2, alpha=3),
                (I,),
            ),
            "add with alpha": (lambda x, i: torch.add(x, i, alpha=2.5), (X, I)),
            "to bool": (lambda x: x.bool(), (X * 0.1,)),
        }
    )


def test_special_values():
    grid = (SPECIAL[:, None].expand(13, 13).clone(), SPECIAL[None].expand(13, 13).clone())
    names = ("exp", "log1p", "expm1", "sigmoid", "tanh", "isnan", "isinf", "isfinite", "square")
    check(
        {
            **{name: (getattr(torch, name), (SPECIAL,)) for name in names},
            **{name: (OPERATORS[name], grid) for name in ("div", "floordiv", "lt", "eq", "ne")},
            "not": (lambda x: (~(x < 0.5), torch.logical_not(x == 1)), (SPECIAL,)),
            "times 0": (lambda x: x * 0, (SPECIAL,)),
            "0 over": (lambda x: 0 / x, (SPECIAL,)),
            "over 0": (lambda x: (x / 0, x // 0, x % 0, torch.fmod(x, 0)), (SPECIAL,)),
            "bool": (lambda x: x.bool(), (SPECIAL,)),
            "logsumexp": (
                lambda x: torch.logsumexp(x, -1),
                (torch.tensor([[INF, 1], [-INF, -INF], [INF, -INF], [1e38, 3e38], [NAN, 1]]),),
            ),
            "sort": (lambda x: torch.sort(x, stable=True), (SPECIAL,)),
            "sort down": (lambda x: torch.sort(x, stable=True, descending=True), (SPECIAL,)),
            "argmax": (lambda x: (x.argmax(), x[5:].argmax(), x.argmin()), (SPECIAL,)),
        }
    )


def test_integers_are_divided_by_nothing_that_stops_the_processor():
    """torch refuses a divisor of zero, so the result is undefined. The process must not end."""
    low = torch.tensor([-(2**31), 7, 5], dtype=torch.int32)
    by = torch.tensor([-1, 0, 2], dtype=torch.int32)

    class Divide(nn.Module):
        def forward(self, x, y):
            return x // y, x % y, torch.fmod(x, y), torch.div(x, y, rounding_mode="trunc")

    with torch.no_grad():
        program = torch.export.export(Divide(), (low, by.abs() + 1))
    floor, *rest = quake_tvm.compile(program, method="exact").run(low.numpy(), by.numpy())
    assert floor[2] == 2
    assert [int(r[2]) for r in rest] == [1, 1, 2]


def test_reductions():
    check(
        {
            "amax": (lambda x: x.amax((0, -1), keepdim=True), (X,)),
            "argmax": (lambda x: (x.argmax(), x.argmax(1, keepdim=True), x.argmin(0)), (X,)),
            "any": (lambda x: (x.any(1), x.all(-1), x.any()), (I,)),
            "max": (lambda x: (x.max(1), x.min(-1, keepdim=True)), (X,)),
            **{
                f"var {k}": (lambda x, k=k: torch.var(x, (0, 2), correction=k), (X,))
                for k in (0, 1, 2, 24, 30)
            },
            "var of one": (lambda x: x[:, :1].var(1), (X,)),
            **{
                f"norm {p}": (lambda x, p=p: torch.linalg.vector_norm(x, p, (0, -1)), (X,))
                for p in (0, 1, 2, 3, 1.5, INF, -INF)
            },
            "topk": (lambda x: torch.topk(x, 3, 1, largest=False), (X,)),
            "cumprod": (lambda x: x.cumprod(1), (X,)),
            "of a scalar": (lambda x: (x.sum().sum(0), x.sum().softmax(0), x.sum().amax()), (X,)),
            "of nothing": (lambda x: (x.sum(1), x.mean(1), x.prod(1), x.any(1)), (EMPTY,)),
            "softmax": (lambda x: (x.softmax(0), x.log_softmax(1)), (X,)),
        }
    )


def _written(x):
    x = x.clone()
    x[1:3, 0] = 7
    x[..., -1] *= 2
    x[x > 3] = 5
    x[:, torch.tensor([1, 3])] = x[:, :2] * 3
    x[torch.tensor([0, 1]), :, torch.tensor([2, 3])] = -4
    return x


def test_layout_and_indexing():
    views = {
        "slices": lambda x: (x[1:3, ::2, -4:-1], x[:, 3:100], x[3:1], x[:, -100:2], x[:, 1::3]),
        "select": lambda x: (x[1], x[-1], x[..., -2]),
        "turned": lambda x: (x.permute(-1, 0, -2), x.transpose(0, 1).reshape(4, 30), x.mT),
        "squeeze": lambda x: (x.squeeze(0), x[:1, :, :1].squeeze(), x[:1].squeeze((0, 1))),
        "expand": lambda x: (x[:1].expand(3, 5, 6), x[:, :1].expand(2, 4, 5, 6)),
        "cat": lambda x: (torch.cat([torch.tensor([]), x], -2), torch.stack([x, x + 1], -1)),
        "parts": lambda x: (x.split(2, 1), x.chunk(4, 2), x.unbind(1)[2]),
        "pad": lambda x: (F.pad(x, (1, 2, 0, 3), value=2.5), F.pad(x, (-1, 2, 1, -2))),
        "mirrored": lambda x: (
            F.pad(x, (2, 1), mode="reflect"),
            F.pad(x, (2, 3), mode="replicate"),
            F.pad(x, (2, 3), mode="circular"),
        ),
        "moved": lambda x: (x.flip(0, -1), x.roll((-1, 3), (0, 2)), x.repeat(2, 1, 2, 1)),
        "triangles": lambda x: (x.tril(1), x.triu(-1), x.diagonal(-2, 2, 0)),
        "strided": lambda x: (x.as_strided((3, 4), (7, 2), 5), x.unfold(2, 2, 3)),
        "places": lambda x: (x[PLACES], x[:, PLACES], x[PLACES, :, PLACES], x[:, PLACES, PLACES]),
        "gather": lambda x: x.gather(1, PLACES.abs()[:, :, None].expand(2, 3, 4)),
        "embedding": lambda x: F.embedding(PLACES.abs(), x[0], padding_idx=1),
        "scatter": lambda x: (
            x.scatter(1, torch.tensor([3, 0])[None, :, None].expand(4, 2, 6), x),
            x.scatter_add(0, torch.tensor([1, 1])[:, None, None].expand(2, 5, 6), x),
        ),
        "combined": lambda x: [
            x.scatter_reduce(1, PLACES.abs()[:1, :, None].expand(4, 3, 6), x, how, include_self=own)
            for how in ("sum", "prod", "amax", "amin", "mean")
            for own in (True, False)
        ],
        "combined along": lambda x: [
            y.index_reduce(1, torch.tensor([3, 1, 3]), y[:, 1:4] * 3, how, include_self=own)
            for how, y in (("mean", x), ("amax", x), ("mean", (x * 9).int()))
            for own in (True, False)
        ],
        "put by mask": lambda x: (
            x.masked_scatter(x > 1, x.flip(0)),
            x.masked_scatter(x[0, 0] > 0, -x),
            x.put(torch.tensor([[0, -1], [7, 7]]), torch.ones(2, 2), accumulate=True),
        ),
        "along": lambda x: (
            x.index_copy(-1, torch.tensor([4, 0]), x[..., :2]),
            x.index_add(1, torch.tensor([1, 1]), x[:, 1:3], alpha=0.5),
            x.index_fill(0, torch.tensor([0, -1]), 2.5),
            x.sum().index_add(0, torch.tensor([0]), x[0, 0, 0]),
            F.one_hot(PLACES.abs(), 5),
        ),
        "written": _written,
        "put": lambda x: x.index_put((PLACES[0],), torch.ones(3, 5, 6), accumulate=True),
        "truths added up": lambda x: (
            (x > 1).index_put((PLACES[0],), torch.ones(3, 5, 6) > 0, accumulate=True),
            (x > 0).index_add(0, torch.tensor([2, 2, 0, 2]), x > 1),
            (x > 0).scatter_add(0, torch.tensor([1, 1])[:, None, None].expand(2, 5, 6), x > 1),
        ),
        "filled": lambda x: (torch.full((2, 3), -INF), torch.full_like(x, NAN), x * 0 + INF),
        "created": lambda x: (x + torch.arange(6), torch.linspace(0, 1, 7), torch.eye(3)),
    }
    check({name: (function, (X,)) for name, function in views.items()})


def test_products_convolutions_and_pools():
    rows = X[0]
    modules = {
        "conv2d": (nn.Conv2d(6, 4, (3, 2), (2, 1), (1, 0), (1, 2)), PICTURE),
        "conv2d groups": (nn.Conv2d(6, 12, 3, groups=3, padding="same"), PICTURE),
        "conv1d": (nn.Conv1d(6, 4, 4, padding="same", padding_mode="circular"), SERIES),
        "conv of one": (nn.Conv2d(6, 4, 1), PICTURE[0]),
        "transposed": (nn.ConvTranspose2d(6, 6, (3, 2), (2, 3), (1, 0), (1, 2), 3), PICTURE),
        "max pool": (nn.MaxPool2d(3, 2, 1, ceil_mode=True), PICTURE),
        "mean pool": (nn.AvgPool2d(3, 2, 1, ceil_mode=True), PICTURE),
        "mean pool without pads": (nn.AvgPool1d(3, 2, 1, count_include_pad=False), SERIES),
        "adaptive": (nn.AdaptiveAvgPool2d((3, 5)), PICTURE),
        "batch norm": (nn.BatchNorm2d(6, affine=False), PICTURE),
        "layer norm": (nn.LayerNorm((9, 8), bias=False), PICTURE),
        "group norm": (nn.GroupNorm(3, 6), PICTURE),
        "instance norm": (nn.InstanceNorm2d(6, affine=True), PICTURE),
        "rms norm": (nn.RMSNorm(8), PICTURE),
    }
    cases = {name: (m.eval(), (x,)) for name, (m, x) in modules.items()}
    cases["products"] = (
        lambda x: (x @ x.T, x @ x[0], torch.addmm(x[:, :5], x, x.T, beta=0.5, alpha=2)),
        (rows,),
    )
    cases["no summand"] = (lambda x: torch.addmm(x[:, :5] * NAN, x, x.T, beta=0), (rows,))
    cases["of nothing"] = (lambda x: (x.mT @ x, F.linear(x, torch.ones(3, 6))), (EMPTY,))
    check(cases, 1e-4)


@pytest.mark.parametrize("kind", ["LSTM", "GRU", "RNN"])
def test_recurrent_layers(kind):
    make = getattr(nn, kind)
    check(
        {
            "two layers": (make(11, 3, 2).eval(), (SERIES,)),
            "both ways": (make(11, 3, bidirectional=True, batch_first=True).eval(), (SERIES,)),
            "no bias": (make(11, 3, bias=False).eval(), (SERIES[0],)),
        },
        1e-4,
    )


def test_resizing():
    cases = {}
    sizes = {"up": {"size": (18, 16)}, "down": {"size": (5, 7)}, "by": {"scale_factor": (1.5, 0.7)}}
    sizes |= {"one": {"size": (9, 5)}, "nearly one and two": {"scale_factor": (1.1, 2.1)}}
    for size, where in sizes.items():
        for mode in ("nearest", "nearest-exact", "area"):
            cases[f"{mode} {size}"] = (
                lambda x, m=mode, w=where: F.interpolate(x, mode=m, **w),
                (PICTURE,),
            )
        for mode in ("bilinear", "bicubic"):
            for more in ({}, {"align_corners": True}, {"antialias": True}):
                cases[f"{mode} {size} {more}"] = (
                    lambda x, m=mode, w=where, o=more: F.interpolate(x, mode=m, **w, **o),
                    (PICTURE,),
                )
    grid = torch.rand(2, 5, 7, 2) * 2.6 - 1.3
    for padding in ("zeros", "border", "reflection"):
        cases[f"grid {padding}"] = (
            lambda x, g, p=padding: F.grid_sample(x, g, padding_mode=p, align_corners=False),
            (PICTURE, grid),
        )
    check(cases, 1e-4)


def test_resizing_reads_the_infinities_that_torch_reads():
    picture = torch.randn(1, 2, 5, 6)
    for at, value in {(0, 0, 0): INF, (0, 2, 3): INF, (1, 4, 5): -INF, (1, 1, 0): NAN}.items():
        picture[0][at] = value
    modes = {"nearest": {}, "bilinear": {}, "aligned": {"align_corners": True}}
    modes |= {"smooth": {"antialias": True}, "cubic": {"mode": "bicubic", "antialias": True}}
    cases = {
        f"{name} {size}": (
            lambda x, s=size, m={"mode": "nearest" if name == "nearest" else "bilinear", **more}: (
                F.interpolate(x, s, **m)
            ),
            (picture,),
        )
        for name, more in modes.items()
        for size in ((5, 6), (5, 9), (3, 6), (8, 2))
    }
    del cases["cubic (3, 6)"]  # one weight is near 0, and its sign depends on rounding
    check(cases, 1e-4)


class Call(nn.Module):
    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, *inputs, **more):
        return self.function(*inputs, **more)


@pytest.mark.parametrize(
    ("function", "what"),
    [
        (lambda x: x[x > 0], "depends on data|mask"),
        (lambda x: x.median(), "aten.median.default"),
        (lambda x: x + torch.rand(6), "aten.rand"),
        (lambda x: F.avg_pool2d(x, 2, divisor_override=3), "divisor_override=3"),
        (lambda x: torch.fft.fft(x).abs(), "complex|fft"),
        (lambda x: F.max_pool2d(x, 2, return_indices=True), "indices of a pool"),
    ],
)
def test_what_cannot_be_compiled_is_refused_in_one_line(function, what):
    with torch.no_grad():
        program = torch.export.export(Call(function), (X,))
    with pytest.raises(quake_tvm.QuakeError, match=what) as error:
        import_model(program)
    assert "\n" not in str(error.value)


def test_a_program_with_state_is_refused():
    class Counter(nn.Module):
        def __init__(self):
            super().__init__()
            self.register_buffer("seen", torch.zeros(6))

        def forward(self, x):
            self.seen.add_(1)
            return x + self.seen

    with pytest.raises(quake_tvm.QuakeError, match="buffer 'seen'"):
        import_model(torch.export.export(Counter(), (X,)))


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
    with pytest.raises(quake_tvm.QuakeError, match="<= 10"):
        model.run(np.zeros((11, 3), np.float32))


def test_indices_that_torch_refuses():
    """Operators that accept no negative index, although torch's decompositions of them would."""
    uses = {
        "index_add": lambda i: X.index_add(0, i, X[:2]),
        "index_copy": lambda i: X.index_copy(0, i, X[:2]),
        "one_hot": lambda i: F.one_hot(i, 4),
        "scatter_reduce": lambda i: X[0, 0].scatter_reduce(0, i, X[0, 0], "amax"),
    }
    right = torch.tensor([0, 1])
    for name, use in uses.items():
        model = quake_tvm.compile(torch.export.export(Call(use), (right,)))
        model.run(right.numpy())
        for wrong in (-1, 6):
            with pytest.raises(quake_tvm.QuakeError, match=rf"torch\.{name}: index out of range"):
                model.run(np.array([0, wrong]))
