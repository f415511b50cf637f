"""What crosses from one leg to another: this list, and nothing else.

Nothing of a carrier's Via, Contact, Record-Route, User-Agent, X- headers or SDP origin reaches another leg.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from proxy.call.routing import Agent, Destination, dialable
from proxy.sip.message import Request
from proxy.sip.uri import Uri
from proxy.sip.values import NameAddr
from proxy.ua.uac import Outgoing

MAX_FORWARDS = 70
ANONYMOUS = {"anonymous", "unavailable", "restricted", "unknown"}


@dataclass(frozen=True, slots=True)
class Identity:
    """Who calls, as far as another leg may know: a number and a name, nothing else of From."""

    number: str | None
    """The user part of From where it is a number; None when withheld."""
    name: str | None
    """Display name, cut and stripped of what does not belong into a header."""
    hops: int = MAX_FORWARDS
    """Max-Forwards of the INVITEs made for this call, lest two of us call each other for ever (RFC 7332)."""

    @classmethod
    def of(cls, invite: Request) -> Identity:
        sender = invite.from_
        user = sender.uri.user
        number = dialable(user)
        name = "".join(c for c in sender.display or "" if c.isprintable() and c not in '"\\')[:64].strip()
        hidden = (user or "anonymous").lower() in ANONYMOUS
        hops = invite.max_forwards
        return cls(
            None if hidden else number,
            None if hidden or not name else name,
            MAX_FORWARDS if hops is None else max(hops - 1, 0),
        )


def towards_agent(caller: Identity, agent: Agent, headers: Mapping[str, str], host: str) -> Outgoing:
    """The INVITE to the agent: the caller's number under our own host, and the screening's headers."""
    user = caller.number or "anonymous"
    identity = str(_name_addr(caller.name, f"sip:{user}@{host}"))
    return Outgoing(
        agent.uri, identity, tuple(headers.items()), profile=agent.profile, max_forwards=caller.hops
    )


def towards_phone(caller: Identity, place: Destination, host: str) -> Outgoing:
    """The INVITE to the phone: the number that the trunk lets us show, the caller's in the display name."""
    trunk = place.trunk
    shown = caller.name or caller.number or "anonymous"
    if trunk is None:
        identity = str(_name_addr(shown, f"sip:{caller.number or 'anonymous'}@{host}"))
        return Outgoing(place.uri, identity, max_forwards=caller.hops)
    from_host = Uri.parse(trunk.outbound).host if trunk.outbound else host
    user = trunk.caller_id or trunk.username or "anonymous"
    identity = str(_name_addr(shown, f"sip:{user}@{from_host}"))
    return Outgoing(
        place.uri,
        identity,
        credentials=trunk.credentials(),
        profile=trunk.profile,
        max_forwards=caller.hops,
    )


def _name_addr(display: str | None, uri: str) -> NameAddr:
    return NameAddr.parse(f'"{display}" <{uri}>' if display else f"<{uri}>")
