"""Writes to disk on a thread of its own, so that a slow disk never delays a packet."""

from __future__ import annotations

import os
from collections.abc import Callable
from queue import SimpleQueue
from threading import Thread

Work = Callable[[], None]
Disk = Callable[[Work], None]
"""Runs disk work, now or soon, in order. The work must not raise."""


def at_once(work: Work) -> None:
    """A `Disk` that runs the work at once, where waiting is acceptable."""
    work()


class DiskThread:
    """A `Disk` with a thread, started for the first piece of work."""

    def __init__(self) -> None:
        self._waiting: SimpleQueue[Work | None] = SimpleQueue()
        self._thread: Thread | None = None

    def __call__(self, work: Work) -> None:
        if self._thread is None:
            # A daemon: a disk that hangs must not keep the process from ending.
            self._thread = Thread(target=self._run, name="disk", daemon=True)
            self._thread.start()
        self._waiting.put(work)

    def close(self, within_s: float = 5.0) -> bool:
        """Finish the queued work; False if that takes longer than `within_s`. Blocks."""
        thread, self._thread = self._thread, None
        if thread is None:
            return True
        self._waiting.put(None)
        thread.join(within_s)
        return not thread.is_alive()

    def _run(self) -> None:
        while (work := self._waiting.get()) is not None:
            work()


def write_whole(file: int, octets: bytes, at: int) -> None:
    """Write all the octets at this offset. Raises OSError; a disk that fills up may have taken a part."""
    while octets:
        written = os.pwrite(file, octets, at)
        octets, at = octets[written:], at + written
