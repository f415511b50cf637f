"""Phones that register while they are called."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

Told = Callable[[str], None]
"""Called with the name of a phone that has registered, anew or again."""


class Arrivals:
    """Tells whoever rings a phone that it has registered."""

    def __init__(self) -> None:
        self._waiting: dict[str, list[Told]] = {}

    @contextmanager
    def told(self, names: Iterable[str], then: Told) -> Iterator[None]:
        """Call `then` for these phones as long as the block takes."""
        names = tuple(names)
        for name in names:
            self._waiting.setdefault(name, []).append(then)
        try:
            yield
        finally:
            for name in names:
                self._waiting[name].remove(then)
                if not self._waiting[name]:
                    del self._waiting[name]

    def tell(self, name: str) -> None:
        """This phone has registered, and has been told so."""
        for then in tuple(self._waiting.get(name, ())):
            then(name)
