"""SessionTimer: detects dead sessions by periodic refreshes (RFC 4028)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

from proxy.sip.errors import ParseError
from proxy.sip.grammar import split_commas
from proxy.sip.message import Request, Response
from proxy.sip.values import SessionExpires

INTERVAL = 1800
"""The session interval we request, in seconds (§4: the recommended one)."""
MIN_SE = 90
"""The smallest session interval allowed, in seconds (§5)."""
MAX_INTERVAL = 7 * 24 * 3600
"""The largest interval that a peer may raise ours to, in seconds: a week."""
MAX_RAISES = 5
"""How often a peer may demand a longer interval: one that always wants more must not loop us forever."""
MIN_RETRY_S = 5.0
"""Minimum delay after a refused refresh before the next one, in seconds."""

_TIMER_HEADERS = frozenset(("session-expires", "min-se", "supported"))
"""Keys of the headers by which a message requests or supports session timers."""

Refresher = Literal["uac", "uas"] | None
HeaderLines = tuple[tuple[str, str], ...]
"""Header names and values, in order."""


@dataclass(frozen=True, slots=True)
class Refresh:
    """Half the interval has passed: send a re-INVITE or UPDATE with `refresh_headers` (§7.4, §10)."""


@dataclass(frozen=True, slots=True)
class Expired:
    """No refresh arrived, or ours was not answered: end the session with BYE (§10)."""


class SessionTimer:
    """The session timer of one dialog, renegotiated by every INVITE and UPDATE.

                   peer supports no timer, or requests none
        (decided) ----------------------------------------> idle: deadline is None
           |  start(now), refreshed(now, ...)
           +--we refresh------> half the interval ---Refresh---> +
           |                       ^      ^ refresh_failed()     |  interval - min(32, interval/3)
           |                       |      +----------------------+
           |                       +-------refreshed()-----------+-------------------> Expired
           +--the peer does---> interval - min(32, interval/3) ----------------------> Expired
                                   ^           |
                                   +-refreshed-+

    As UAS: call `answering(invite)`; if `too_small` respond 422, else 2xx, with `headers` in either; call
    `start(now)` when the 2xx goes out. As UAC: call `offering()`; put `headers` into the INVITE; pass the
    2xx to `refreshed`, a 422 to `raise_interval`. From then on: add `refresh_headers` to every re-INVITE and
    UPDATE of ours; pass its 2xx to `refreshed`, its 422 to `raise_interval`, and call `refresh_failed` if it
    ends otherwise. Pass every re-INVITE and UPDATE of the peer to `refreshed` when it is answered, with
    `headers` as above.

    If the peer does not support timers, a `one_sided` refresh by UPDATE (if allowed) still probes it: any
    response but 408 and 481 shows that it is alive, and the session does not end for lack of a 2xx.
    """

    __slots__ = (
        "_ends_at", "_raises", "_supported", "_wanted", "by_update", "deadline", "headers", "interval",
        "min_se", "one_sided", "refreshing", "too_small",
    )  # fmt: skip

    def __init__(self, min_se: int, supported: bool, wanted: int | None) -> None:
        self.min_se = min_se
        """The smallest interval we accept, in seconds."""
        self.interval: int | None = None
        """The session interval agreed on, in seconds; None while no timer runs."""
        self.refreshing = False
        """Whether we are the refresher."""
        self.too_small = False
        """Whether the last request evaluated wants less than `min_se` and must be rejected with 422."""
        self.headers: HeaderLines = ()
        """Headers for our response to the last request evaluated, or for our first INVITE."""
        self.deadline: float | None = None
        """When `expire` is next due; None while no timer runs."""
        self.by_update = False
        """Whether the peer's latest Allow lists UPDATE; otherwise we refresh by re-INVITE (§7.4)."""
        self.one_sided = False
        """Whether we refresh although the peer does not support timers."""
        self._supported = supported
        self._wanted = wanted
        self._ends_at = 0.0
        self._raises = 0

    @classmethod
    def answering(
        cls, request: Request, *, min_se: int = MIN_SE, supported: bool = True, wanted: int | None = None
    ) -> SessionTimer:
        """Evaluate a received INVITE (§9); raises ParseError. The timer runs from `start` on.

        `supported` False: we do not support timers, and none ever runs. `wanted`: the interval in seconds
        at which we refresh if the peer requests no timer, or supports none; None means no timer then.
        """
        timer = cls(min_se, supported, wanted)
        timer._decide(request)
        return timer

    @classmethod
    def offering(
        cls, interval: int = INTERVAL, *, min_se: int = MIN_SE, refresher: Refresher = None
    ) -> SessionTimer:
        """Request a timer in our INVITE (§7.1). It runs once a 2xx is passed to `refreshed`."""
        timer = cls(min_se, True, interval)
        timer.headers = _request_headers(interval, refresher, min_se)
        return timer

    def raise_interval(self, response: Response) -> None:
        """Raise the interval to the Min-SE of this 422 to our INVITE or refresh (§7.3).

        Raises ParseError if it demands no more than we requested (repeating that would loop forever), more
        than `MAX_INTERVAL`, or comes after `MAX_RAISES` others.
        """
        bound = _read(response.headers.first.get("min-se"))
        if bound is None:
            raise ParseError("422 has no Min-SE")
        least = bound.seconds
        if (
            least <= (self.interval or self._wanted or 0)
            or least > MAX_INTERVAL
            or self._raises >= MAX_RAISES
        ):
            raise ParseError(f"unacceptable Min-SE in 422: {least} s")
        self._raises += 1
        self.min_se = least
        if self.interval is None:
            self._wanted = least
            self.headers = _request_headers(least, None, least)
        else:
            self.interval = least

    @staticmethod
    def ruled_out_by(message: Request | Response) -> bool:
        """Whether an initial INVITE, or the 2xx to ours, rules out any timer.

        It has no timer headers, and its sender cannot be probed by UPDATE either.
        """
        headers = message.headers
        if not headers.first.keys().isdisjoint(_TIMER_HEADERS):
            return False
        return "allow" not in headers.first or not _allows_update(", ".join(headers.get_all("Allow")))

    @property
    def refresh_headers(self) -> HeaderLines:
        """Headers for each re-INVITE and UPDATE of ours; without them it would stop the timer (§7.4)."""
        if self.interval is None:
            return ()
        return _request_headers(self.interval, "uac" if self.refreshing else "uas", self.min_se)

    def start(self, now: float) -> None:
        """The 2xx to the evaluated request goes out: the interval begins (§10)."""
        self.deadline = None
        if self.interval is not None:
            self._ends_at = now + self.interval - min(32, self.interval / 3)
            self.deadline = now + self.interval / 2 if self.refreshing else self._ends_at

    def refreshed(self, now: float, message: Request | Response) -> None:
        """Process a re-INVITE or UPDATE of the peer as we answer it, or a response to ours.

        Raises ParseError. A request that is `too_small` does not refresh, nor does a response other than 2xx.
        """
        if isinstance(message, Request):
            self._decide(message)
            if not self.too_small:
                self.start(now)
            return
        self._note_allow(message)
        if 200 <= message.status < 300:
            self._agree(message)
            self.start(now)

    def refresh_failed(self, now: float, again_s: float | None = None) -> None:
        """Our refresh was rejected or could not be sent.

        The next is due in `again_s`, by default after a third of the remaining time.
        """
        if self.interval is None or not self.refreshing:
            return
        if self.one_sided:
            return self.start(now)
        left = self._ends_at - now
        wait_s = max(left / 3, MIN_RETRY_S) if again_s is None else again_s
        self.deadline = min(now + wait_s, self._ends_at)

    def update_refused(self) -> None:
        """The peer rejects UPDATE (405, 501): refresh by re-INVITE instead, or not at all if `one_sided`."""
        self.by_update = False
        if self.one_sided:
            self._stop()

    def expire(self, now: float) -> list[Refresh | Expired]:
        """Do what is due at `now` (§10)."""
        if self.deadline is None or now < self.deadline:
            return []
        if self.refreshing and self.deadline < self._ends_at:
            self.deadline = self._ends_at
            return [Refresh()]
        self._stop()
        return [Expired()]

    def _decide(self, request: Request) -> None:
        """Evaluate the timer headers of a request (§9, Table 2)."""
        if not self._supported:
            return
        self._note_allow(request)
        headers = request.headers
        decided = _decided(
            ", ".join(headers.get_all("Supported")),
            headers.first.get("session-expires"),
            headers.first.get("min-se"),
            self.min_se,
            # A request without timer headers does not stop refreshes that we already send.
            self.interval if self.refreshing else self._wanted,
            self.refreshing or self.by_update,
        )
        self.too_small = decided is None
        if decided is None:
            self.headers = (("Min-SE", str(self.min_se)),)
        else:
            self.interval, self.refreshing, self.one_sided, self.headers = decided

    def _note_allow(self, message: Request | Response) -> None:
        """Update `by_update` from Allow; a message without Allow changes nothing (§20.5)."""
        if "allow" in message.headers.first:
            self.by_update = _allows_update(", ".join(message.headers.get_all("Allow")))

    def _stop(self) -> None:
        self.interval, self.refreshing, self.one_sided, self.deadline = None, False, False, None

    def _agree(self, response: Response) -> None:
        """Apply a 2xx to our request (§7.2)."""
        agreed = _read(response.headers.first.get("session-expires"))
        self.one_sided = agreed is None and self._wanted is not None and self.by_update
        if self.one_sided:
            self.interval, self.refreshing = self._wanted, True
        elif agreed is None:  # §7.2: "there is no session expiration"
            self._stop()
        else:  # a peer must not go below Min-SE; if it does, do not let it make us refresh all the time
            self.interval = max(agreed.seconds, self.min_se)
            self.refreshing = agreed.refresher != "uas"


Decision = tuple[int | None, bool, bool, HeaderLines]
"""The interval; whether we refresh; whether we refresh a peer without timer support; headers of our 2xx."""


@lru_cache(maxsize=256)  # a peer requests the same in every call
def _decided(
    supported: str, asks: str | None, least: str | None, min_se: int, wanted: int | None, willing: bool
) -> Decision | None:
    """The outcome of a request with these headers; None if it requests less than `min_se`.

    `wanted`: the interval that we would like. `willing`: we refresh even if the peer neither supports nor
    requests a timer.
    """
    asked, supports = _read(asks), "timer" in map(str.lower, split_commas(supported))
    if asked and supports and asked.seconds < min_se:
        return None
    bound = _read(least)
    if asked and supports:  # §9: if the choice is ours, the peer that requested the timer refreshes
        seconds, refresher = asked.seconds, asked.refresher or "uac"
    elif wanted is None or not (asked or supports or willing):
        return None, False, False, ()
    else:
        limit = min(wanted, asked.seconds) if asked else wanted  # added by a proxy: §9 allows no more
        seconds, refresher = max(limit, min_se, bound.seconds if bound else 0), "uas"
    ours = refresher == "uas"
    return seconds, ours, ours and not supports, _response_headers(seconds, refresher, supports)


@lru_cache(maxsize=64)
def _request_headers(seconds: int, refresher: Refresher, min_se: int) -> HeaderLines:
    """Timer headers of our request."""
    asked = SessionExpires(seconds, refresher)
    return ("Supported", "timer"), ("Session-Expires", str(asked)), ("Min-SE", str(min_se))


def _response_headers(seconds: int, refresher: Refresher, supports: bool) -> HeaderLines:
    """Timer headers of our 2xx; `supports`: the peer supports timers."""
    agreed = ("Session-Expires", str(SessionExpires(seconds, refresher)))
    return (("Require", "timer"), agreed) if supports else (agreed,)  # §9: MUST, or SHOULD when we refresh


@lru_cache(maxsize=256)
def _allows_update(allow: str) -> bool:
    return "UPDATE" in split_commas(allow)


def _read(value: str | None) -> SessionExpires | None:
    return SessionExpires.parse(value) if value else None  # an empty value counts as absent
