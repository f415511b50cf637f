"""Key presses in RTP: telephone-events read, told once each, and made (RFC 4733)."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from struct import Struct

from proxy.media.rtp import signed32

KEYS = "0123456789*#ABCD"
"""What the events 0 to 15 stand for (§3.2)."""
RATE = 8000
"""Clock of the durations in Hz, where nothing else is agreed: `telephone-event/8000`."""
USUAL_S = 0.1
"""How long a key of ours is held; §2.5.1.1 asks for 50 ms at least where nobody says."""
LONGEST_S = 3.0

_EVENT = Struct("!BBH")  # event, E|R|volume, duration (§2.3)
_END = 0x80
_VOLUME = 10
_STEP_S = 0.02
_ENDS = 3  # the last packet is sent three times (§2.5.1.4)
_PAUSE_S = 0.1
_LAPSE_S = 0.2
"""A key of which nothing is heard for so long is up: every packet that had its end is lost (§2.5.2.2)."""
_TWICE_S = 2.0
"""A key that was told one way so lately is the one that is told the other way now."""
_WHOLE_SEGMENT = 0xFFFF
_BELATED_S = 60
"""A timestamp further back than this is no late packet, but a sender that started anew."""
_KEPT = 32
_WAITING = 32


def retold(payload: bytes, rate: int, other: int) -> bytes:
    """The same event as a peer is told it whose events have another clock; one that is held for longer than
    16 bits of that can say is told as long as they can.
    """
    if len(payload) < _EVENT.size:
        return payload
    event, flags, duration = _EVENT.unpack_from(payload)
    return _EVENT.pack(event, flags, min(_WHOLE_SEGMENT, duration * other // rate)) + payload[_EVENT.size :]


class Presses:
    """The keys that one peer has pressed and nobody has asked for yet."""

    __slots__ = ("_kept", "_waiting", "count")

    def __init__(self) -> None:
        self._kept: deque[str] = deque(maxlen=_KEPT)
        self._waiting: asyncio.Future[None] | None = None
        self.count = 0
        """All there were."""

    def put(self, key: str, seconds: float = USUAL_S) -> None:
        """One more, held for so long; beyond 32 that nobody asks for, the oldest is forgotten."""
        self.count += 1
        self._kept.append(key)
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_result(None)

    async def next(self) -> str:
        """The oldest that is left, once there is one; whoever stops waiting takes none."""
        while not self._kept:
            if self._waiting is None or self._waiting.done():
                self._waiting = asyncio.get_running_loop().create_future()
            await asyncio.shield(self._waiting)
        return self._kept.popleft()


class Twins:
    """Finds the keys that a peer tells in RTP and by signalling, as some gear does: such two are one press.

    Either may come first. What has found its twin is none of the next, so a key pressed again at once counts.
    """

    __slots__ = ("_alone", "_clock")

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._alone: dict[tuple[str, bool], tuple[int, float]] = {}
        """By key, and whether RTP has told it: how often that was without the other way, and when last."""

    def news(self, key: str, *, in_rtp: bool) -> bool:
        """A key is told this way; whether it was not told the other way before."""
        others, at = self._lately(key, not in_rtp)
        if others:
            self._alone[key, not in_rtp] = others - 1, at
        else:
            self._alone[key, in_rtp] = self._lately(key, in_rtp)[0] + 1, self._clock()
        return not others

    def held(self, key: str) -> None:
        """RTP tells that it is still down: signalling may tell it when it is up."""
        alone, _ = self._lately(key, True)
        if alone:
            self._alone[key, True] = alone, self._clock()

    def _lately(self, key: str, in_rtp: bool) -> tuple[int, float]:
        alone, at = self._alone.get((key, in_rtp), (0, 0.0))
        return (alone, at) if self._clock() - at < _TWICE_S else (0, 0.0)


class EventReader:
    """Reads one peer's telephone-events, each of which comes in many packets (§2.5.2).

    A key is told when it is up: by the first packet with the end bit, or where all of those are lost, by the
    next key or by time.
    """

    __slots__ = (
        "_before",
        "_clock",
        "_down",
        "_duration",
        "_goes_on",
        "_heard_at",
        "_news",
        "_over",
        "_press",
        "_rate",
        "_source",
        "_start",
        "_timer",
        "_twins",
    )

    def __init__(self, press: Callable[[str, float], None], clock: Callable[[], float], twins: Twins) -> None:
        """`press` is called with the key and the seconds for which it was held, if it is news to `twins`."""
        self._press, self._clock, self._twins = press, clock, twins
        self._news = True  # signalling has not told it before
        self._goes_on = True  # nor was anybody else joined since it began
        self._source: object = None
        self._start = 0  # timestamp of the latest event, or of its latest segment
        self._before = 0  # ticks in the segments before
        self._over = True
        self._down = 0
        self._duration = 0
        self._rate = RATE
        self._heard_at = 0.0
        self._timer: asyncio.TimerHandle | None = None

    def heard(self, source: object, timestamp: int, payload: bytes, rate: int = RATE) -> bool:
        """Take one packet, of that clock; what is no event of §2.3, or no key, is nothing.

        False: who is joined is not to hear it, as a key that is known from signalling already.
        """
        if len(payload) < _EVENT.size:
            return True
        self._rate = rate
        event, flags, duration = _EVENT.unpack_from(payload)
        behind = signed32(timestamp - self._start) if source is self._source else 1
        if -_BELATED_S * rate < behind < 0 or (behind == 0 and self._over):
            return self._goes_on  # of an event before, or the end once more
        if behind == _WHOLE_SEGMENT and event == self._down and not self._over and source is self._source:
            self._before += _WHOLE_SEGMENT  # held for longer than a duration can say (§2.5.1.3)
        elif behind:
            self._up()
            self._source, self._over, self._down = source, False, event
            self._before = self._duration = 0
            self._news = self._goes_on = event >= len(KEYS) or self._twins.news(KEYS[event], in_rtp=True)
        self._start = timestamp
        self._duration = max(self._duration, self._before + duration)
        self._heard_at = self._clock()
        if event < len(KEYS):
            self._twins.held(KEYS[event])
        if flags & _END:
            self._up()
        elif self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(_LAPSE_S, self._lapsed)
        return self._goes_on

    def cut(self) -> None:
        """Somebody else is joined: what is left of the latest event was not meant for him."""
        self._goes_on = False

    def stop(self) -> None:
        """The stream is going: no timer stays."""
        self._over = True
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _up(self) -> None:
        if self._over:
            return
        self.stop()
        if self._news and self._down < len(KEYS):
            self._press(KEYS[self._down], self._duration / self._rate)

    def _lapsed(self) -> None:
        self._timer = None
        left = self._heard_at + _LAPSE_S - self._clock()
        if left <= 0.001:
            self._up()
        else:
            self._timer = asyncio.get_running_loop().call_later(left, self._lapsed)


Say = Callable[[bytes, object, int, int, bool], None]
"""Payload, source, its sequence number and timestamp, and the marker."""


def _nothing(payload: bytes, source: object, sequence: int, timestamp: int, begins: bool) -> None:
    """To a stream that is gone."""


class Keypad:
    """Presses keys towards one peer, one after another, as events on its line (§2.5.1).

    Speech would break the timestamp that the packets of one key share, so it is left out meanwhile.
    """

    __slots__ = ("_due", "_keys", "_said", "_say", "_source", "_timer", "busy")

    def __init__(self, say: Say) -> None:
        self._say = say
        self._keys: deque[tuple[int, int, int]] = deque(maxlen=_WAITING)  # event, its steps, ticks in each
        self._source = object()
        self._said = 0
        self._due = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self.busy = False
        """A key is down now."""

    def press(self, key: str, seconds: float, rate: int = RATE) -> None:
        """Press it for so long, or for what is usual where that is no time a finger takes; durations are told
        by that clock, and no key is held for longer than 16 bits of it can say.
        """
        held, ticks = seconds if 0.04 <= seconds <= LONGEST_S else USUAL_S, round(_STEP_S * rate)
        steps = min(max(1, round(held / _STEP_S)), _WHOLE_SEGMENT // ticks)
        self._keys.append((KEYS.index(key), steps, ticks))
        if self._timer is None:
            self._due = asyncio.get_running_loop().time()
            self._next()

    @property
    def at_work(self) -> bool:
        """A key is down, or waits until the one before has been up for long enough."""
        return self.busy or bool(self._keys)

    def forget(self) -> None:
        """Those that wait are not pressed: who pressed them is joined no more."""
        self._keys.clear()

    def stop(self) -> None:
        """Nothing more is pressed, and nothing asked of the stream, which knows us."""
        self._keys.clear()
        self._say = _nothing
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
            self._said = 0
            self._step(event, steps, ticks)

    def _step(self, event: int, steps: int, ticks: int) -> None:
        """One packet each 20 ms; the one with the end is sent three times at once, as a burst of loss is rare
        that takes all three, and a pause lets the peer tell two keys apart.
        """
        ends = self._said + 1 >= steps
        so_far = min(steps, self._said + 1) * ticks
        payload = _EVENT.pack(event, _VOLUME | (_END if ends else 0), so_far)
        for _ in range(_ENDS if ends else 1):
            self._say(payload, self._source, self._said & 0xFFFF, 0, self._said == 0)
            self._said += 1
        self._due += _STEP_S
        again = (self._lift,) if ends else (self._step, event, steps, ticks)
        self._timer = asyncio.get_running_loop().call_at(self._due, *again)

    def _lift(self) -> None:
        """The key is up, and speech goes on."""
        self.busy = False
        self._due += _PAUSE_S
        self._timer = asyncio.get_running_loop().call_at(self._due, self._next)


class Keys:
    """All about the keys of one stream: those its peer presses, and those pressed towards it."""

    __slots__ = ("_pad", "_reader", "_twins", "presses")

    def __init__(self, say: Say, clock: Callable[[], float]) -> None:
        self.presses = Presses()
        self._twins = Twins(clock)
        self._reader = EventReader(self.presses.put, clock, self._twins)
        self._pad = Keypad(say)

    @property
    def down(self) -> bool:
        """One of ours is down now."""
        return self._pad.busy

    @property
    def at_work(self) -> bool:
        """One of ours is down, or will be in a moment."""
        return self._pad.at_work

    def heard(self, source: object, timestamp: int, payload: bytes, rate: int = RATE) -> bool:
        """A packet of the peer's events, of that clock; whether it is for who is joined."""
        return self._reader.heard(source, timestamp, payload, rate)

    def told(self, key: str) -> bool:
        """The peer has told a key by signalling; whether it is news."""
        news = self._twins.news(key, in_rtp=False)
        if news:
            self.presses.put(key)
        return news

    def press(self, key: str, seconds: float, rate: int = RATE) -> None:
        """One of ours, after those that are pressed already, told by that clock."""
        self._pad.press(key, seconds, rate)

    def joined_anew(self) -> None:
        """What the one joined before has pressed is pressed no more, nor is he told the rest of a key."""
        self._pad.forget()
        self._reader.cut()

    def stop(self) -> None:
        """The stream is going: no timer stays."""
        self._reader.stop()
        self._pad.stop()
