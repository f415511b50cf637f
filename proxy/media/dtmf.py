"""DTMF keys as RTP telephone-events: reading, de-duplicating and sending them (RFC 4733)."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from struct import Struct

from proxy.media.rtp import signed32

KEYS = "0123456789*#ABCD"
"""The keys of events 0 to 15 (§3.2)."""
RATE = 8000
"""Default clock rate of durations, in Hz: `telephone-event/8000`."""
DEFAULT_PRESS_S = 0.1
"""How long we hold a key if nothing else is asked for; §2.5.1.1 wants at least 50 ms."""
LONGEST_S = 3.0

_EVENT = Struct("!BBH")  # event, E|R|volume, duration (§2.3)
_END = 0x80
_VOLUME = 10
_STEP_S = 0.02
_ENDS = 3  # the last packet is sent three times (§2.5.1.4)
_PAUSE_S = 0.1
_TIMEOUT_S = 0.2
"""A key not heard for so long counts as released: all its end packets were lost (§2.5.2.2)."""
_PAIR_S = 2.0
"""Within this time, the same key by RTP and by signalling counts as one press."""
_WHOLE_SEGMENT = 0xFFFF
_MAX_LATE_S = 60
"""A timestamp further back than this is not a late packet, but a sender that restarted."""
_KEPT = 32
_WAITING = 32


def convert_duration(payload: bytes, rate: int, other: int) -> bytes:
    """Convert an event's duration from clock rate `rate` to `other`; one beyond 16 bits is capped."""
    if len(payload) < _EVENT.size:
        return payload
    event, flags, duration = _EVENT.unpack_from(payload)
    return _EVENT.pack(event, flags, min(_WHOLE_SEGMENT, duration * other // rate)) + payload[_EVENT.size :]


class KeyQueue:
    """Keys one peer has pressed that nobody has asked for yet."""

    __slots__ = ("_kept", "_waiting", "count")

    def __init__(self) -> None:
        self._kept: deque[str] = deque(maxlen=_KEPT)
        self._waiting: asyncio.Future[None] | None = None
        self.count = 0
        """Total ever pressed."""

    def put(self, key: str, seconds: float = DEFAULT_PRESS_S) -> None:
        """Add a key. Of more than 32 that nobody asks for, the oldest are dropped."""
        self.count += 1
        self._kept.append(key)
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_result(None)

    async def next(self) -> str:
        """Wait for the next key, oldest first; a cancelled wait takes none."""
        while not self._kept:
            if self._waiting is None or self._waiting.done():
                self._waiting = asyncio.get_running_loop().create_future()
            await asyncio.shield(self._waiting)
        return self._kept.popleft()


class PressMatcher:
    """Pairs keys that a peer reports both in RTP and by signalling, as some gear does: the two are one press.

    Either may come first. Each report is paired once, so that a key pressed again at once counts.
    """

    __slots__ = ("_clock", "_unpaired")

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._unpaired: dict[tuple[str, bool], tuple[int, float]] = {}
        """(key, by RTP) -> the number of unpaired reports, and the time of the last."""

    def is_new(self, key: str, *, in_rtp: bool) -> bool:
        """Take a report of a key. False: it pairs with one that came the other way."""
        others, at = self._recent(key, not in_rtp)
        if others:
            self._unpaired[key, not in_rtp] = others - 1, at
        else:
            self._unpaired[key, in_rtp] = self._recent(key, in_rtp)[0] + 1, self._clock()
        return not others

    def held(self, key: str) -> None:
        """RTP says the key is still down: signalling may only report it on release."""
        alone, _ = self._recent(key, True)
        if alone:
            self._unpaired[key, True] = alone, self._clock()

    def _recent(self, key: str, in_rtp: bool) -> tuple[int, float]:
        alone, at = self._unpaired.get((key, in_rtp), (0, 0.0))
        return (alone, at) if self._clock() - at < _PAIR_S else (0, 0.0)


class EventReader:
    """Reads one peer's telephone-events, each of which is sent in many packets (§2.5.2).

    A key is reported on release: by the first packet with the end bit or, if all of those are lost, by the
    next key or a timeout.
    """

    __slots__ = (
        "_clock",
        "_duration",
        "_earlier_ticks",
        "_ended",
        "_event",
        "_heard_at",
        "_is_new",
        "_matcher",
        "_press",
        "_rate",
        "_relay",
        "_source",
        "_start",
        "_timer",
    )

    def __init__(
        self, press: Callable[[str, float], None], clock: Callable[[], float], matcher: PressMatcher
    ) -> None:
        """`press` is called with the key and the seconds it was held, unless `matcher` knows of it."""
        self._press, self._clock, self._matcher = press, clock, matcher
        self._is_new = True  # signalling has not reported it before
        self._relay = True  # neither that, nor was another leg joined since it began
        self._source: object = None
        self._start = 0  # timestamp of the latest event, or of its latest segment
        self._earlier_ticks = 0  # ticks in the earlier segments
        self._ended = True
        self._event = 0
        self._duration = 0
        self._rate = RATE
        self._heard_at = 0.0
        self._timer: asyncio.TimerHandle | None = None

    def heard(self, source: object, timestamp: int, payload: bytes, rate: int = RATE) -> bool:
        """Take one packet, with durations by clock `rate`; what is no event (§2.3) or no key is ignored.

        False: do not relay it, such as a key already reported by signalling.
        """
        if len(payload) < _EVENT.size:
            return True
        self._rate = rate
        event, flags, duration = _EVENT.unpack_from(payload)
        behind = signed32(timestamp - self._start) if source is self._source else 1
        if -_MAX_LATE_S * rate < behind < 0 or (behind == 0 and self._ended):
            return self._relay  # of an earlier event, or a repeated end
        if behind == _WHOLE_SEGMENT and event == self._event and not self._ended and source is self._source:
            self._earlier_ticks += _WHOLE_SEGMENT  # a long event continues in a new segment (§2.5.1.3)
        elif behind:
            self._released()
            self._source, self._ended, self._event = source, False, event
            self._earlier_ticks = self._duration = 0
            self._is_new = self._relay = event >= len(KEYS) or self._matcher.is_new(KEYS[event], in_rtp=True)
        self._start = timestamp
        self._duration = max(self._duration, self._earlier_ticks + duration)
        self._heard_at = self._clock()
        if event < len(KEYS):
            self._matcher.held(KEYS[event])
        if flags & _END:
            self._released()
        elif self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(_TIMEOUT_S, self._timed_out)
        return self._relay

    def stop_relaying(self) -> None:
        """Another leg is joined: the rest of the present event is not for it."""
        self._relay = False

    def stop(self) -> None:
        """The stream is closing: cancel the timer."""
        self._ended = True
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _released(self) -> None:
        if self._ended:
            return
        self.stop()
        if self._is_new and self._event < len(KEYS):
            self._press(KEYS[self._event], self._duration / self._rate)

    def _timed_out(self) -> None:
        self._timer = None
        left = self._heard_at + _TIMEOUT_S - self._clock()
        if left <= 0.001:
            self._released()
        else:
            self._timer = asyncio.get_running_loop().call_later(left, self._timed_out)


SendEvent = Callable[[bytes, object, int, int, bool], None]
"""Sends one packet: payload, source, its sequence number and timestamp, and the marker."""


def _discard(payload: bytes, source: object, sequence: int, timestamp: int, begins: bool) -> None:
    """Replaces `SendEvent` once the stream is closed."""


class EventSender:
    """Sends key presses to one peer, one after another, as telephone-events in its RTP stream (§2.5.1).

    No speech is sent meanwhile, as it would break the timestamp that all packets of one key share.
    """

    __slots__ = ("_keys", "_next_at", "_send", "_sent", "_source", "_timer", "busy")

    def __init__(self, send: SendEvent) -> None:
        self._send = send
        self._keys: deque[tuple[int, int, int]] = deque(maxlen=_WAITING)  # event, its steps, ticks in each
        self._source = object()
        self._sent = 0
        self._next_at = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self.busy = False
        """A key is down now."""

    def press(self, key: str, seconds: float, rate: int = RATE) -> None:
        """Queue a key press of so many seconds, or of the default if that is no plausible time. Durations are
        sent by clock `rate`, and capped at what 16 bits can express.
        """
        held, ticks = seconds if 0.04 <= seconds <= LONGEST_S else DEFAULT_PRESS_S, round(_STEP_S * rate)
        steps = min(max(1, round(held / _STEP_S)), _WHOLE_SEGMENT // ticks)
        self._keys.append((KEYS.index(key), steps, ticks))
        if self._timer is None:
            self._next_at = asyncio.get_running_loop().time()
            self._next()

    @property
    def busy_or_queued(self) -> bool:
        """A key is down or queued."""
        return self.busy or bool(self._keys)

    def drop_queued(self) -> None:
        """Drop the queued keys: the leg that pressed them is no longer joined."""
        self._keys.clear()

    def stop(self) -> None:
        """Drop all keys, and let go of the stream, which refers to us."""
        self._keys.clear()
        self._send = _discard
        self.busy = False
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _next(self) -> None:
        self._timer = None
        if self._keys:
            event, steps, ticks = self._keys.popleft()
            self.busy = True
            self._source = object()
            self._sent = 0
            self._step(event, steps, ticks)

    def _step(self, event: int, steps: int, ticks: int) -> None:
        """Send one packet, every 20 ms. The end is sent three times at once (bursts of loss rarely take all
        three), and followed by a pause, so that the peer can tell two keys apart.
        """
        ends = self._sent + 1 >= steps
        so_far = min(steps, self._sent + 1) * ticks
        payload = _EVENT.pack(event, _VOLUME | (_END if ends else 0), so_far)
        for _ in range(_ENDS if ends else 1):
            self._send(payload, self._source, self._sent & 0xFFFF, 0, self._sent == 0)
            self._sent += 1
        self._next_at += _STEP_S
        again = (self._release,) if ends else (self._step, event, steps, ticks)
        self._timer = asyncio.get_running_loop().call_at(self._next_at, *again)

    def _release(self) -> None:
        """Release the key: speech may be sent again."""
        self.busy = False
        self._next_at += _PAUSE_S
        self._timer = asyncio.get_running_loop().call_at(self._next_at, self._next)


class DtmfState:
    """The DTMF state of one stream: keys its peer presses, and keys pressed towards it."""

    __slots__ = ("_matcher", "_reader", "_sender", "pressed")

    def __init__(self, send: SendEvent, clock: Callable[[], float]) -> None:
        self.pressed = KeyQueue()
        self._matcher = PressMatcher(clock)
        self._reader = EventReader(self.pressed.put, clock, self._matcher)
        self._sender = EventSender(send)

    @property
    def sending(self) -> bool:
        """A key press is being sent."""
        return self._sender.busy

    @property
    def busy_or_queued(self) -> bool:
        """A key press is being sent, or is queued."""
        return self._sender.busy_or_queued

    def heard(self, source: object, timestamp: int, payload: bytes, rate: int = RATE) -> bool:
        """Take a telephone-event packet of the peer, by clock `rate`; whether to relay it."""
        return self._reader.heard(source, timestamp, payload, rate)

    def signalled(self, key: str) -> bool:
        """The peer reported a key by signalling. False: it was already received in RTP."""
        is_new = self._matcher.is_new(key, in_rtp=False)
        if is_new:
            self.pressed.put(key)
        return is_new

    def press(self, key: str, seconds: float, rate: int = RATE) -> None:
        """Queue a key press towards the peer, by clock `rate`."""
        self._sender.press(key, seconds, rate)

    def rejoined(self) -> None:
        """Another leg is joined: drop the keys of the previous one, and do not send it the rest of a key."""
        self._sender.drop_queued()
        self._reader.stop_relaying()

    def stop(self) -> None:
        """The stream is closing: cancel the timers."""
        self._reader.stop()
        self._sender.stop()
