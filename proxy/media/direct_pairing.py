"""Which legs of a direct session are joined, which were before, and which must be joined through us."""

from __future__ import annotations

from collections.abc import Container, Iterator


class DirectPairing:
    """Joined legs, by name. A leg is joined with at most one other."""

    __slots__ = ("_partner", "_previous", "_relayed_pairs")

    def __init__(self) -> None:
        self._partner: dict[str, str] = {}
        self._previous: dict[str, str] = {}
        """The partner of each leg before its last join, which may still fail."""
        self._relayed_pairs: set[frozenset[str]] = set()
        """Pairs of legs that can only talk through our relay."""

    def partner(self, leg: str) -> str | None:
        return self._partner.get(leg)

    def join(self, a: str, b: str) -> None:
        """Pair two legs that have no partner, or each other."""
        self._partner[a], self._partner[b] = b, a

    def part(self, leg: str) -> None:
        """Separate the leg from its partner; `undo_join` can undo it."""
        other = self._partner.pop(leg, None)
        if other is not None:
            self._partner.pop(other, None)
            self._previous[leg] = other

    def undo_join(self, leg: str, standing: Container[str]) -> Iterator[str]:
        """Undo the leg's failed join: restore the earlier pairs, among the legs in `standing`.

        Yields one leg of every restored pair.
        """
        pair = (leg, self._partner.pop(leg, ""))
        self._partner.pop(pair[1], None)
        for one in pair:
            before = self._previous.pop(one, "")
            if one in standing and before in standing:
                self.join(one, before)
                yield one

    def forget(self, leg: str) -> None:
        """The leg is gone: nothing is restored to it."""
        self._previous = {one: was for one, was in self._previous.items() if leg not in (one, was)}
        self._relayed_pairs = {pair for pair in self._relayed_pairs if leg not in pair}

    def require_relay(self, a: str, b: str) -> None:
        """These two can only talk through our relay."""
        self._relayed_pairs.add(frozenset((a, b)))

    def requires_relay(self, a: str, b: str) -> bool:
        return frozenset((a, b)) in self._relayed_pairs

    def clear(self) -> None:
        """Forget everything."""
        for kept in (self._partner, self._previous, self._relayed_pairs):
            kept.clear()
