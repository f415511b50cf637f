"""Allocates free ports for tests, below the ephemeral range of the system.

A port is bound some time after it was allocated, so it stays reserved until this process ends: by locks on
bytes of one file, which all test runs on the machine share and the system releases.
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
"""Maximum block size, minimum distance between block starts, and port range of each area.

Separate areas keep small blocks from fragmenting the space that larger ones need.
"""

_taken: set[int] = set()
"""Ports allocated by this run; needed because a process can lock its own bytes again."""


def free_port() -> int:
    """A port that is free for both UDP and TCP on the loopback interface."""
    return free_block(1)


def free_block(size: int) -> int:
    """The first of `size` consecutive free ports; always even."""
    chance = random.Random()  # its own generator: a test's seed would lead two runs to the same ports
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
    """`size` consecutive free ports, in the form of the settings (`first-last`)."""
    first = free_block(size)
    return f"{first}-{first + size - 1}"


def _ours(block: range) -> bool:
    """Reserve a block for this run; False if a port is in use or reserved by another run."""
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
    """The lock file, open until the process ends: closing it would release our locks."""
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
