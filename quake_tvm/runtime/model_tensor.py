"""The inputs and outputs of a model. Knows no TVM."""

from dataclasses import dataclass

# A size, the name or formula of a dynamic one, or "?" for one that depends on data.
Size = int | str


@dataclass(frozen=True)
class ModelTensor:
    """An input or output of a model.

    Attributes
    ----------
    name : str
    shape : tuple of int or str
        Dynamic dimensions have names, or formulas of names. ``"?"`` is a size that depends on data.
    dtype : str
    """

    name: str
    shape: tuple[Size, ...]
    dtype: str

    def __str__(self) -> str:
        return f"{self.name}: {self.dtype}[{', '.join(map(str, self.shape))}]"
