"""Notifies whoever rings a phone that the phone has registered meanwhile."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

OnRegistered = Callable[[str], None]
"""Called with the name of a phone that has registered, for the first time or again."""


class NewContacts:
    """Calls back when a phone registers."""

    def __init__(self) -> None:
        self._waiting: dict[str, list[OnRegistered]] = {}

    @contextmanager
    def watching(self, names: Iterable[str], then: OnRegistered) -> Iterator[None]:
        """Call `then` when one of these phones registers, for the duration of the block."""
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

    def notify(self, name: str) -> None:
        """This phone has registered, and its 200 has been sent."""
        for then in tuple(self._waiting.get(name, ())):
            then(name)
