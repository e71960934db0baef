"""Random torch programs, exported and compiled, against eager.

A program is text: inputs, modules and one expression after another. Right is what eager computes,
within what the rounding of each step may change in the result; refused is a QuakeError. Batches of
programs are compiled as one module, in a child that may die without harm.

There are three ways of compiling. "import" ends with TVM's passes at once, without this library's:
it tests the importer alone and costs a tenth of the others. "exact" and a rung are the whole way.

Run by hand: ``python -m tests.fuzz.torch_programs --seconds 60 --seed 1``.
"""

import argparse
import collections
import multiprocessing
import random
import time
import warnings
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
import tvm
from torch import nn
from tvm import relax

import quake_tvm
from quake_tvm.compiler import import_model

from .torch_steps import MAKERS, Choices

WAYS = ("import", "exact", "quake3")
BATCH = 12
# Every so manieth batch of a run goes all ways, the others the first.
WHOLE = 10
# Seconds that a child may take for a batch.
LIMIT = 300
_RIGHT, _REFUSED = "right", "refused"
_DTYPES = ("float32",) * 8 + ("int64", "int32", "bool", "float16")
_SPECIAL = (float("nan"), float("inf"), -float("inf"), -0.0, 1e-40, 1e30, -1e30)


@dataclass(frozen=True)
class Input:
    """A tensor that a program is given."""

    dtype: str
    shape: tuple[int, ...]
    seed: int
    special: bool = False

    def tensor(self, shape: Sequence[int] | None = None) -> torch.Tensor:
        generator = np.random.default_rng(self.seed)
        shape = self.shape if shape is None else shape
        dtype = getattr(torch, self.dtype)
        if not dtype.is_floating_point:
            low, high = (0, 2) if dtype == torch.bool else (-4, 6)
            return torch.from_numpy(generator.integers(low, high, shape)).to(dtype)
        values = np.asarray(generator.normal(0, 2, shape), np.float32)
        if self.special and values.size:
            where = generator.random(shape) < 0.2
            values = np.where(where, generator.choice(_SPECIAL, shape), values).astype(np.float32)
        return torch.from_numpy(np.array(values)).to(dtype)


@dataclass(frozen=True)
class Program:
    """Inputs ``x0, x1, …``, modules ``self.m0, …`` and steps ``v0, v1, …``, the last a result."""

    seed: int
    inputs: tuple[Input, ...]
    modules: tuple[str, ...]
    steps: tuple[str, ...]
    results: tuple[str, ...]
    dynamic: tuple[int, int] | None = None  # an input and an axis of it

    def source(self) -> str:
        """The module as Python."""
        names = "".join(f", x{k}" for k in range(len(self.inputs)))
        lines = [
            "class Module(nn.Module):",
            "    def __init__(self):",
            "        super().__init__()",
            f"        torch.manual_seed({self.seed})",
            *(f"        self.m{k} = {text}" for k, text in enumerate(self.modules)),
            "",
            f"    def forward(self{names}):",
            *(f"        v{k} = {text}" for k, text in enumerate(self.steps)),
            f"        return {', '.join(self.results)},",
        ]
        return "\n".join(lines)

    def script(self) -> str:
        """A script that shows what this program gives, compiled and eager."""
        tensors = [f"torch.tensor({x.tolist()}, dtype=torch.{s.dtype})" for s, x in self._given()]
        shapes = [x.shape for _, x in self._given()]
        lines = [
            "import torch, quake_tvm",
            "from torch import nn",
            "from torch.nn import functional as F",
            "nan, inf = float('nan'), float('inf')",
            self.source(),
            *(
                f"x{k} = {text}.reshape({list(shape)})"
                for k, (text, shape) in enumerate(zip(tensors, shapes, strict=True))
            ),
            f"inputs = ({', '.join(f'x{k}' for k in range(len(tensors)))},)",
            "module = Module().eval()",
            "program = torch.export.export(module, inputs)",
            "model = quake_tvm.compile(program, method='exact')",
            "print(model.run(*[x.numpy() for x in inputs]), module(*inputs))",
        ]
        return "\n".join(lines)

    def _given(self) -> list[tuple[Input, torch.Tensor]]:
        return [(spec, spec.tensor()) for spec in self.inputs]

    def module(self) -> nn.Module:
        space = {"torch": torch, "nn": nn, "F": nn.functional}
        exec(self.source(), space)
        module = space["Module"]().eval()
        torch.manual_seed(self.seed)
        with torch.no_grad():
            for name, buffer in module.named_buffers():
                if "running" in name:
                    buffer.uniform_(0.5, 2)
        return module

    def tensors(self) -> list[torch.Tensor]:
        return [spec.tensor() for spec in self.inputs]


def generate(seed: int) -> Program:
    """A program that torch can run, the same for the same seed."""
    rng = random.Random(seed)
    while True:
        inputs = tuple(_input(rng) for _ in range(rng.randint(1, 3)))
        values = {f"x{k}": spec.tensor() for k, spec in enumerate(inputs)}
        choices = Choices(rng, values)
        steps: list[str] = []
        for _ in range(rng.randint(3, 12)):
            before = len(choices.modules)
            (maker,) = rng.choices(list(MAKERS), list(MAKERS.values()))
            text = maker(choices)
            value = None if text is None else _tried(text, choices.modules, seed, values)
            if value is None:
                del choices.modules[before:]
                continue
            values[f"v{len(steps)}"] = value
            steps.append(text)
        if steps:
            break
    last = f"v{len(steps) - 1}"
    results = [last, *rng.sample([f"v{k}" for k in range(len(steps) - 1)], min(1, len(steps) - 1))]
    dynamic = None
    if rng.random() < 0.1:
        wide = [(k, a) for k, x in enumerate(inputs) for a, n in enumerate(x.shape) if n > 2]
        dynamic = rng.choice(wide) if wide else None
    program = Program(seed, inputs, tuple(choices.modules), tuple(steps), tuple(results), dynamic)
    return trimmed(program)


def _input(rng: random.Random) -> Input:
    rank = rng.choice([0, 1, 2, 2, 3, 3, 3, 4, 4])
    shape = tuple(rng.choice([1, 2, 3, 4, 5, 7, 8, 9, 16, 17, 33]) for _ in range(rank))
    while np.prod(shape) > 3000:
        shape = tuple(max(n // 2, 1) for n in shape)
    if shape and rng.random() < 0.03:
        shape = (*shape[:-1], 0)
    return Input(rng.choice(_DTYPES), shape, rng.randrange(1 << 30), rng.random() < 0.12)


def _tried(text: str, modules: list[str], seed: int, values: dict[str, Any]) -> torch.Tensor | None:
    """What a step gives; None if torch refuses it or it is no tensor of a fair size."""
    program = Program(seed, (), tuple(modules), (), ())
    space = {"torch": torch, "nn": nn, "F": nn.functional, **values}
    try:
        with torch.no_grad(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            space["self"] = _built(program)
            value = eval(text, space)
    except Exception:
        return None
    fair = isinstance(value, torch.Tensor) and value.numel() <= 4096 and value.dim() <= 5
    return value if fair and not value.is_complex() else None


def _built(program: Program) -> nn.Module:
    source = replace(program, steps=("0",), results=("v0",))
    return source.module()


def trimmed(program: Program) -> Program:
    """The program without the steps that no result needs."""
    kept: set[str] = set()
    queue = list(program.results)
    while queue:
        name = queue.pop()
        if name.startswith("v") and name not in kept:
            kept.add(name)
            text = program.steps[int(name[1:])]
            queue += [f"v{k}" for k in range(int(name[1:])) if _uses(text, f"v{k}")]
    order = sorted(int(name[1:]) for name in kept)
    renamed = {f"v{k}": f"v{position}" for position, k in enumerate(order)}
    return replace(
        program,
        steps=tuple(_renamed(program.steps[k], renamed) for k in order),
        results=tuple(renamed.get(name, name) for name in program.results),
    )


def _words(text: str) -> list[str]:
    words, word = [], ""
    for letter in text:
        if letter.isalnum() or letter == "_":
            word += letter
            continue
        words += [word, letter] if word else [letter]
        word = ""
    return [*words, word] if word else words


def _uses(text: str, name: str) -> bool:
    return name in _words(text)


def _renamed(text: str, names: dict[str, str]) -> str:
    return "".join(names.get(word, word) for word in _words(text))


# What eager allows.


@dataclass
class Allowed:
    """What a result may be: eager's values, and how far from them rounding may lead."""

    values: list[np.ndarray]
    margins: list[np.ndarray]


def allowed(program: Program, module: nn.Module, noise: float) -> Allowed:
    """Eager's results, and their spread where every step's result is off by a share ``noise``."""
    tensors = program.tensors()
    values = [_array(v) for v in _run(program, module, tensors, 0.0, 0)]
    spread = [np.zeros(v.shape) for v in values]
    for k in range(4):
        shaken = [_array(v) for v in _run(program, module, tensors, noise, k + 1)]
        with np.errstate(all="ignore"):
            for total, one, value in zip(spread, shaken, values, strict=True):
                apart = np.abs(one.astype(np.float64) - value.astype(np.float64))
                same = (one == value) | (np.isnan(one) & np.isnan(value))
                apart = np.where(same, 0, np.where(np.isnan(apart), np.inf, apart))
                np.maximum(total, apart, out=total)
    margins = []
    for total, value in zip(spread, values, strict=True):
        size = np.abs(value.astype(np.float64))
        finite = size[np.isfinite(size)]
        scale = finite.max() if finite.size else 0.0
        step = 2e-3 if value.dtype == np.float16 else 2e-6
        base = step * (size + 0.1 * scale) + 1e-30 if value.dtype.kind == "f" else 0.0
        margins.append(30 * total + base)
    return Allowed(values, margins)


def _array(value: torch.Tensor) -> np.ndarray:
    return value.detach().numpy()


def _run(
    program: Program, module: nn.Module, tensors: Iterable[torch.Tensor], noise: float, seed: int
) -> list[torch.Tensor]:
    """Eager, step by step, each result off by a random share."""
    generator = torch.Generator().manual_seed(seed)
    space: dict[str, Any] = {"torch": torch, "nn": nn, "F": nn.functional, "self": module}
    space |= {f"x{k}": x.clone() for k, x in enumerate(tensors)}
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for k, text in enumerate(program.steps):
            value = eval(text, space)
            if noise and value.is_floating_point() and value.numel():
                value = _shaken(value, noise, generator)
            space[f"v{k}"] = value
    return [space[name] for name in program.results]


def _shaken(value: torch.Tensor, noise: float, generator: torch.Generator) -> torch.Tensor:
    finite = value[torch.isfinite(value)]
    scale = finite.abs().max() if finite.numel() else 0.0
    off = torch.rand(value.shape, generator=generator, dtype=torch.float32) * 2 - 1
    share = max(noise, 4e-3) if value.dtype == torch.float16 else noise
    wide = value.double()
    return (wide + off * share * (wide.abs() + 0.05 * scale)).to(value.dtype)


def difference(got: list[np.ndarray], right: Allowed, exact: bool) -> str | None:
    """What is wrong with the results, None if nothing is.

    On a rung only finite values are compared: what it gives at infinities it states elsewhere.
    """
    if len(got) != len(right.values):
        return f"{len(got)} outputs, eager has {len(right.values)}"
    for k, (one, value, margin) in enumerate(zip(got, right.values, right.margins, strict=True)):
        if one.dtype != value.dtype or one.shape != value.shape:
            return f"output {k} is {one.dtype}{one.shape}, eager {value.dtype}{value.shape}"
        with np.errstate(all="ignore"):
            x, y = one.astype(np.float64), value.astype(np.float64)
            fits = (x == y) | (np.isnan(x) & np.isnan(y)) | (np.abs(x - y) <= margin)
            fits |= np.isinf(margin)
            if not exact:
                fits |= ~np.isfinite(y)
        if not fits.all():
            at = tuple(int(n) for n in np.argwhere(~fits)[0]) if fits.ndim else ()
            count = f"{int((~fits).sum())} of {fits.size}"
            return f"output {k} at {at}: {one[at]}, eager {value[at]} ({count} wrong)"
    return None


# One program, or a batch, compiled.


@dataclass
class Outcome:
    """What became of a program: right, refused, wrong, traceback or crash, and why."""

    kind: str
    reason: str = ""


class _Batch(nn.Module):
    """Programs side by side, each with its inputs."""

    def __init__(self, programs: Sequence[Program]) -> None:
        super().__init__()
        self.parts = nn.ModuleList([p.module() for p in programs])
        self.counts = [len(p.inputs) for p in programs]

    def forward(self, *inputs: torch.Tensor) -> list[torch.Tensor]:
        results, first = [], 0
        for part, count in zip(self.parts, self.counts, strict=True):
            results += part(*inputs[first : first + count])
            first += count
        return results


class _Imported:
    """A program that TVM alone compiled."""

    def __init__(self, exported: Any) -> None:
        target = tvm.target.Target({"kind": "llvm", "opt-level": 0})
        executable = tvm.compile(import_model(exported), target)
        self.machine = relax.VirtualMachine(executable, tvm.cpu())

    def run(self, *inputs: np.ndarray) -> list[np.ndarray]:
        result = self.machine["main"](*map(tvm.runtime.tensor, inputs))
        return [array.numpy() for array in result]


def judge(programs: Sequence[Program], ways: Sequence[str] = WAYS) -> list[Outcome]:
    """Compile programs together and compare each; in halves where one of them is refused."""
    if any(p.dynamic for p in programs) and len(programs) > 1:
        return [outcome for p in programs for outcome in judge([p], ways)]
    module = _Batch(programs).eval()
    tensors = [x for p in programs for x in p.tensors()]
    found = [Outcome(_RIGHT)] * len(programs)
    for way in ways:
        failed = None
        try:
            with torch.no_grad(), warnings.catch_warnings():
                warnings.simplefilter("ignore")
                exported = _export(programs, module, tensors)
        except Exception as error:  # torch's own
            failed = Outcome("not exported", str(error).splitlines()[0][:100])
        try:
            if failed is None:
                imported = way == "import" and programs[0].dynamic is None
                method = "exact" if way == "import" else way
                model = (
                    _Imported(exported) if imported else quake_tvm.compile(exported, method=method)
                )
                got = model.run(*[x.numpy() for x in tensors])
        except quake_tvm.QuakeError as error:
            failed = Outcome(_REFUSED, str(error))
        except Exception as error:
            failed = Outcome("traceback", f"{way}: {type(error).__name__}: {str(error)[-300:]}")
        if failed is not None and len(programs) > 1:
            half = len(programs) // 2
            return [*judge(programs[:half], ways), *judge(programs[half:], ways)]
        if failed is not None:
            return [failed]
        noise = 1e-6 if imported or way == "exact" else _noise(model)
        first = 0
        for k, (program, part) in enumerate(zip(programs, module.parts, strict=True)):
            mine = got[first : first + len(program.results)]
            first += len(program.results)
            what = difference(mine, allowed(program, part, noise), method == "exact")
            if what is not None and found[k].kind == _RIGHT:
                found[k] = Outcome("wrong", f"{way}: {what}")
        if programs[0].dynamic and found[0].kind == _RIGHT:
            found = [_other_length(programs[0], model, module.parts[0], noise, method)]
    return found


def _noise(model: quake_tvm.Model) -> float:
    """The largest bound of a site."""
    return max([1e-6, *(site.relative + site.absolute for site in model.report.sites)])


def _export(programs: Sequence[Program], module: nn.Module, tensors: list[torch.Tensor]) -> Any:
    program = programs[0]
    if program.dynamic is None:
        return torch.export.export(module, tuple(tensors))
    which, axis = program.dynamic
    shapes = [{axis: torch.export.Dim.AUTO} if k == which else None for k in range(len(tensors))]
    return torch.export.export(module, tuple(tensors), dynamic_shapes=(tuple(shapes),))


def _other_length(
    program: Program, model: quake_tvm.Model, module: nn.Module, noise: float, method: str
) -> Outcome:
    """The model with another length of its dynamic dimension: right, or refused in one line."""
    which, axis = program.dynamic
    spec = program.inputs[which]
    longer = [n + 3 if k == axis else n for k, n in enumerate(spec.shape)]
    inputs = list(program.inputs)
    inputs[which] = replace(spec, shape=tuple(longer))
    other = replace(program, inputs=tuple(inputs))
    try:
        got = model.run(*[x.numpy() for x in other.tensors()])
    except quake_tvm.QuakeError:
        return Outcome(_RIGHT)
    except Exception as error:
        return Outcome("traceback", f"other length: {type(error).__name__}: {str(error)[:200]}")
    try:
        right = allowed(other, module, noise)
    except Exception as error:
        return Outcome("wrong", f"{method}: eager refuses the other length: {str(error)[:100]}")
    what = difference(got, right, method == "exact")
    return Outcome(_RIGHT) if what is None else Outcome("wrong", f"{method}, other length: {what}")


# Children, which may die.


def _child(programs: Sequence[Program], ways: Sequence[str], pipe: Any) -> None:
    torch.set_num_threads(1)
    pipe.send(judge(programs, ways))
    pipe.close()


def _in_child(programs: Sequence[Program], ways: Sequence[str]) -> list[Outcome] | None:
    """The outcomes, None if the child died or took too long."""
    context = multiprocessing.get_context("fork")
    ours, theirs = context.Pipe(duplex=False)
    child = context.Process(target=_child, args=(programs, ways, theirs))
    child.start()
    theirs.close()
    try:
        return ours.recv() if ours.poll(LIMIT) else None
    except EOFError:
        return None
    finally:
        child.kill()
        child.join()


def outcomes(programs: Sequence[Program], ways: Sequence[str] = WAYS) -> list[Outcome]:
    """What becomes of each program; a child that dies costs no other program its outcome."""
    found = _in_child(programs, ways)
    if found is not None:
        return found
    if len(programs) == 1:
        return [Outcome("crash", "the process died or took too long")]
    half = len(programs) // 2
    return [*outcomes(programs[:half], ways), *outcomes(programs[half:], ways)]


# The smallest program that fails.


def shrink(program: Program, kind: str, judge_one: Callable[[Program], Outcome]) -> Program:
    """A smaller program with an outcome of the same kind: fewer results, steps and inputs."""
    improved = True
    while improved:
        improved = False
        for smaller in _smaller(program):
            if judge_one(smaller).kind == kind:
                program, improved = smaller, True
                break
    return program


def _smaller(program: Program) -> Iterable[Program]:
    if len(program.results) > 1:
        for name in program.results:
            yield trimmed(replace(program, results=(name,)))
    for k in range(len(program.steps) - 1):
        yield trimmed(replace(program, results=(f"v{k}",)))
    for k in range(len(program.steps)):
        cut = _cut(program, k)
        if cut is not None:
            yield cut


def _cut(program: Program, k: int) -> Program | None:
    """The program with another value in place of step k's, None if that does not run."""
    here = f"v{k}"
    later = [*program.steps[k + 1 :]]
    if not any(_uses(text, here) for text in later):
        return None
    earlier = [
        n for n in [f"x{j}" for j in range(len(program.inputs))] if n in _words(program.steps[k])
    ]
    earlier += [f"v{j}" for j in range(k) if _uses(program.steps[k], f"v{j}")]
    for other in earlier:
        steps = [*program.steps[: k + 1], *(_renamed(t, {here: other}) for t in later)]
        changed = trimmed(replace(program, steps=tuple(steps)))
        try:
            _run(changed, changed.module(), changed.tensors(), 0.0, 0)
        except Exception:
            continue
        return changed
    return None


# A run.


@dataclass
class Summary:
    """What a run found.

    Attributes
    ----------
    counts : Counter of str
        Programs by outcome.
    refusals : Counter of str
        Refusals by reason.
    failures : list of (Program, Outcome)
        Everything that is neither right nor refused.
    """

    counts: collections.Counter = field(default_factory=collections.Counter)
    refusals: collections.Counter = field(default_factory=collections.Counter)
    failures: list[tuple[Program, Outcome]] = field(default_factory=list)

    def add(self, program: Program, outcome: Outcome) -> None:
        self.counts[outcome.kind] += 1
        if outcome.kind == _REFUSED:
            self.refusals[outcome.reason[:110]] += 1
        elif outcome.kind not in (_RIGHT, "not exported"):
            self.failures.append((program, outcome))

    def __str__(self) -> str:
        lines = [", ".join(f"{n} {kind}" for kind, n in self.counts.most_common())]
        lines += [f"  {n} refused: {reason}" for reason, n in self.refusals.most_common()]
        for program, outcome in self.failures:
            lines += [
                f"seed {program.seed}: {outcome.kind}: {outcome.reason}",
                program.script(),
                "",
            ]
        return "\n".join(lines)


def run(
    seconds: float,
    seed: int,
    programs: int | None = None,
    *,
    shrunk: bool = True,
    whole: int = WHOLE,
) -> Summary:
    """Try programs from ``seed`` on until the time, or their number, is over.

    Failures are shrunk; every ``whole``-th batch goes all ways.
    """
    summary, end, done = Summary(), time.monotonic() + seconds, 0
    while time.monotonic() < end and (programs is None or done < programs):
        count = BATCH if programs is None else min(BATCH, programs - done)
        batch = [generate(seed + done + k) for k in range(count)]
        ways = WAYS if done // BATCH % whole == 0 else WAYS[:1]
        done += count
        for program, outcome in zip(batch, outcomes(batch, ways), strict=True):
            if shrunk and outcome.kind in ("wrong", "crash", "traceback"):
                kind, way = outcome.kind, [outcome.reason.split(":")[0]]
                way = way if way[0] in WAYS else ways
                program = shrink(program, kind, lambda p, way=way: outcomes([p], way)[0])
                outcome = outcomes([program], way)[0]
            summary.add(program, outcome)
    return summary


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--programs", type=int)
    parser.add_argument("--whole", type=int, default=WHOLE)
    parser.add_argument("--no-shrink", action="store_true")
    given = parser.parse_args()
    shrunk = not given.no_shrink
    print(run(given.seconds, given.seed, given.programs, shrunk=shrunk, whole=given.whole))


if __name__ == "__main__":
    main()
