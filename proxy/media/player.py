"""Plays tones to one stream: 20 ms frames on absolute loop times, so that it never drifts."""

from __future__ import annotations

import asyncio

from proxy.media.stream import QUIET_S, Stream
from proxy.media.tone import FRAME_S, FRAME_SAMPLES, beep, ringback

_CATCH_UP = 5
"""Frames a late loop may send at once; more lateness than that is left out."""


class Player:
    """Ringback and beep for one stream. A beep interrupts everything; ringback yields to any other sound."""

    __slots__ = (
        "_beeping",
        "_frames",
        "_index",
        "_ringing",
        "_sent",
        "_source",
        "_started",
        "_stream",
        "_timer",
    )

    def __init__(self, stream: Stream) -> None:
        self._stream = stream
        self._ringing = False
        self._beeping: asyncio.Future[None] | None = None
        self._frames: tuple[bytes, ...] = ()
        self._timer: asyncio.TimerHandle | None = None
        self._started = 0.0
        self._index = 0  # frame due next, counted from _started
        self._sent = 0
        self._source = object()

    def ring(self, on: bool) -> None:
        """Ringback on or off; saying so twice changes nothing."""
        if on == self._ringing:
            return
        self._ringing = self._stream.ringing = on
        if self._beeping is None:
            self._begin(ringback()) if on else self._halt()

    async def beep(self) -> None:
        """Play the beep; a second caller waits for the same one. Returns early if the stream goes away."""
        if self._beeping is None:
            self._beeping = asyncio.get_running_loop().create_future()
            self._stream.reserved = True
            self._begin(beep())
        await asyncio.shield(self._beeping)

    def stop(self) -> None:
        """The stream is going: no timer stays, nobody waits on."""
        self._ringing = False
        self._halt()
        self._end_beep()

    def _begin(self, frames: tuple[bytes, ...]) -> None:
        self._halt()
        self._frames = frames
        self._started = asyncio.get_running_loop().time()
        self._index = self._sent = 0
        self._source = object()
        self._tick()

    def _halt(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _tick(self) -> None:
        loop = asyncio.get_running_loop()
        due = int((loop.time() - self._started) / FRAME_S + 0.001)
        if due - self._index > _CATCH_UP:
            self._index = due
        if self._beeping is not None and self._index >= len(self._frames):
            self._end_beep()
            return
        if self._beeping is not None or not self._something_else_heard(loop.time()):
            frame = self._frames[self._index % len(self._frames)]
            self._stream.say(frame, self._source, self._sent & 0xFFFF, self._index * FRAME_SAMPLES)
            self._sent += 1
        self._index += 1
        self._timer = loop.call_at(self._started + self._index * FRAME_S, self._tick)

    def _something_else_heard(self, now: float) -> bool:
        fed_at = self._stream.fed_at
        return self._stream.joined is not None and fed_at is not None and now - fed_at < QUIET_S

    def _end_beep(self) -> None:
        if self._beeping is None:
            return
        self._stream.reserved = False
        self._beeping.set_result(None)
        self._beeping = None
        self._halt()
        if self._ringing:
            self._begin(ringback())
