"""LRU caches of parsed header values: the same peers send the same texts in every call."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import TypeVar

LONGEST_KEPT = 256
"""Longest text, in characters, that is cached freely: header values that recur in a call are shorter."""
MAX_LONG = 32
"""How many longer texts a cache takes before it is cleared. Every parsed parameter costs 100 bytes and more:
a thousand texts of 8 KiB, which any stranger may send, would hold a gigabyte for good.
"""

T = TypeVar("T")


def kept(read: Callable[[str], T], most: int) -> Callable[[str], T]:
    """`read` behind an LRU cache of this many texts; a hit does not check the length of the text."""
    long = 0

    def reading(text: str) -> T:
        nonlocal long
        if len(text) > LONGEST_KEPT:
            long += 1
            if long > MAX_LONG:
                long = 1
                keeping.cache_clear()
        return read(text)

    keeping = lru_cache(maxsize=most)(reading)
    return keeping
