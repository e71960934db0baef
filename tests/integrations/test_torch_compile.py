"""torch.compile with this library as the backend, against eager mode."""

import warnings
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

torch = pytest.importorskip("torch")

import quake_tvm  # noqa: E402
from quake_tvm.integrations import torch_compile  # noqa: E402
from tests.integrations.backend import compiled, fresh  # noqa: E402, F401

nn = torch.nn


def check(module, *calls, tolerance=1e-5):
    """The compiled module gives eager's outputs at each call, and nothing is left to eager mode."""
    module = module.eval()
    quick = compiled(module)
    with torch.no_grad(), warnings.catch_warnings():
        warnings.filterwarnings("error", "quake_tvm leaves")
        for call in calls:
            got, wanted = (torch.utils._pytree.tree_flatten(f(*call)) for f in (quick, module))
            assert got[1] == wanted[1]
            for a, b in zip(got[0], wanted[0], strict=True):
                assert type(a) is type(b)
                if isinstance(b, torch.Tensor):
                    assert a.dtype == b.dtype
                    torch.testing.assert_close(a, b, rtol=tolerance, atol=tolerance)
                else:
                    assert a == b
    return quick


def test_torch_knows_the_backend():
    assert "quake_tvm" in torch._dynamo.list_backends()


def test_rows_vary():
    net = nn.Sequential(nn.Linear(4, 5), nn.BatchNorm1d(5), nn.GELU())
    check(net, *((torch.randn(n, 4),) for n in (3, 7, 2, 9)))


def test_modules_are_exported_in_several_threads():
    def differs(width):
        net = nn.Sequential(nn.Linear(width, 8), nn.GELU(), nn.Linear(8, 3))
        x = torch.randn(2, width)
        found = quake_tvm.compile(net, example_inputs=(x,), method="quake5").run(x)[0]
        with torch.no_grad():
            return np.abs(found - net(x).numpy()).max()

    with ThreadPoolExecutor(4) as threads:
        assert max(threads.map(differs, range(4, 12))) < 1e-5


def test_an_encoder_with_padding():
    layer = nn.TransformerEncoderLayer(32, 2, 48, batch_first=True, activation="gelu")
    mask = torch.tensor([[False] * 7, [False] * 4 + [True] * 3])
    check(layer, (torch.randn(2, 7, 32), None, mask))


class _Breaks(nn.Module):
    """Two graphs, and outputs of every kind."""

    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(8, 8)

    def forward(self, x, flag=None):
        y = torch.sigmoid(self.linear(x))
        torch._dynamo.graph_break()
        return {"y": y * 2, "x": x, "n": x.shape[0], "flag": flag, "pair": (y + 1, 2.5)}


def test_graph_breaks_and_outputs_of_every_kind():
    check(_Breaks(), (torch.randn(2, 8),), (torch.randn(5, 8),))


class _BreaksBetweenViews(nn.Module):
    def forward(self, x):
        q, k, v = torch.exp(x).chunk(3, -1)
        torch._dynamo.graph_break()
        return torch.softmax(q @ k.transpose(-1, -2), -1) @ v


def test_inputs_that_share_memory():
    check(_BreaksBetweenViews(), (torch.randn(2, 3, 6),), (torch.randn(4, 3, 6),))


def test_bfloat16():
    net = nn.Sequential(nn.Linear(8, 8), nn.SiLU()).bfloat16()
    check(net, (torch.randn(2, 8).bfloat16(),), tolerance=0.02)


def test_an_unknown_option_is_refused_by_name():
    quick = compiled(nn.Linear(8, 8).eval(), metod="quake2")
    with pytest.raises(Exception, match="unknown option 'metod'; choose from: "):
        quick(torch.randn(2, 8))


def _views(x):
    y = torch.exp(x)
    v = y[0]
    y += 1
    return y, v, y.t(), y.chunk(2, 1), x[1:], x.view(-1), x.detach(), y * 1, x + 0


def test_outputs_that_share_memory_share_it_here():
    quick = compiled(_views)
    mine = torch.randn(12, 6)
    theirs = mine.clone()
    with torch.no_grad(), warnings.catch_warnings():
        warnings.filterwarnings("error", "quake_tvm leaves")
        for rows in (slice(0, 4), slice(2, 6), slice(1, 10)):
            got, wanted = quick(mine[rows]), _views(theirs[rows])
            for outputs in (got, wanted):
                for k in (0, 1, 2, 4, 5, 6, 7, 8):
                    outputs[k].mul_(0.5)
                outputs[3][1].add_(3)
            torch.testing.assert_close(got, wanted)
            torch.testing.assert_close(mine, theirs)


def _transposed(x):
    y = torch.exp(x.t())
    return y, y[0]


def _other_dtype(x):
    return torch.exp(x), x.view(torch.int32)


@pytest.mark.parametrize("cut", [lambda x: x.t(), lambda x: x[2:], lambda x: x[:2]])
def test_arguments_that_are_read_by_strides_run_in_eager_mode(cut):
    def read(x):
        return x.as_strided((3, 2), (2, 1), 0) * 2

    x = cut(torch.randn(4, 6))
    with torch.no_grad(), pytest.warns(UserWarning, match="reads an argument by strides"):
        got = compiled(read)(x)
    torch.testing.assert_close(got, read(x))


def test_detached_weights_need_no_gradient():
    class Weights(nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = nn.Parameter(torch.randn(3, 3))

        def forward(self, x):
            return self.weight.detach(), self.weight.t(), x @ self.weight

    net = Weights()
    with torch.no_grad():
        got, wanted = (f(torch.ones(2, 3)) for f in (compiled(net), net))
    assert [y.requires_grad for y in got] == [y.requires_grad for y in wanted]
    assert got[0].data_ptr() == net.weight.data_ptr()


def test_a_function_under_vmap():
    check(_Mapped(), (torch.randn(3, 4),))


class _Mapped(nn.Module):
    def forward(self, x):
        return torch.vmap(lambda row: torch.softmax(row, 0) * 2)(x)


@pytest.mark.parametrize("function", [_transposed, _other_dtype])
def test_other_views_run_in_eager_mode(function):
    x = torch.randn(3, 4)
    with torch.no_grad(), pytest.warns(UserWarning, match="eager mode: .* is a view of"):
        got = compiled(function)(x)
    torch.testing.assert_close(got, function(x))


class _Numbers(nn.Module):
    def forward(self, x):
        n = x.shape[0]
        return torch.exp(x), 3 * n + 1, n / 2, n > 3, x.numel()


def test_numbers_that_follow_from_sizes():
    check(_Numbers(), *((torch.randn(n, 3),) for n in (2, 3, 5, 1)))


def test_sizes_of_images():
    net = nn.Sequential(nn.Conv2d(3, 4, 3, 2, 1), nn.SiLU(), nn.AdaptiveAvgPool2d(1))
    check(
        net, *((torch.randn(n, 3, *size),) for n, size in ((1, (8, 8)), (2, (8, 8)), (2, (9, 6))))
    )


def test_no_inputs():
    check(_Constant(), ())


class _Constant(nn.Module):
    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(3))

    def forward(self):
        return torch.exp(self.weight)


def test_training_runs_in_eager_mode():
    net = nn.Sequential(nn.Linear(8, 8), nn.SiLU())
    x = torch.randn(2, 8)
    with pytest.warns(UserWarning, match="it records gradients; call .*inference_mode"):
        compiled(net)(x).sum().backward()
    assert net[0].weight.grad is not None


class _Writes(nn.Module):
    def forward(self, x):
        x.add_(1)
        return torch.exp(x)


class _OnlyWrites(nn.Module):
    def forward(self, x):
        x.add_(1)


class _Rounds(nn.Module):
    def forward(self, x):
        return torch.linalg.svdvals(x)


@pytest.mark.parametrize(
    ("module", "reason"),
    [
        (_Writes(), "writes into its inputs"),
        (_OnlyWrites(), "writes into its inputs"),
        (nn.BatchNorm1d(3), r"call eval\(\) of the module first"),
        (_Rounds(), "aten._linalg_svd"),
    ],
    ids=["writes", "only writes", "training", "operator"],
)
def test_what_cannot_be_compiled_runs_in_eager_mode(module, reason):
    x = torch.randn(3, 3)
    mine, theirs = x.clone(), x.clone()
    with torch.no_grad(), pytest.warns(UserWarning, match=f"eager mode: .*{reason}"):
        got = compiled(module)(mine)
    torch.testing.assert_close(got, module(theirs))
    torch.testing.assert_close(mine, theirs)


def test_a_call_that_the_code_refuses_runs_in_eager_mode():
    table = torch.arange(6.0)

    def pick(indices):
        return table[indices] * 2

    quick = compiled(pick)
    quick(torch.tensor([1, 2]))
    with pytest.warns(UserWarning, match="a call to eager mode"), pytest.raises(IndexError):
        quick(torch.tensor([1, 9]))


def test_a_mode_is_refused():
    quick = torch.compile(nn.Linear(3, 3), backend="quake_tvm", mode="max-autotune")
    with pytest.raises(Exception, match="mode='max-autotune' is for torch's own backend"):
        quick(torch.ones(2, 3))


@pytest.mark.parametrize(
    ("options", "message"),
    [({"method": "quake9"}, "unknown method"), ({"targett": "x"}, "targett")],
)
def test_wrong_options(options, message):
    with pytest.raises(Exception, match=message):
        compiled(nn.Linear(3, 3), **options)(torch.ones(2, 3))


def test_a_tensor_of_every_dtype():
    for dtype in ("float32", "float16", "int64", "uint8", "bool"):
        array = np.ones(3, dtype)
        assert str(torch_compile._tensor(array).dtype) == f"torch.{dtype}"
