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

LOW, HIGH = 12000, 32000

_taken: set[int] = set()
"""Handed out before in this run: a process may lock its own bytes again."""


def free_port() -> int:
    """A port that nobody has on UDP or TCP of the loopback interface."""
    return free_block(1)


def free_block(size: int) -> int:
    """The first of `size` neighbouring free ports, an even one."""
    chance = random.Random()  # a seed that a test sets would lead two runs to the same ports
    for _ in range(500):
        first = chance.randrange(LOW, HIGH - size, 2)
        block = range(first, first + size)
        if _taken.isdisjoint(block) and _claimed(block) and all(map(_free, block)):
            _taken.update(block)
            return first
    raise OSError(f"no {size} free ports in a row between {LOW} and {HIGH}")


def _claimed(block: range) -> bool:
    """Whether they are ours now; of those that somebody has bound, the claim stays, which harms nobody."""
    try:
        fcntl.lockf(_claims(), fcntl.LOCK_EX | fcntl.LOCK_NB, len(block), block.start)
    except OSError:
        return False
    return True


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
