"""Matches a text against many patterns of ``?`` (one character) and ``*`` (any number) at once.

The patterns form a trie, so common prefixes are compared once. The text is read left to right while tracking
the set of trie nodes reached so far, as in an NFA.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

_Node = dict[str, Any]
"""Child nodes by character, or by one of the keys below, which no single character equals."""
_ANY_CHAR, _ANY_RUN, _ENDS = "one", "any", "ends"


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
                        node = node.setdefault(_ANY_CHAR, {})
                    case "*":
                        node = node.setdefault(_ANY_RUN, {})
                    case _:
                        node = node.setdefault(character, {})
            node.setdefault(_ENDS, pattern)

    def __bool__(self) -> bool:
        return bool(self._root)

    def find(self, text: str) -> str | None:
        """Return a pattern that matches the whole text; None if none does."""
        stars: list[_Node] = []  # once reached, never left
        here = [self._root]
        if (found := _reached(here, stars)) is not None:
            return found
        for character in text:
            there: list[_Node] = []
            for node in (*stars, *here):
                if (then := node.get(character)) is not None:
                    there.append(then)
                if (then := node.get(_ANY_CHAR)) is not None:
                    there.append(then)
            if there:
                if (found := _reached(there, stars)) is not None:
                    return found
            elif not stars:
                return None
            here = there
        return next((str(node[_ENDS]) for node in here if _ENDS in node), None)


def _reached(nodes: list[_Node], stars: list[_Node]) -> str | None:
    """Add the ``*`` nodes that follow `nodes`; return the pattern, if any, that ends with one of them."""
    for node in nodes:
        star = node.get(_ANY_RUN)
        while star is not None and not any(star is each for each in stars):
            if _ENDS in star:
                return str(star[_ENDS])
            stars.append(star)
            star = star.get(_ANY_RUN)
    return None
