"""LRU caches of parsed header values: the same peers send the same texts in every call."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import TypeVar

MAX_CACHED_CHARS = 256
"""Longest text, in characters, that is cached freely: header values that recur in a call are shorter."""
MAX_LONG_TEXTS = 32
"""How many longer texts a cache takes before it is cleared. Every parsed parameter costs 100 bytes and more:
a thousand texts of 8 KiB, which any stranger may send, would hold a gigabyte for good.
"""

T = TypeVar("T")


def cached(read: Callable[[str], T], max_texts: int) -> Callable[[str], T]:
    """`read` behind an LRU cache of this many texts; a hit does not check the length of the text."""
    long_texts = 0

    def count_and_read(text: str) -> T:
        nonlocal long_texts
        if len(text) > MAX_CACHED_CHARS:
            long_texts += 1
            if long_texts > MAX_LONG_TEXTS:
                long_texts = 1
                cache.cache_clear()
        return read(text)

    cache = lru_cache(maxsize=max_texts)(count_and_read)
    return cache
