"""Free ports, chosen at run time below the range that the system gives to outgoing connections."""

from __future__ import annotations

import random
import socket

LOW, HIGH = 12000, 32000

_taken: set[int] = set()
"""Handed out before in this run: whoever asked may not have bound it yet."""


def free_port() -> int:
    """A port that nobody has on UDP or TCP of the loopback interface."""
    return free_block(1)


def free_block(size: int) -> int:
    """The first of `size` neighbouring free ports, an even one."""
    for _ in range(200):
        first = random.randrange(LOW, HIGH - size, 2)
        block = range(first, first + size)
        if _taken.isdisjoint(block) and all(map(_free, block)):
            _taken.update(block)
            return first
    raise OSError(f"no {size} free ports in a row between {LOW} and {HIGH}")


def _free(port: int) -> bool:
    for kind in (socket.SOCK_DGRAM, socket.SOCK_STREAM):
        with socket.socket(socket.AF_INET, kind) as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                return False
    return True
