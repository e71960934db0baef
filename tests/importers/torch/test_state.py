"""Programs that change their buffers: a state that a session keeps from call to call."""

import resource
import threading
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch")

import quake_tvm
from quake_tvm.build import import_model
from tests.decoders import CAPACITY, VOCABULARY, Decoder, exported

from .programs import X, nn, torch

STATM = Path("/proc/self/statm")


class Counter(nn.Module):
    def __init__(self):
        super().__init__()
        self.register_buffer("seen", torch.tensor([1.0, 2.0, 3.0, 4.0, 5.0, 6.0]))
        self.register_buffer("calls", torch.tensor(0))

    def forward(self, x):
        self.seen.add_(1)
        self.calls.add_(1)
        return {"sum": x + self.seen, "calls": self.calls * 10}


def test_a_session_continues_and_a_run_does_not(tmp_path):
    model = quake_tvm.compile(torch.export.export(Counter(), (X,)), method="exact")
    assert [i.name for i in model.inputs] == ["x"]
    assert [o.name for o in model.outputs] == ["sum", "calls"]
    loaded = quake_tvm.load(model.export(tmp_path / "model.so"))
    for each in (model, loaded):
        session, eager = each.session(), Counter()
        for _ in range(3):
            wanted = eager(X)
            total, calls = session.run(X.numpy())
            np.testing.assert_array_equal(total, wanted["sum"].numpy())
            assert int(calls) == int(wanted["calls"])
        session.reset()
        for got in (session.run(X.numpy()), each.run(X.numpy()), each.run(X.numpy())):
            np.testing.assert_array_equal(got[0], Counter()(X)["sum"].numpy())
            assert int(got[1]) == 10


def test_complex_buffers_are_refused():
    counter = Counter()
    counter.seen = counter.seen.to(torch.complex64)
    program = torch.export.export(counter, (X,))
    with pytest.raises(quake_tvm.QuakeError, match="buffer 'seen' of torch") as error:
        import_model(program)
    assert "\n" not in str(error.value)


@pytest.fixture(scope="module")
def model():
    return quake_tvm.compile(exported(Decoder()), method="quake5")


PROMPTS = [[3, 1, 4, 1, 5, 9], [2, 7]]


@torch.no_grad()
def _tokens(step, prompt, count=10):
    ids, found = np.array([prompt]), []
    for _ in range(count):
        logits = np.asarray(step(ids))
        ids = logits[:, -1].argmax(-1)[:, None]
        found.append(logits)
    return np.concatenate(found)


def _eager(prompt):
    decoder = Decoder()
    return _tokens(lambda ids: decoder(torch.from_numpy(ids)), prompt)


def test_a_decoder_with_a_cache_answers_as_eager(model):
    session = model.session()
    for prompt in PROMPTS:
        session.reset()
        got = _tokens(lambda ids: session.run(ids)[0], prompt)
        np.testing.assert_allclose(got, _eager(prompt), rtol=1e-4, atol=1e-5)


def test_new_tokens_at_once_and_one_by_one(model):
    session, ids = model.session(), np.array([PROMPTS[0]])
    for k in range(ids.shape[1]):
        (last,) = session.run(ids[:, k : k + 1])
    np.testing.assert_allclose(last, model.run(ids)[0], rtol=1e-5, atol=1e-6)


def test_the_cache_is_written_in_its_own_memory(model):
    session = model.session()
    before = [tensor.data_ptr() for tensor in session._state]
    session.run(np.array([PROMPTS[0]]))
    assert [tensor.data_ptr() for tensor in session._state] == before
    filled = np.from_dlpack(session._state[0])
    assert filled[:, :, :6].any(axis=(0, 1, 3)).all()
    assert not filled[:, :, 6:].any()


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_a_decoder_of_half_precision(dtype):
    """Its cache is kept in float32, and written in its own memory."""
    session = quake_tvm.compile(exported(Decoder().to(dtype)), method="quake5").session()
    before = [tensor.data_ptr() for tensor in session._state]
    eager = Decoder().to(dtype).float()
    given = []

    def step(ids):
        given.append(torch.from_numpy(ids))
        return session.run(ids)[0]

    got = _tokens(step, PROMPTS[0])
    assert [tensor.data_ptr() for tensor in session._state] == before
    with torch.no_grad():
        wanted = np.concatenate([eager(ids).numpy() for ids in given])
    eps = torch.finfo(dtype).eps
    np.testing.assert_allclose(got.astype(np.float32), wanted, rtol=eps, atol=eps)


def test_a_buffer_of_half_precision_that_is_copied():
    counter = Counter().bfloat16()
    program = torch.export.export(counter, (X.bfloat16(),))
    session, eager = quake_tvm.compile(program, method="exact").session(), Counter().bfloat16()
    for _ in range(3):
        wanted = eager(X.bfloat16())["sum"].float().numpy()
        total, _ = session.run(X.bfloat16())
        np.testing.assert_allclose(total.astype(np.float32), wanted, rtol=2**-7)


def test_a_full_cache_ends_the_run(model):
    session = model.session()
    session.run(np.zeros((1, CAPACITY), np.int64))
    with pytest.raises(quake_tvm.QuakeError, match=f"{CAPACITY}") as error:
        session.run(np.zeros((1, 1), np.int64))
    assert "\n" not in str(error.value)


@pytest.mark.slow
@pytest.mark.skipif(not STATM.exists(), reason="reads the memory in use from /proc")
def test_two_thousand_steps_need_no_more_memory():
    steps, before = 2000, 0
    model = quake_tvm.compile(exported(Decoder(capacity=steps + 50)), method="quake5")
    session, one = model.session(), np.zeros((1, 1), np.int64)
    for step in range(steps + 50):
        if step == 50:
            before = _resident()
        session.run(one)
    # Were one row of logits kept for each step, it would be 100 pages.
    assert _resident() - before < steps * VOCABULARY * 4


def _resident():
    """The bytes of this process that are in memory."""
    return int(STATM.read_text().split()[1]) * resource.getpagesize()


def test_sessions_of_two_threads_do_not_mix(model):
    wanted = [_eager(prompt) for prompt in PROMPTS]
    results: list[list[np.ndarray]] = [[], []]

    def converse(n):
        session = model.session()
        for _ in range(20):
            session.reset()
            results[n].append(_tokens(lambda ids: session.run(ids)[0], PROMPTS[n]))

    threads = [threading.Thread(target=converse, args=(n,)) for n in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for n in range(2):
        assert len(results[n]) == 20
        for got in results[n]:
            np.testing.assert_allclose(got, wanted[n], rtol=1e-4, atol=1e-5)


class Former(nn.Module):
    """Returns what its buffers were, and lets them change places."""

    def __init__(self):
        super().__init__()
        self.register_buffer("now", torch.arange(6.0))
        self.register_buffer("before", torch.arange(6.0) + 10)

    def forward(self, x):
        now, before = self.now.clone(), self.before.clone()
        self.now.copy_(before)
        self.before.copy_(now)
        return now, before.reshape(2, 3), x + self.now


class Overwritten(nn.Module):
    """Returns a cache as it was before a row was written in place."""

    def __init__(self):
        super().__init__()
        self.register_buffer("cache", torch.zeros(5, 6))
        self.register_buffer("row", torch.zeros(1, dtype=torch.int64))

    def forward(self, x):
        before = self.cache.clone()
        self.cache.index_copy_(0, self.row, x[:1])
        self.row.add_(1)
        return before, self.cache


class Assigned(nn.Module):
    """Gives its buffers new tensors."""

    def __init__(self):
        super().__init__()
        self.register_buffer("total", torch.zeros(6))

    def forward(self, x):
        self.total = self.total + x
        return self.total * 2


@pytest.mark.parametrize("kind", [Former, Overwritten, Assigned])
def test_values_of_before_and_buffers_of_the_module_stay(kind):
    """A module that is given itself begins with the buffers that it has, and keeps them."""
    module, eager, x = kind(), kind(), X[0, :1] if kind is Overwritten else X[0, 0]
    session = quake_tvm.compile(module, example_inputs=(x,), method="exact").session()
    for name, buffer in kind().named_buffers():
        torch.testing.assert_close(module.get_buffer(name), buffer)
    calls = []
    for _ in range(4):
        wanted = torch.utils._pytree.tree_leaves(eager(x))
        calls.append((session.run(x.numpy()), [value.clone() for value in wanted]))
    for got, wanted in calls:
        for one, value in zip(got, wanted, strict=True):
            np.testing.assert_allclose(one, value.numpy(), rtol=1e-6)


class Twice(nn.Module):
    """Changes a buffer that has two names."""

    def __init__(self):
        super().__init__()
        self.register_buffer("one", torch.zeros(6))
        self.register_buffer("other", self.one)

    def forward(self, x):
        self.one.add_(x)
        return self.other * 2


def test_a_buffer_of_two_names_is_one():
    x = X[0, 0]
    session = quake_tvm.compile(Twice(), example_inputs=(x,), method="exact").session()
    eager = Twice()
    for _ in range(3):
        np.testing.assert_array_equal(session.run(x.numpy())[0], eager(x).numpy())


def test_buffers_that_overlap_and_change_are_refused():
    module = Twice()
    module.other = module.one[:3]
    with pytest.raises(quake_tvm.QuakeError, match="buffers one and other share memory"):
        quake_tvm.compile(module, example_inputs=(X[0, 0],))
