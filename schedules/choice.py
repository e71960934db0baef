"""Tunable parameters of a schedule rule: chosen by the rule itself, a record or a tuner.

A rule says what its kernel is (a :class:`Key`), gets a :class:`Choice` for it, and picks from that.
Whatever is picked, the kernel computes the same bits. Knows no rule, no record and no tuner.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Key:
    """A kernel as whoever chooses for it sees it: what is fused around it is left out.

    Attributes
    ----------
    operator : str
        ``"matmul"``, ``"convolution"``, ``"attention"``, ``"softmax"``, ``"gelu"``, ...
    shape : tuple of int or None
        The extents that the choices depend on, in an order of the operator's own: for a product
        rows, columns and depth. None for what is known only when it runs.
    dtype : str
    """

    operator: str
    shape: tuple[int | None, ...]
    dtype: str = "float32"

    @property
    def known(self) -> bool:
        """Whether all extents are, and none is 0: others are neither tuned nor on record."""
        return all(self.shape)

    def __str__(self) -> str:
        return f"{self.operator} {'x'.join('?' if n is None else str(n) for n in self.shape)}"


@dataclass(frozen=True)
class Choice:
    """What is chosen for one kernel.

    Attributes
    ----------
    numbers : mapping of name to int
        Those not named are the rule's own.
    source : str
        Where they are from, for the report; empty for the rule itself.
    """

    numbers: Mapping[str, int] = field(default_factory=dict)
    source: str = ""

    def pick(self, name: str, options: Sequence[int], own: int) -> int:
        """The number of this name.

        Parameters
        ----------
        name : str
        options : sequence of int
            What the kernel can have, perhaps except ``own``.
        own : int
            The rule's own choice.

        Returns
        -------
        int
            What is given, if it is among the options, else ``own``: numbers of another shape's
            kernel may not fit this one.
        """
        given = self.numbers.get(name, own)
        return given if given in options else own


class TrackedKnobs(Choice):
    """A choice that notes whether it served: its numbers may not fit the kernel."""

    def __init__(self, choice: Choice) -> None:
        super().__init__(choice.numbers, choice.source)
        self.choice, self.served = choice, not choice.numbers

    def pick(self, name: str, options: Sequence[int], own: int) -> int:
        """What the choice picks."""
        number = self.choice.pick(name, options, own)
        self.served |= self.numbers.get(name) == number
        return number


# Who chooses: the rules call it with the key of the kernel that they are about to schedule.
Decide = Callable[[Key], Choice]


RULE_DEFAULT = Choice()


def rule_default(_: Key) -> Choice:
    """Let every rule choose for itself."""
    return RULE_DEFAULT
