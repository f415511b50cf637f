"""Which destination is rung next: in order, without those that are down; redirections change the order."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence

from proxy.call.routing import Destination, Number
from proxy.sip.errors import ParseError, SipError
from proxy.sip.message import Response
from proxy.sip.values import NameAddr, retry_after
from proxy.ua.errors import Rejected

MAX_REDIRECTS = 5
"""How many redirections are followed in one attempt."""
NOT_FOLLOWED = (305, 380)
"""305 names a proxy that is not configured (§21.3.4), 380 alternative services, not addresses (§21.3.5)."""
LATER = (480, 486, 500, 600, 603)
"""Responses whose Retry-After is about the user that was called, not about the server (§20.33)."""
MAX_LATER_S = 3600.0
"""A longer Retry-After is cut to this."""
MAX_REMEMBERED = 10_000
"""Limit to the destinations whose Retry-After is remembered."""

Note = tuple[str, str]
"""A step for the journal, and its reason."""


class Backoff:
    """Remembers destinations that sent a Retry-After (RFC 3261 §20.33); shared by all calls."""

    def __init__(self) -> None:
        self._until: dict[str, float] = {}

    def note(self, destination: Destination, failure: SipError, now: float) -> None:
        """Remember the Retry-After of a refusal, for an hour at most."""
        if not isinstance(failure, Rejected) or failure.status not in LATER:
            return
        if seconds := retry_after(failure.response.headers.get("Retry-After")):
            if len(self._until) >= MAX_REMEMBERED:
                self._until.clear()
            self._until[destination.uri] = now + min(seconds, MAX_LATER_S)

    def defers(self, destination: Destination, now: float) -> bool:
        """Whether the destination has asked not to be called yet."""
        return self._until.get(destination.uri, now) > now


class DestinationQueue:
    """The queue of destinations for one attempt to reach a phone; each is handed out once."""

    def __init__(
        self,
        number: Number,
        destinations: Sequence[Destination],
        *,
        down: Callable[[str], bool],
        backoff: Backoff,
        clock: Callable[[], float],
    ) -> None:
        """`down`: whether a trunk fails its probes; its destinations are skipped if there are others."""
        self._number, self._backoff, self._clock = number, backoff, clock
        self._waiting = list(destinations) if len(destinations) == 1 else self._in_order(destinations, down)
        self._handed_out: list[Destination] = []
        self._redirects, self._redirected_count = 0, 0

    def _in_order(
        self, destinations: Sequence[Destination], down: Callable[[str], bool]
    ) -> list[Destination]:
        once: dict[str, Destination] = {}
        for destination in destinations:
            once.setdefault(destination.uri, destination)  # the same URI may be listed under several names
        named = list(once.values())
        standing = [
            destination
            for destination in named
            if not (destination.trunk and down(f"trunk:{destination.trunk.name}"))
        ]
        now = self._clock()
        return sorted(standing or named, key=lambda destination: self._backoff.defers(destination, now))

    def __iter__(self) -> Iterator[Destination]:
        """Hand out destinations one by one; a redirection may add more meanwhile."""
        while self._waiting:
            self._handed_out.append(self._waiting.pop(0))
            yield self._handed_out[-1]

    def next_group(self) -> list[Destination]:
        """Hand out the next destinations that ring together; empty if none is left."""
        count = len(self._waiting) if self._number.at_once else 1
        return self._hand_out(count)

    def redirected_group(self) -> list[Destination]:
        """Hand out those at once that the last redirection has led to; in turn, only the best of them."""
        count, self._redirected_count = self._redirected_count, 0
        return self._hand_out(count if self._number.at_once else min(count, 1))

    def _hand_out(self, count: int) -> list[Destination]:
        group, self._waiting = self._waiting[:count], self._waiting[count:]
        self._handed_out += group
        return group

    def refused(
        self,
        destination: Destination,
        failure: SipError,
        our_hosts: Callable[[], Collection[str]] = frozenset,
    ) -> Note | None:
        """A destination did not take the call; returns a note for the journal if that changes the queue.

        `our_hosts`: how it may write our address, in lower case.
        """
        self._redirected_count = 0
        self._backoff.note(destination, failure, self._clock())
        if isinstance(failure, Rejected) and 300 <= failure.status < 400:
            return self._redirected(failure.response, our_hosts())
        return None

    def _redirected(self, response: Response, our_hosts: Collection[str]) -> Note:
        """Follow a 3xx (§8.1.3.4), but only to configured destinations: no other is dialled (toll fraud)."""
        if response.status in NOT_FOLLOWED:
            return "redirection not followed", f"{response.status} is never followed"
        if self._redirects >= MAX_REDIRECTS:
            return "redirection not followed", f"{MAX_REDIRECTS} were followed before"
        named = [self._number.destination_for(contact, our_hosts) for contact in contacts(response)]
        known = [destination for destination in dict.fromkeys(named) if destination is not None]
        if not known:
            return "redirection not followed", "it leads to no configured destination"
        untried = [destination for destination in known if destination not in self._handed_out]
        if not untried:
            return "redirection not followed", "it leads back to where the call has been"
        self._redirects, self._redirected_count = self._redirects + 1, len(untried)
        self._waiting = [
            *untried,
            *(destination for destination in self._waiting if destination not in untried),
        ]
        return "redirected", f"by {response.status} to another destination of this number"


def contacts(response: Response) -> list[NameAddr]:
    """The Contacts of a redirection, highest q first (§20.10); malformed ones are left out."""
    found = []
    for value in response.headers.split("Contact"):
        try:
            contact = NameAddr.parse(value)
        except ParseError:
            continue
        found.append((-_q(contact), contact))
    return [contact for _, contact in sorted(found, key=lambda each: each[0])]


def _q(contact: NameAddr) -> float:
    """The q parameter, 0 to 1; 1 if it is absent or not a number."""
    try:
        return min(max(float(contact.params.get("q") or 1.0), 0.0), 1.0)
    except ValueError:
        return 1.0
