"""The attributes of a module that its own forward changes, such as a counter of calls.

Knows no torch.export. Buffers and parameters are torch's own.
"""

from collections import deque
from typing import Any

import torch
from torch.nn.modules.lazy import LazyModuleMixin

# The attributes that every module has.
_TORCHS_OWN = vars(torch.nn.Module()).keys()
_NUMBERS = (bool, int, float, str)


class Attributes:
    """The attributes of a module and its parts at one moment.

    Parameters
    ----------
    module : torch.nn.Module
    """

    def __init__(self, module: torch.nn.Module) -> None:
        self._parts = [
            (name, part, {key: (value, _content(value)) for key, value in _own(part)})
            for name, part in module.named_modules()
            if not isinstance(part, LazyModuleMixin)  # its first run makes what it lacks
        ]

    def changed(self) -> list[str]:
        """The names of those that differ now."""
        return [
            f"{name}.{key}" if name else key
            for name, part, before in self._parts
            for key in {**before, **dict(_own(part))}
            if key not in before or not _same(part, key, *before[key])
        ]

    def only_numbers_changed(self) -> bool:
        """Whether those that differ now are numbers, truths or text, and were."""
        return all(
            isinstance(value, _NUMBERS) and key in before and isinstance(before[key][0], _NUMBERS)
            for _, part, before in self._parts
            for key, value in _own(part)
            if key not in before or not _same(part, key, *before[key])
        )

    def restore(self) -> None:
        """Give the module what it had."""
        for _, part, before in self._parts:
            for key, _ in list(_own(part)):
                if key not in before:
                    delattr(part, key)
            for key, (value, content) in before.items():
                if not _same(part, key, value, content):
                    _refill(value, content)
                    setattr(part, key, value)


def _own(part: torch.nn.Module) -> list[tuple[str, Any]]:
    return [(key, value) for key, value in vars(part).items() if key not in _TORCHS_OWN]


def _content(value: Any) -> list[Any] | None:
    """The elements of a container; None for anything else."""
    if type(value) is dict:
        return list(value.items())
    return list(value) if type(value) in (list, set, deque) else None


def _same(part: torch.nn.Module, key: str, value: Any, content: list[Any] | None) -> bool:
    now = vars(part).get(key)
    if now is not value:
        return isinstance(now, _NUMBERS) and type(now) is type(value) and now == value
    return _identities(_content(now)) == _identities(content)


def _identities(content: list[Any] | None) -> list[Any] | None:
    if content is None:
        return None
    return [tuple(map(id, e)) if isinstance(e, tuple) else id(e) for e in content]


def _refill(value: Any, content: list[Any] | None) -> None:
    if content is not None:
        value.clear()
        value.update(content) if isinstance(value, dict | set) else value.extend(content)
