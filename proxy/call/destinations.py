"""Which destination is rung next: those that stand, in order, and where a redirection leads among them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from proxy.call.routing import Destination, Number
from proxy.sip.errors import ParseError, SipError
from proxy.sip.message import Response
from proxy.sip.values import NameAddr, retry_after
from proxy.ua.errors import Rejected

MAX_REDIRECTS = 5
"""So many redirections are followed in one attempt."""
NOT_FOLLOWED = (305, 380)
"""A proxy that is not configured (§21.3.4), and services that are no address (§21.3.5)."""
LATER = (480, 486, 500, 600, 603)
"""Refusals whose Retry-After speaks of the one called, not of the server (§20.33)."""
MAX_LATER_S = 3600.0
MAX_REMEMBERED = 10_000

Note = tuple[str, str]
"""A step of the story, and its why."""


class Patience:
    """The destinations that said when to call them again; over all calls (RFC 3261 §20.33)."""

    def __init__(self) -> None:
        self._until: dict[str, float] = {}

    def asked(self, place: Destination, failure: SipError, now: float) -> None:
        """Take note of the Retry-After of a refusal, an hour at most."""
        if not isinstance(failure, Rejected) or failure.status not in LATER:
            return
        if seconds := retry_after(failure.response.headers.get("Retry-After")):
            if len(self._until) >= MAX_REMEMBERED:
                self._until.clear()
            self._until[place.uri] = now + min(seconds, MAX_LATER_S)

    def later(self, place: Destination, now: float) -> bool:
        """True while it wants to be left alone."""
        return self._until.get(place.uri, now) > now


class Places:
    """The destinations of one attempt at the phone, each given out once."""

    def __init__(
        self,
        number: Number,
        wanted: Sequence[Destination],
        *,
        down: Callable[[str], bool],
        patience: Patience,
        clock: Callable[[], float],
    ) -> None:
        """`down` knows the trunks that fail their probes: theirs are passed over while others stand."""
        self._number, self._patience, self._clock = number, patience, clock
        self._waiting = list(wanted) if len(wanted) == 1 else self._in_order(wanted, down)
        self._given: list[Destination] = []
        self._redirects = 0

    def _in_order(self, wanted: Sequence[Destination], down: Callable[[str], bool]) -> list[Destination]:
        once: dict[str, Destination] = {}
        for place in wanted:
            once.setdefault(place.uri, place)  # one phone may have several names
        named = list(once.values())
        standing = [place for place in named if not (place.trunk and down(f"trunk:{place.trunk.name}"))]
        now = self._clock()
        return sorted(standing or named, key=lambda place: self._patience.later(place, now))

    def __iter__(self) -> Iterator[Destination]:
        """The next one, as long as there is one; a redirection may add to them meanwhile."""
        while self._waiting:
            self._given.append(self._waiting.pop(0))
            yield self._given[-1]

    def together(self) -> list[Destination]:
        """The next ones in the same way: those that ring together; none when there are no more."""
        count = len(self._waiting) if self._number.at_once else 1
        group, self._waiting = self._waiting[:count], self._waiting[count:]
        self._given += group
        return group

    def refused(self, place: Destination, failure: SipError) -> Note | None:
        """A destination did not take the call; what that changes, if it is worth telling."""
        self._patience.asked(place, failure, self._clock())
        if isinstance(failure, Rejected) and 300 <= failure.status < 400:
            return self._redirected(failure.response)
        return None

    def _redirected(self, response: Response) -> Note:
        """§8.1.3.4, but within the configured destinations alone: nobody else is dialled (toll fraud)."""
        if response.status in NOT_FOLLOWED:
            return "redirection not followed", f"{response.status} is never followed"
        if self._redirects >= MAX_REDIRECTS:
            return "redirection not followed", f"{MAX_REDIRECTS} were followed before"
        named = [self._number.destination_for(contact) for contact in contacts(response)]
        known = [place for place in dict.fromkeys(named) if place is not None]
        if not known:
            return "redirection not followed", "it leads to no configured destination"
        untried = [place for place in known if place not in self._given]
        if not untried:
            return "redirection not followed", "it leads back to where the call has been"
        self._redirects += 1
        self._waiting = [*untried, *(place for place in self._waiting if place not in untried)]
        return "redirected", f"by {response.status} to another destination of this number"


def contacts(response: Response) -> list[NameAddr]:
    """The Contacts of a redirection by their q (§20.10); those that cannot be read are left out."""
    found = []
    for value in response.headers.split("Contact"):
        try:
            contact = NameAddr.parse(value)
        except ParseError:
            continue
        found.append((-_q(contact), contact))
    return [contact for _, contact in sorted(found, key=lambda each: each[0])]


def _q(contact: NameAddr) -> float:
    """The preference, 0 to 1; 1 where none is given or it is no number."""
    try:
        return min(max(float(contact.params.get("q") or 1.0), 0.0), 1.0)
    except ValueError:
        return 1.0
