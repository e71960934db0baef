"""The search space of a tuner: all choices of a kernel's rule, each as a scheduled kernel.

The rule runs repeatedly. Each run follows one path through the tree of the rule's options, and the
tree remembers which paths have been taken. Knows no rule by name, but for the width of the panels
of products and recurrent layers, which is chosen before there is a kernel.
"""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import tvm
import tvm_ffi

from quake_tvm.tvm_version import tir

from . import product_tiles, recurrent, recurrent_panels, schedule
from .choice import Choice, Key
from .records.record import Trace
from .repack import panel_width, repacked

# Selects one of the numbers that are still to be tried.
Take = Callable[[Sequence[int]], int]


@dataclass(frozen=True)
class Candidate:
    """One way to schedule a kernel.

    Attributes
    ----------
    key : Key
    numbers : dict of name to int
        All tunable parameters, including those that have the rule's default.
    function : PrimFunc
        The finished, scheduled kernel.
    layout : int
        Columns in a panel of the packed weights, 0 if there are none. Only candidates with equal
        layouts compute the same result from the same inputs.
    trace : Trace or None
        A MetaSchedule trace, used instead of the numbers.
    """

    key: Key
    numbers: dict[str, int]
    function: tir.PrimFunc
    layout: int
    trace: Trace | None = None


@dataclass
class _Branch:
    """A node of the tree: its children by the next number.

    ``ended`` once all leaves were visited.
    """

    after: dict[int, "_Branch"] = field(default_factory=dict)
    ended: bool = False


class _Descent(Choice):
    """Chooses the numbers along one path from the tree's root to a leaf."""

    def __init__(self, numbers: dict[str, int], root: _Branch, take: Take) -> None:
        self.taken = dict(numbers)
        super().__init__(self.taken)
        self.path, self.take = [root], take

    def pick(self, name: str, options: Sequence[int], own: int) -> int:
        """A number whose subtree is not fully visited yet.

        The rule's default counts as an option.
        """
        if name in self.numbers:
            return super().pick(name, options, own)
        here = self.path[-1]
        for number in (own, *options):
            here.after.setdefault(number, _Branch())
        number = self.take([n for n, branch in here.after.items() if not branch.ended] or [own])
        self.taken[name] = number
        self.path.append(here.after[number])
        return number

    def end(self) -> None:
        """Mark the leaf of this path as visited, and each ancestor whose leaves are all visited."""
        self.path[-1].ended = True
        for branch in reversed(self.path[:-1]):
            branch.ended = all(b.ended for b in branch.after.values())


class _Search:
    """Iterate over the candidates of one layout.

    A rule may ask for a choice and then still refuse the kernel. The next rule then asks with
    another key, so that there is one tree for each key.
    """

    def __init__(self, function: tir.PrimFunc, layout: int, numbers: dict[str, int]) -> None:
        self.function, self.layout, self.numbers = function, layout, numbers
        self.trees: dict[Key, _Branch] = {}
        self.ended = False

    def step(self, target: tvm.target.Target, take: Take) -> Candidate | None:
        """A candidate that was not visited yet; None if the kernel has no tunable parameter."""
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
    """One search for each layout, the function's own layout first."""
    own = panel_width(function)
    layouts = _widths(function, key, target) if own else {}
    if own not in layouts.values():
        return [_Search(function, own, {})]
    own_first = sorted(layouts.items(), key=lambda each: each[1] != own)
    return [_Search(repacked(function, width), width, {"vectors": n}) for n, width in own_first]


def _widths(function: tir.PrimFunc, key: Key, target: tvm.target.Target) -> dict[int, int]:
    """The possible widths of the panels: vectors mapped to columns."""
    columns = key.get("columns")
    if recurrent_panels.units(function):
        return recurrent.widths(columns or 1, target)
    return product_tiles.widths(columns, target)


def key_of(function: tir.PrimFunc, target: tvm.target.Target) -> Key | None:
    """The key under which an unscheduled kernel is tuned.

    Returns
    -------
    Key or None
        None if the kernel's rule has no tunable parameter, or if some extent is unknown.
    """
    search = _Search(function, 0, {})
    own = search.step(target, _first)
    return None if own is None or search.ended or not own.key.known else own.key


def candidates(
    function: tir.PrimFunc, target: tvm.target.Target, most: int = 256, seed: int = 0
) -> list[Candidate]:
    """All choices that the kernel's rule has for it, the rule's default first.

    Parameters
    ----------
    function : PrimFunc
        Not scheduled.
    target : tvm.target.Target
    most : int
        The largest number of candidates. If there are more, a random sample of this size is
        returned.
    seed : int
        Seed of the sample. Equal seeds give equal candidates.

    Returns
    -------
    list of Candidate
        No two have the same code. Empty if :func:`key_of` gives None.
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
