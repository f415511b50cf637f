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

LOW, BLOCKS, HIGH = 12000, 17000, 32000
"""Few ports are taken from below `BLOCKS`, many from above, lest single ones leave no room for many."""
FEW = 20

_taken: set[int] = set()
"""Handed out before in this run: a process may lock its own bytes again."""


def free_port() -> int:
    """A port that nobody has on UDP or TCP of the loopback interface."""
    return free_block(1)


def free_block(size: int) -> int:
    """The first of `size` neighbouring free ports, an even one."""
    chance = random.Random()  # a seed that a test sets would lead two runs to the same ports
    starts = list(range(LOW, BLOCKS, 2) if size <= FEW else range(BLOCKS, HIGH - size + 1, size + size % 2))
    chance.shuffle(starts)
    for first in starts:
        block = range(first, first + size)
        if _taken.isdisjoint(block) and _ours(block):
            _taken.update(block)
            return first
    raise OSError(f"no {size} free ports in a row between {LOW} and {HIGH}")


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
