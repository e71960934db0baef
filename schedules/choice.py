"""Tunable parameters of a schedule rule: chosen by the rule itself, a record or a tuner.

A rule describes its kernel by a :class:`Key`, gets a :class:`Choice` for this key, and picks its
parameters from the choice. The kernel computes the same bits whatever is picked. Knows no rule, no
record and no tuner.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

# The tunable parameters that this library's rules ask for. Records of other ones are not used.
PARAMETERS = (
    "ahead",
    "band",
    "block",
    "columns",
    "copy",
    "parallel",
    "pixels",
    "rows",
    "rows_at_once",
    "several",
    "unroll",
    "value_vectors",
    "vectors",
    "walk",
)


@dataclass(frozen=True)
class Key:
    """Identifies a kernel when its tunable parameters are chosen.

    What is fused before or after the kernel is not part of the key.

    Attributes
    ----------
    operator : str
        ``"matmul"``, ``"convolution"``, ``"attention"``, ``"softmax"``, ``"gelu"``, ...
    shape : tuple of int or None
        The extents that the choices depend on, in the order in which records store them. None for
        an extent that is known only at run time.
    dtype : str
    names : tuple of str
        What the extents are called. Empty for element-wise kernels, whose shape is a tensor's, and
        for keys that are read from records. Two keys are equal whatever their names.
    """

    operator: str
    shape: tuple[int | None, ...]
    dtype: str = "float32"
    names: tuple[str, ...] = field(default=(), compare=False, repr=False)

    @classmethod
    def of(cls, operator: str, **extents: int | None) -> "Key":
        """The key of an operator with named extents, in this order."""
        return cls(operator, tuple(extents.values()), names=tuple(extents))

    def __getitem__(self, name: str) -> int | None:
        return self.shape[self.names.index(name)]

    def get(self, name: str) -> int | None:
        """The extent of this name. None if it is unknown or the operator has none of this name."""
        return self[name] if name in self.names else None

    @property
    def known(self) -> bool:
        """Whether all extents are known and positive.

        Other kernels are neither tuned nor recorded.
        """
        return all(self.shape)

    def __str__(self) -> str:
        return f"{self.operator} {'x'.join('?' if n is None else str(n) for n in self.shape)}"


@dataclass(frozen=True)
class Choice:
    """The tunable parameters chosen for one kernel.

    Attributes
    ----------
    numbers : mapping of name to int
        Parameters that are not named here keep the rule's default.
    source : str
        Where the numbers are from, for the report. Empty for the rule itself.
    """

    numbers: Mapping[str, int] = field(default_factory=dict)
    source: str = ""

    def pick(self, name: str, options: Sequence[int], own: int) -> int:
        """The value of the parameter with this name.

        Parameters
        ----------
        name : str
        options : sequence of int
            The values that the kernel supports. ``own`` need not be among them.
        own : int
            The rule's default.

        Returns
        -------
        int
            The chosen number if it is among the options, else ``own``. A number recorded for a
            kernel of another shape may not fit this one.
        """
        given = self.numbers.get(name, own)
        return given if given in options else own


class TrackedKnobs(Choice):
    """A choice that notes whether any of its numbers was used. Numbers may not fit the kernel."""

    def __init__(self, choice: Choice) -> None:
        super().__init__(choice.numbers, choice.source)
        self.choice, self.served = choice, not choice.numbers

    def pick(self, name: str, options: Sequence[int], own: int) -> int:
        """The value that the wrapped choice picks.

        ``served`` becomes true if this is the number that the choice names. Parameters as in
        :meth:`Choice.pick`.
        """
        number = self.choice.pick(name, options, own)
        self.served |= self.numbers.get(name) == number
        return number


# Chooses the parameters: a rule calls it with the key of the kernel that it is scheduling.
Decide = Callable[[Key], Choice]


RULE_DEFAULT = Choice()


def rule_default(_: Key) -> Choice:
    """Leave all tunable parameters at the rule's defaults."""
    return RULE_DEFAULT
