"""SessionTimer: a session whose peer falls silent is ended (RFC 4028)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

from proxy.sip.errors import ParseError
from proxy.sip.grammar import split_commas
from proxy.sip.message import Request, Response
from proxy.sip.values import SessionExpires

INTERVAL = 1800
"""The session interval we ask for, in seconds (§4: the recommended one)."""
MIN_SE = 90
"""The smallest session interval anybody may ask for, in seconds (§5)."""
MAX = 7 * 24 * 3600
"""The largest interval a peer may raise ours to, in seconds: a week."""
MAX_RAISES = 5
"""So many times a peer may ask for a longer interval; one that always wants more is not asked for ever."""
SHORTEST_WAIT = 5.0
"""Seconds between one refresh that was refused and the next, at least."""

_OF_TIMERS = frozenset(("session-expires", "min-se", "supported"))
"""Keys of the headers in which a timer is asked for, or known."""

Refresher = Literal["uac", "uas"] | None
Lines = tuple[tuple[str, str], ...]
"""Headers, in their order."""


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
           |                       ^      ^ missed(): again      |  interval - min(32, interval/3)
           |                       |      +----------------------+
           |                       +-------refreshed()-----------+-------------------> Expired
           +--the peer does---> interval - min(32, interval/3) ----------------------> Expired
                                   ^           |
                                   +-refreshed-+

    As UAS: `answering(invite)`; if `too_small` answer 422, else 2xx; either way with `headers`;
    `start(now)` when the 2xx goes out. As UAC: `offering()`; put `headers` into the INVITE; give the 2xx
    to `refreshed`, a 422 to `raised`. Then, for either: every re-INVITE and UPDATE of ours carries
    `refresh_headers`, its 2xx goes to `refreshed`, its 422 to `raised`, any other end of a refresh to
    `missed`; every one of the peer goes to `refreshed` when it is answered, with `headers` as above.

    A peer that knows no timer (`alone`) is still asked, where it takes UPDATE, whether it is there: any
    answer but 408 and 481 is a sign of life, and its session does not end for want of a 2xx.
    """

    __slots__ = (
        "_ends_at", "_raises", "_supported", "_wanted", "alone", "by_update", "deadline", "headers",
        "interval", "min_se", "refreshing", "too_small",
    )  # fmt: skip

    def __init__(self, min_se: int, supported: bool, wanted: int | None) -> None:
        self.min_se = min_se
        """The smallest interval we take, in seconds."""
        self.interval: int | None = None
        """The session interval agreed, in seconds; None while no timer runs."""
        self.refreshing = False
        """Whether the refreshes are ours to send."""
        self.too_small = False
        """Whether the last request decided on asks for less than `min_se`: it is refused with 422."""
        self.headers: Lines = ()
        """What belongs into our answer to the last request decided on, or into our first INVITE."""
        self.deadline: float | None = None
        """When `expire` is next due; None while no timer runs."""
        self.by_update = False
        """Whether the peer's last word on it lists UPDATE in Allow: else a refresh is a re-INVITE (§7.4)."""
        self.alone = False
        """Whether we refresh a peer that knows no timer."""
        self._supported = supported
        self._wanted = wanted
        self._ends_at = 0.0
        self._raises = 0

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
        cls, interval: int = INTERVAL, *, min_se: int = MIN_SE, refresher: Refresher = None
    ) -> SessionTimer:
        """Ask for a timer in an INVITE of ours (§7.1). It runs once a 2xx agreed to it (`refreshed`)."""
        timer = cls(min_se, True, interval)
        timer.headers = _asking(interval, refresher, min_se)
        return timer

    def raised(self, response: Response) -> None:
        """Ask for more from now on, as this 422 to our INVITE or refresh wants it (§7.3).

        Raises ParseError for one that wants no more than we asked for: repeating it would go on for ever.
        """
        bound = _read(response.headers.first.get("min-se"))
        if bound is None:
            raise ParseError("422 has no Min-SE")
        least = bound.seconds
        if least <= (self.interval or self._wanted or 0) or least > MAX or self._raises >= MAX_RAISES:
            raise ParseError(f"422 wants {least} s")
        self._raises += 1
        self.min_se = least
        if self.interval is None:
            self._wanted = least
            self.headers = _asking(least, None, least)
        else:
            self.interval = least

    @staticmethod
    def ignored_by(message: Request | Response) -> bool:
        """Whether the INVITE that begins a session, or the 2xx to ours, leaves it without a timer: it says
        nothing of one, and its sender is not to be asked by UPDATE either.
        """
        headers = message.headers
        if not headers.first.keys().isdisjoint(_OF_TIMERS):
            return False
        return "allow" not in headers.first or not _takes_update(", ".join(headers.get_all("Allow")))

    @property
    def refresh_headers(self) -> Lines:
        """What belongs into every re-INVITE and UPDATE of ours, lest it switch the timer off (§7.4)."""
        if self.interval is None:
            return ()
        return _asking(self.interval, "uac" if self.refreshing else "uas", self.min_se)

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
            return
        self._listen(message)
        if 200 <= message.status < 300:
            self._agree(message)
            self.start(now)

    def missed(self, now: float, again_s: float | None = None) -> None:
        """Our refresh was refused, or could not be sent; the next is due in `again_s`, or when a third of the
        time that is left has passed.
        """
        if self.interval is None or not self.refreshing:
            return
        if self.alone:
            return self.start(now)
        left = self._ends_at - now
        wait_s = max(left / 3, SHORTEST_WAIT) if again_s is None else again_s
        self.deadline = min(now + wait_s, self._ends_at)

    def update_refused(self) -> None:
        """The peer takes no UPDATE after all (405, 501): by re-INVITE then, and not at all where `alone`."""
        self.by_update = False
        if self.alone:
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
        """Answer what a request asks for (§9 and its Table 2)."""
        if not self._supported:
            return
        self._listen(request)
        headers = request.headers
        decided = _decided(
            ", ".join(headers.get_all("Supported")),
            headers.first.get("session-expires"),
            headers.first.get("min-se"),
            self.min_se,
            # A peer that asks for nothing does not stop refreshes that are ours already.
            self.interval if self.refreshing else self._wanted,
            self.refreshing or self.by_update,
        )
        self.too_small = decided is None
        if decided is None:
            self.headers = (("Min-SE", str(self.min_se)),)
        else:
            self.interval, self.refreshing, self.alone, self.headers = decided

    def _listen(self, message: Request | Response) -> None:
        """Take note of what the peer allows; a message without Allow says nothing of it (§20.5)."""
        if "allow" in message.headers.first:
            self.by_update = _takes_update(", ".join(message.headers.get_all("Allow")))

    def _stop(self) -> None:
        self.interval, self.refreshing, self.alone, self.deadline = None, False, False, None

    def _agree(self, response: Response) -> None:
        """Take what a 2xx to our request says (§7.2)."""
        agreed = _read(response.headers.first.get("session-expires"))
        self.alone = agreed is None and self._wanted is not None and self.by_update
        if self.alone:
            self.interval, self.refreshing = self._wanted, True
        elif agreed is None:  # §7.2: "there is no session expiration"
            self._stop()
        else:  # below Min-SE is forbidden to the peer; it must not make us refresh without end
            self.interval = max(agreed.seconds, self.min_se)
            self.refreshing = agreed.refresher != "uas"


Decision = tuple[int | None, bool, bool, Lines]
"""The interval, whether we refresh and whether a peer that knows no timer; what our 2xx says."""


@lru_cache(maxsize=256)  # what a peer asks for is the same in every call
def _decided(
    supported: str, asks: str | None, least: str | None, min_se: int, wanted: int | None, willing: bool
) -> Decision | None:
    """What holds after a request with these headers, where we would have a timer of `wanted`; None if it
    asks for less than `min_se`. `willing`: also with a peer that knows none and asks for none.
    """
    asked, knows = _read(asks), "timer" in map(str.lower, split_commas(supported))
    if asked and knows and asked.seconds < min_se:
        return None
    bound = _read(least)
    if asked and knows:  # §9: left the choice, whoever asks for the timer does the work
        seconds, refresher = asked.seconds, asked.refresher or "uac"
    elif wanted is None or not (asked or knows or willing):
        return None, False, False, ()
    else:
        most = min(wanted, asked.seconds) if asked else wanted  # put in by a proxy: §9 allows no more
        seconds, refresher = max(most, min_se, bound.seconds if bound else 0), "uas"
    ours = refresher == "uas"
    return seconds, ours, ours and not knows, _granting(seconds, refresher, knows)


@lru_cache(maxsize=64)
def _asking(seconds: int, refresher: Refresher, min_se: int) -> Lines:
    """What a request of ours says."""
    asked = SessionExpires(seconds, refresher)
    return ("Supported", "timer"), ("Session-Expires", str(asked)), ("Min-SE", str(min_se))


def _granting(seconds: int, refresher: Refresher, knows: bool) -> Lines:
    """What our 2xx says, to one that knows of timers or knows none."""
    agreed = ("Session-Expires", str(SessionExpires(seconds, refresher)))
    return (("Require", "timer"), agreed) if knows else (agreed,)  # §9: MUST, or SHOULD when we refresh


@lru_cache(maxsize=256)
def _takes_update(allow: str) -> bool:
    return "UPDATE" in split_commas(allow)


def _read(value: str | None) -> SessionExpires | None:
    return SessionExpires.parse(value) if value else None  # an empty one asks for nothing
