"""Writing to a disk that may be slow: one thread does it, so that no packet ever waits for it."""

from __future__ import annotations

import os
from collections.abc import Callable
from queue import SimpleQueue
from threading import Thread

Work = Callable[[], None]
Disk = Callable[[Work], None]
"""Does a piece of work on the disk, now or soon, one after another. The work raises nothing."""


def at_once(work: Work) -> None:
    """Where nobody minds waiting for the disk."""
    work()


class DiskThread:
    """A `Disk` of its own thread, which begins with the first piece of work."""

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
        """Finish what waits; False if the disk takes longer than this. Blocks."""
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
    """Write all of it at that place, or raise OSError: a disk that fills up takes a part first."""
    while octets:
        written = os.pwrite(file, octets, at)
        octets, at = octets[written:], at + written
