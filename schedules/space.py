"""The search space of a tuner: all choices of a kernel's rule, each as a scheduled kernel.

The rule is run again and again, and led down the tree of its options by choices that remember where
they have been. Knows no rule by name, but for the width of a product's panels, which is chosen
before there is a kernel.
"""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import tvm
import tvm_ffi

from quake_tvm.tvm_version import tir

from . import matmul, schedule
from .choice import Choice, Key
from .records.record import Trace
from .repack import panel_width, repacked

# Takes one of the numbers that are still open.
Take = Callable[[Sequence[int]], int]


@dataclass(frozen=True)
class Candidate:
    """One way to schedule a kernel.

    Attributes
    ----------
    key : Key
    numbers : dict of name to int
        All that was chosen, where it is the rule's own, too.
    function : PrimFunc
        Finished.
    layout : int
        Columns of a panel of its packed weights, 0 if it has none: only candidates that are alike
        in this compute the same of the same inputs.
    trace : Trace or None
        Of MetaSchedule, instead of the numbers.
    """

    key: Key
    numbers: dict[str, int]
    function: tir.PrimFunc
    layout: int
    trace: Trace | None = None


@dataclass
class _Branch:
    """What can follow upon some numbers, by the next; ended once all of it has been seen."""

    after: dict[int, "_Branch"] = field(default_factory=dict)
    ended: bool = False


class _Descent(Choice):
    """Chooses the numbers on one way from the tree's root to a leaf."""

    def __init__(self, numbers: dict[str, int], root: _Branch, take: Take) -> None:
        super().__init__(dict(numbers))
        self.path, self.take = [root], take

    def pick(self, name: str, options: Sequence[int], own: int) -> int:
        """One of the numbers behind which not all has been seen, the own among them."""
        if name in self.numbers:
            return super().pick(name, options, own)
        here = self.path[-1]
        for number in (own, *options):
            here.after.setdefault(number, _Branch())
        number = self.take([n for n, branch in here.after.items() if not branch.ended] or [own])
        self.numbers[name] = number
        self.path.append(here.after[number])
        return number

    def end(self) -> None:
        """Note that this way has been gone."""
        self.path[-1].ended = True
        for branch in reversed(self.path[:-1]):
            branch.ended = all(b.ended for b in branch.after.values())


class _Search:
    """Iterate over the candidates of one layout.

    A rule that has chosen may still not take the kernel, and the next one chooses for it by another
    key: a tree each.
    """

    def __init__(self, function: tir.PrimFunc, layout: int, numbers: dict[str, int]) -> None:
        self.function, self.layout, self.numbers = function, layout, numbers
        self.trees: dict[Key, _Branch] = {}
        self.ended = False

    def step(self, target: tvm.target.Target, take: Take) -> Candidate | None:
        """A candidate not seen yet; None if nothing is chosen for the kernel."""
        asked: list[tuple[Key, _Descent]] = []

        def decide(key: Key) -> Choice:
            tree = self.trees.setdefault(key, _Branch())
            asked.append((key, _Descent(self.numbers, tree, take)))
            return asked[-1][1]

        scheduled = schedule(self.function, target, decide)
        for _, descent in asked:
            descent.end()
        self.ended = all(tree.ended for tree in self.trees.values())
        if scheduled is None or not asked:
            return None
        key, descent = asked[-1]
        return Candidate(key, dict(descent.numbers), scheduled, self.layout)


def _first(numbers: Sequence[int]) -> int:
    return numbers[0]


def _searches(function: tir.PrimFunc, key: Key, target: tvm.target.Target) -> list[_Search]:
    """One a layout, the function's own first."""
    own = panel_width(function)
    widths = matmul.widths(key.shape[-2], target) if own else {}
    if own not in widths.values():
        return [_Search(function, own, {})]
    own_first = sorted(widths.items(), key=lambda each: each[1] != own)
    return [_Search(repacked(function, width), width, {"vectors": n}) for n, width in own_first]


def key_of(function: tir.PrimFunc, target: tvm.target.Target) -> Key | None:
    """The key that an unscheduled kernel is tuned by.

    Returns
    -------
    Key or None
        None if its rule has nothing to choose, or if not all of its extents are known.
    """
    search = _Search(function, 0, {})
    own = search.step(target, _first)
    return None if own is None or search.ended or not own.key.known else own.key


def candidates(
    function: tir.PrimFunc, target: tvm.target.Target, most: int = 256, seed: int = 0
) -> list[Candidate]:
    """All that the kernel's rule could choose for it, the rule's own choice first.

    Parameters
    ----------
    function : PrimFunc
        Unscheduled.
    target : tvm.target.Target
    most : int
        Where there are more, this many of them by chance.
    seed : int
        The same candidates for the same seed.

    Returns
    -------
    list of Candidate
        No two with the same code; empty where :func:`key_of` gives None.
    """
    key = key_of(function, target)
    if key is None:
        return []
    chance = random.Random(seed)
    found: dict[int, Candidate] = {}
    searches = _searches(function, key, target)

    def step(search: _Search, take: Take) -> None:
        candidate = search.step(target, take)
        if candidate is not None and candidate.key == key:
            found.setdefault(tvm_ffi.structural_hash(candidate.function), candidate)

    for search in searches:
        step(search, _first)
    while len(found) < most and (rest := [search for search in searches if not search.ended]):
        step(chance.choice(rest), chance.choice)
    return list(found.values())[:most]
