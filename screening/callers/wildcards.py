"""Many patterns of ``?`` (one character) and ``*`` (any number of them), tried on a text all at once.

The patterns stand in one tree, a character a branch, so that what many have in common is looked at once; the
text is read from left to right, with the set of places in the tree that it may have come to.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

_Node = dict[str, Any]
"""Where a text may go on: by a character, or by one of the words below, which no character equals."""
_ONE, _ANY, _ENDS = "one", "any", "ends"


class Wildcards:
    """A set of patterns."""

    __slots__ = ("_root",)

    def __init__(self, patterns: Iterable[str]) -> None:
        self._root: _Node = {}
        for pattern in patterns:
            node = self._root
            for character in pattern:
                match character:
                    case "?":
                        node = node.setdefault(_ONE, {})
                    case "*":
                        node = node.setdefault(_ANY, {})
                    case _:
                        node = node.setdefault(character, {})
            node.setdefault(_ENDS, pattern)

    def __bool__(self) -> bool:
        return bool(self._root)

    def find(self, text: str) -> str | None:
        """A pattern that the whole text matches; None if none does."""
        stars: list[_Node] = []  # once come to, never left
        here = [self._root]
        if (found := _reached(here, stars)) is not None:
            return found
        for character in text:
            there: list[_Node] = []
            for node in (*stars, *here):
                if (then := node.get(character)) is not None:
                    there.append(then)
                if (then := node.get(_ONE)) is not None:
                    there.append(then)
            if there:
                if (found := _reached(there, stars)) is not None:
                    return found
            elif not stars:
                return None
            here = there
        return next((str(node[_ENDS]) for node in here if _ENDS in node), None)


def _reached(nodes: list[_Node], stars: list[_Node]) -> str | None:
    """Add the ``*`` that stand behind these places; a pattern that ends with one of them is matched."""
    for node in nodes:
        star = node.get(_ANY)
        while star is not None and not any(star is each for each in stars):
            if _ENDS in star:
                return str(star[_ENDS])
            stars.append(star)
            star = star.get(_ANY)
    return None
