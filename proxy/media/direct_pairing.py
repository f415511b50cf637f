"""Who is joined with whom in a `direct` session, who was before, and who may only be joined through us."""

from __future__ import annotations

from collections.abc import Container, Iterator


class Pairs:
    """Legs by name. Each is joined with one other at most, and that one with it."""

    __slots__ = ("_apart", "_before", "_partner")

    def __init__(self) -> None:
        self._partner: dict[str, str] = {}
        self._before: dict[str, str] = {}
        """Whom a leg was joined to before its last join, which may come to nothing."""
        self._apart: set[frozenset[str]] = set()
        """Pairs that cannot talk to each other but through us."""

    def partner(self, leg: str) -> str | None:
        return self._partner.get(leg)

    def join(self, a: str, b: str) -> None:
        """Two that are with nobody, or with each other."""
        self._partner[a], self._partner[b] = b, a

    def part(self, leg: str) -> None:
        """It is with nobody now, but may be taken back to whom it is parted from."""
        other = self._partner.pop(leg, None)
        if other is not None:
            self._partner.pop(other, None)
            self._before[leg] = other

    def take_back(self, leg: str, standing: Container[str]) -> Iterator[str]:
        """Its join has come to nothing: who was joined before is so again, of those that stand.

        Yields one leg of every pair that is joined by it.
        """
        pair = (leg, self._partner.pop(leg, ""))
        self._partner.pop(pair[1], None)
        for one in pair:
            before = self._before.pop(one, "")
            if one in standing and before in standing:
                self.join(one, before)
                yield one

    def forget(self, leg: str) -> None:
        """It is gone: nobody is taken back to it."""
        self._before = {one: was for one, was in self._before.items() if leg not in (one, was)}
        self._apart = {pair for pair in self._apart if leg not in pair}

    def set_apart(self, a: str, b: str) -> None:
        """These two cannot talk to each other but through us."""
        self._apart.add(frozenset((a, b)))

    def are_apart(self, a: str, b: str) -> bool:
        return frozenset((a, b)) in self._apart

    def clear(self) -> None:
        """Forget all."""
        for kept in (self._partner, self._before, self._apart):
            kept.clear()
