"""Plays clips to one stream: 20 ms frames at absolute event-loop times, so that playback never drifts."""

from __future__ import annotations

import asyncio

from proxy.media.clip import FRAME_S, Clip
from proxy.media.formats import clock_rate
from proxy.media.stream import QUIET_S, Stream
from proxy.media.tones import quiet

_MAX_CATCH_UP = 5
"""Most frames a late event loop sends at once; if it is later than that, frames are skipped."""


_GAP_S = 1.5 * FRAME_S
"""After this a packet is missing: silence is sent until a tone starts."""


class Player:
    """The playback of one stream. A clip played once interrupts everything. What is looped gives way to any
    other sound; in order of priority: ringback, hold tone, filler.
    """

    __slots__ = (
        "_current",
        "_filling",
        "_filling_gap",
        "_holding",
        "_index",
        "_queue",
        "_ringing",
        "_sequence",
        "_source",
        "_started",
        "_stream",
        "_timer",
        "_until_heard_from",
    )

    def __init__(self, stream: Stream) -> None:
        self._stream = stream
        self._ringing: Clip | None = None
        self._holding: Clip | None = None
        self._filling: Clip | None = None
        self._filling_gap = False
        self._until_heard_from: float | None = None
        self._queue: tuple[tuple[Clip, asyncio.Future[None]], ...] = ()
        """Clips to play once: the first is playing, the others wait."""
        self._current: Clip | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._started = 0.0
        self._index = 0  # frame due next, counted from _started
        self._sequence = 0
        self._source = object()

    def ring(self, clip: Clip | None, *, after_s: float = 0.0, until_heard: bool = False) -> None:
        """Start or stop ringback; repeating it only updates `until_heard`.

        `until_heard`: it ends by itself once the joined leg is audible.
        """
        now = asyncio.get_running_loop().time()
        self._until_heard_from = now if until_heard and clip is not None else None
        if clip is self._ringing:
            return
        self._ringing = clip
        self._stream.ring(clip is not None)
        if not self._queue:
            self._next(after_s or None)

    def hold(self, clip: Clip | None) -> None:
        """Start or stop the hold tone; music that the holding leg itself sends comes first."""
        if clip is self._holding:
            return
        self._holding = clip
        if not self._queue and self._ringing is None:
            self._next(QUIET_S)

    def fill(self, clip: Clip | None) -> None:
        """Start or stop looping what is heard in place of nothing; repeating it changes nothing."""
        if clip is self._filling:
            return
        self._filling = clip
        if not self._queue and self._ringing is self._holding is None:
            self._next()

    def fill_gap(self) -> None:
        """The stream has just been joined to another: fill the gap with silence, from when its next packet is
        due until the other's first packet comes.
        """
        if self._stream.last_sent_at is not None:
            self._filling_gap = True
            if self._current is None:
                self._next()

    async def play(self, clip: Clip) -> None:
        """Play the clip once, after those already queued; cancelling stops it.

        Returns early if the stream is closed.
        """
        done = asyncio.get_running_loop().create_future()
        turn = (clip, done)
        self._queue += (turn,)
        if self._queue[0] is turn:
            self._next()
        try:
            await done
        finally:
            if turn in self._queue:
                heard = self._queue[0] is turn
                self._queue = tuple(each for each in self._queue if each is not turn)
                if heard:
                    self._next()

    def stop(self) -> None:
        """The stream is closing: cancel the timer and release whoever waits in `play`."""
        self._ringing = self._holding = self._filling = None
        self._filling_gap = False
        playing, self._queue = self._queue, ()
        self._next()
        for _, done in playing:
            if not done.done():
                done.set_result(None)

    def _next(self, after_s: float | None = None) -> None:
        """Start what has priority now, or `after_s` later."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._stream.reserve(bool(self._queue))
        loop = asyncio.get_running_loop()
        self._current = self._queue[0][0] if self._queue else self._ringing or self._holding or self._filling
        if self._current is None and self._filling_gap and self._stream.last_sent_at is not None:
            self._current, after_s = quiet(), max(0.0, self._stream.last_sent_at + FRAME_S - loop.time())
        if self._current is None:
            return
        self._started = loop.time() + (after_s or 0.0)
        self._index = self._sequence = 0
        self._source = object()
        if after_s is None:
            self._tick()
        else:
            self._timer = loop.call_at(self._started, self._tick)

    def _tick(self) -> None:
        clip, loop = self._current, asyncio.get_running_loop()
        assert clip is not None
        now = loop.time()
        due = int((now - self._started) / FRAME_S + 0.001)
        if due - self._index > _MAX_CATCH_UP:
            self._index = due
        if self._queue:
            if self._index >= len(clip):
                return self._finish_clip()
            self._send_frame(clip)
        elif self._became_audible():
            return self.ring(None)
        elif self._current is quiet() and self._gap_filled():
            return self._next()
        elif not self._hears_joined(now):
            self._send_frame(clip)
        elif self._stream.last_sent_at is not None and now - self._stream.last_sent_at > _GAP_S:
            self._send_frame(quiet())
        self._index += 1
        self._timer = loop.call_at(self._started + self._index * FRAME_S, self._tick)

    def _send_frame(self, clip: Clip) -> None:
        agreement = self._stream.agreement
        if agreement is None:
            return
        key = agreement.voice.key
        frames = clip.frames(key)
        if frames:
            frame, ticks = frames[self._index % len(frames)], self._index * clock_rate(key) // 50
            self._stream.send_frame(frame, key, self._source, self._sequence & 0xFFFF, ticks & 0xFFFFFFFF)
            self._sequence += 1

    def _finish_clip(self) -> None:
        (_, done), *more = self._queue
        self._queue = tuple(more)
        if not done.done():
            done.set_result(None)
        self._next(0.0)  # let whoever awaited this clip queue the next one first

    def _became_audible(self) -> bool:
        since, last_relayed_at = self._until_heard_from, self._stream.last_relayed_at
        return since is not None and last_relayed_at is not None and last_relayed_at >= since

    def _gap_filled(self) -> bool:
        """Whether the gap that `fill_gap` fills is over: the other is heard, or gone."""
        if self._filling_gap and (self._stream.last_relayed_at is not None or self._stream.joined is None):
            self._filling_gap = False
            return True
        return False

    def _hears_joined(self, now: float) -> bool:
        last_relayed_at = self._stream.last_relayed_at
        return (
            self._stream.joined is not None
            and last_relayed_at is not None
            and now - last_relayed_at < QUIET_S
        )
