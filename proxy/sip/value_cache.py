"""Values that are read once for each text, as the same peers say the same again and again."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import TypeVar

LONGEST_KEPT = 256
"""Characters of a text that is one of the few which stand in every message of a call."""
MAX_LONG = 32
"""So many that are longer are kept. A hundred bytes and more go with every parameter: a thousand texts of
8 KiB, each of which a stranger may send, would take a gigabyte for good.
"""

T = TypeVar("T")


def kept(read: Callable[[str], T], most: int) -> Callable[[str], T]:
    """What `read` makes of a text, the latest kept; of a text that is, nobody looks at the length."""
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
