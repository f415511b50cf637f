"""SessionTimer: a session whose peer falls silent is ended (RFC 4028)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from proxy.sip.errors import ParseError
from proxy.sip.headers import Headers
from proxy.sip.message import Request, Response
from proxy.sip.values import SessionExpires

MIN_SE = 90
"""The smallest session interval anybody may ask for, in seconds (§5)."""


@dataclass(frozen=True, slots=True)
class Refresh:
    """Half the interval has passed: send a re-INVITE or UPDATE with `refresh_headers` (§7.4, §10)."""


@dataclass(frozen=True, slots=True)
class Expired:
    """No refresh came, or ours was not answered: end the session with BYE (§10)."""


class SessionTimer:
    """The session timer of one dialog, negotiated anew by every INVITE and UPDATE.

                   peer knows no timer, or asks for none
        (decided) ----------------------------------------> idle: deadline is None
           |  start(now), refreshed(now, ...)
           +--we refresh------> half the interval ---Refresh---> +
           |                       ^                             |  interval - min(32, interval/3)
           |                       +-------refreshed()-----------+-------------------> Expired
           +--the peer does---> interval - min(32, interval/3) ----------------------> Expired
                                   ^           |
                                   +-refreshed-+

    As UAS: `answering(invite)`; if `too_small` answer 422, else 2xx; either way with `headers`;
    `start(now)` when the 2xx goes out. As UAC: `offering()`; put `headers` into the INVITE; give the 2xx
    to `refreshed`, a 422 to `raised`. Then, for either: every re-INVITE and UPDATE of ours carries
    `refresh_headers` and its 2xx goes to `refreshed`; every one of the peer goes to `refreshed` when it
    is answered, with `headers` as above.
    """

    def __init__(self, min_se: int, supported: bool, wanted: int | None) -> None:
        self.min_se = min_se
        """The smallest interval we take, in seconds."""
        self.interval: int | None = None
        """The session interval agreed, in seconds; None while no timer runs."""
        self.refreshing = False
        """Whether the refreshes are ours to send."""
        self.too_small = False
        """Whether the last request decided on asks for less than `min_se`: it is refused with 422."""
        self.headers = Headers()
        """What belongs into our answer to the last request decided on, or into our first INVITE."""
        self.deadline: float | None = None
        """When `expire` is next due; None while no timer runs."""
        self._supported = supported
        self._wanted = wanted
        self._ends_at = 0.0

    @classmethod
    def answering(
        cls, request: Request, *, min_se: int = MIN_SE, supported: bool = True, wanted: int | None = None
    ) -> SessionTimer:
        """Decide on an INVITE received (§9); raises ParseError. The clock begins with `start`.

        `supported` False: we know no timers, and nothing ever runs. `wanted`: seconds at which we
        refresh ourselves if the peer asks for no timer, or knows none; None leaves it without.
        """
        timer = cls(min_se, supported, wanted)
        timer._decide(request)
        return timer

    @classmethod
    def offering(
        cls, interval: int = 1800, *, min_se: int = MIN_SE, refresher: Literal["uac", "uas"] | None = None
    ) -> SessionTimer:
        """Ask for a timer in an INVITE of ours (§7.1). It runs once a 2xx agreed to it (`refreshed`)."""
        timer = cls(min_se, True, interval)
        timer.headers = _request_headers(SessionExpires(interval, refresher), min_se)
        return timer

    def raised(self, response: Response) -> SessionTimer:
        """The offer to repeat the INVITE with after this 422 (§7.3); raises ParseError."""
        least = _seconds(response, "Min-SE")
        if least is None:
            raise ParseError("422 has no Min-SE")
        return SessionTimer.offering(max(least, self._wanted or 0), min_se=max(least, self.min_se))

    @property
    def refresh_headers(self) -> Headers:
        """What belongs into every re-INVITE and UPDATE of ours, lest it switch the timer off (§7.4)."""
        if self.interval is None:
            return Headers()
        refresher: Literal["uac", "uas"] = "uac" if self.refreshing else "uas"
        return _request_headers(SessionExpires(self.interval, refresher), self.min_se)

    def start(self, now: float) -> None:
        """The 2xx to the request decided on goes out: the interval begins (§10)."""
        self.deadline = None
        if self.interval is not None:
            self._ends_at = now + self.interval - min(32, self.interval / 3)
            self.deadline = now + self.interval / 2 if self.refreshing else self._ends_at

    def refreshed(self, now: float, message: Request | Response) -> None:
        """The peer's re-INVITE or UPDATE is answered, or ours was; raises ParseError.

        A request that is `too_small`, and a response other than 2xx, refresh nothing.
        """
        if isinstance(message, Request):
            self._decide(message)
            if not self.too_small:
                self.start(now)
        elif 200 <= message.status < 300:
            self._agree(message)
            self.start(now)

    def expire(self, now: float) -> list[Refresh | Expired]:
        """Do what is due at `now` (§10)."""
        if self.deadline is None or now < self.deadline:
            return []
        if self.refreshing and self.deadline < self._ends_at:
            self.deadline = self._ends_at
            return [Refresh()]
        self.deadline = None
        return [Expired()]

    def _decide(self, request: Request) -> None:
        """Answer what a request asks for (§9 and its Table 2)."""
        if not self._supported:
            return
        asked = _session_expires(request)
        knows = any(option.lower() == "timer" for option in request.headers.split("Supported"))
        self.too_small = knows and asked is not None and asked.seconds < self.min_se
        if self.too_small:
            self.headers = Headers([("Min-SE", str(self.min_se))])
            return
        agreed = self._terms(asked, knows, _seconds(request, "Min-SE") or 0)
        self.interval = agreed.seconds if agreed else None
        self.refreshing = agreed is not None and agreed.refresher == "uas"
        self.headers = Headers()
        if agreed:
            if knows:  # §9: MUST when the peer refreshes, SHOULD when we do
                self.headers.add("Require", "timer")
            self.headers.add("Session-Expires", str(agreed))

    def _terms(self, asked: SessionExpires | None, knows: bool, peer_min_se: int) -> SessionExpires | None:
        if asked and knows:  # §9: left the choice, whoever asks for the timer does the work
            return SessionExpires(asked.seconds, asked.refresher or "uac")
        # A peer that asks for nothing does not stop refreshes that are ours already.
        wanted = self.interval if self.refreshing else self._wanted
        if wanted is None:
            return None
        if asked:  # put in by a proxy: §9 allows no more than it says
            wanted = min(wanted, asked.seconds)
        return SessionExpires(max(wanted, self.min_se, peer_min_se), "uas")

    def _agree(self, response: Response) -> None:
        """Take what a 2xx to our request says (§7.2)."""
        agreed = _session_expires(response)
        if agreed is None:  # §7.2: "there is no session expiration"
            self.interval, self.refreshing = None, False
        else:  # below Min-SE is forbidden to the peer; it must not make us refresh without end
            self.interval = max(agreed.seconds, self.min_se)
            self.refreshing = agreed.refresher != "uas"


def _request_headers(asked: SessionExpires, min_se: int) -> Headers:
    return Headers([("Supported", "timer"), ("Session-Expires", str(asked)), ("Min-SE", str(min_se))])


def _session_expires(message: Request | Response) -> SessionExpires | None:
    value = message.headers.get("Session-Expires")
    return None if value is None else SessionExpires.parse(value)


def _seconds(message: Request | Response, name: str) -> int | None:
    value = message.headers.get(name)
    return None if value is None else SessionExpires.parse(value).seconds
