"""Free ports, chosen at run time below the range that the system gives to outgoing connections.

Whoever asks binds its port a little later, so what is handed out is claimed until this process ends: by locks
on the bytes of one file, which every run of these tests on the machine knows, and the system lets go.
"""

from __future__ import annotations

import fcntl
import os
import random
import socket
import tempfile
from functools import cache
from pathlib import Path

AREAS = ((4, 2, range(10000, 14000)), (20, 20, range(14000, 18000)), (10_000, 2, range(18000, 32000)))
"""Blocks up to a size, with what lies between where two may begin, and their place: single ports are not to
leave no room for several, nor several for many.
"""

_taken: set[int] = set()
"""Handed out before in this run: a process may lock its own bytes again."""


def free_port() -> int:
    """A port that nobody has on UDP or TCP of the loopback interface."""
    return free_block(1)


def free_block(size: int) -> int:
    """The first of `size` neighbouring free ports, an even one."""
    chance = random.Random()  # a seed that a test sets would lead two runs to the same ports
    step, place = next((step, place) for most, step, place in AREAS if size <= most)
    starts = list(range(place.start, place.stop - size + 1, max(step, size + size % 2)))
    chance.shuffle(starts)
    for first in starts:
        block = range(first, first + size)
        if _taken.isdisjoint(block) and _ours(block):
            _taken.update(block)
            return first
    raise OSError(f"no {size} free ports in a row between {place.start} and {place.stop}")


def free_range(size: int) -> str:
    """`size` neighbouring free ports, as the settings write them."""
    first = free_block(size)
    return f"{first}-{first + size - 1}"


def _ours(block: range) -> bool:
    """Whether nobody has them, and no other run will get them from here."""
    try:
        fcntl.lockf(_claims(), fcntl.LOCK_EX | fcntl.LOCK_NB, len(block), block.start)
    except OSError:
        return False
    if all(map(_free, block)):
        return True
    fcntl.lockf(_claims(), fcntl.LOCK_UN, len(block), block.start)
    return False


@cache
def _claims() -> int:
    """The file of all claims, open as long as we live: to close it would let go of ours."""
    path = Path(tempfile.gettempdir()) / f"screendoor-test-ports.{os.getuid()}"
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)


def _free(port: int) -> bool:
    for kind in (socket.SOCK_DGRAM, socket.SOCK_STREAM):
        with socket.socket(socket.AF_INET, kind) as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                return False
    return True
