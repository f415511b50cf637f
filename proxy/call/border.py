"""Header normalisation between legs: only what this file names crosses from one leg to another.

Nothing of a carrier's Via, Contact, Record-Route, User-Agent, X- headers or SDP origin reaches another leg.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import assert_never

from proxy.call.attestation import NO_ATTESTATION, NO_TRUST, Attestation, PeerTrust
from proxy.call.identity_profile import IdentityProfile
from proxy.call.routing import Agent, Destination, Trunk, dialable, e164
from proxy.sip.identity import Diversion, HistoryEntry, Privacy, asserted, has_only_from, remote_party
from proxy.sip.message import Request
from proxy.sip.uri import Uri
from proxy.sip.value_cache import MAX_CACHED_CHARS
from proxy.sip.values import NameAddr
from proxy.ua.outgoing_invite import Outgoing

MAX_FORWARDS = 70
_KEYPAD = str.maketrans("abcdefghijklmnopqrstuvwxyz", "22233344455566677778889999")


def _with_keypad_spelling(*words: str) -> set[str]:
    """The words, and each spelled in keypad digits, as carriers pass it on whose fields hold only digits."""
    return {*words, *(f"+{word.translate(_KEYPAD)}" for word in words)}


ANONYMOUS = _with_keypad_spelling("anonymous", "restricted", "blocked")
"""User parts of a From whose caller withholds the number (RFC 3323 §4.1.1.3)."""
NAMELESS = ANONYMOUS | _with_keypad_spelling("unavailable", "unknown")
"""User parts of a From that hold no number: withheld, or not known to the network."""
ANONYMOUS_URI = "sip:anonymous@anonymous.invalid"
ANONYMOUS_FROM = f'"Anonymous" <{ANONYMOUS_URI}>'
"""The anonymous From (RFC 3323 §4.1.1.3)."""

Lines = tuple[tuple[str, str], ...]
WITHHELD: Lines = (("Privacy", "id"),)


@dataclass(slots=True, unsafe_hash=True)  # not frozen, for speed, as `Caller`
class Identity:
    """Who calls, as far as other legs may know: a number and a name, nothing else of the caller's headers.

    A withheld number is dropped here: no leg, no screening and no record ever has it.
    """

    number: str | None
    """The caller's number, digits with or without ``+``; None if withheld or absent."""
    name: str | None
    """Display name, cut, and stripped of characters that do not belong in a header; None if withheld."""
    hops: int = MAX_FORWARDS
    """Max-Forwards of the INVITEs made for this call, which ends loops between two edges (RFC 7332)."""
    withheld: bool = False
    """Whether the caller wishes to stay anonymous."""
    vouched: bool = False
    """Whether a trusted carrier asserts the number (RFC 3325), rather than the caller's own From."""
    diverted_from: str | None = None
    """The number that forwarded the call to the one that was dialled; None if none did."""
    uri: str = field(default=ANONYMOUS_URI, compare=False)
    """The URI of the caller's From, for the record."""
    attested: Attestation = NO_ATTESTATION
    """What else the caller's trunk says; for the screening only."""

    @classmethod
    def of(cls, invite: Request, *, trusted: bool = False, trust: PeerTrust = NO_TRUST) -> Identity:
        """The caller of an INVITE; `trusted`: whether its sender belongs to our trust domain (RFC 3325 §2.3).

        `trust`: what else the sender is trusted with. From anybody else, only From is taken, and a wish for
        privacy, which can only hide.
        """
        sender, plain = invite.sender, has_only_from(invite.headers)
        trusted = trusted and not plain  # a plain INVITE has no header whose sender must be trusted
        left = invite.max_forwards
        hops = MAX_FORWARDS if left is None else max(left - 1, 0)
        diverted_from = _diverted_from(invite) if trusted else None
        if _is_anonymous(sender) if plain else _withheld(invite, sender, trusted):
            attested = Attestation.of(invite, trust, None, withheld=True)
            return cls(None, None, hops, withheld=True, diverted_from=diverted_from, attested=attested)
        number, name = None, ""
        for each in _asserted_parties(invite) if trusted else ():
            number, name = number or _number(each) or None, name or _name(each)
        known, name = number or _number(sender), name or _name(sender)
        attested = Attestation.of(invite, trust, known, withheld=False)
        withheld, vouched = False, number is not None
        return cls(known, name or None, hops, withheld, vouched, diverted_from, sender.raw_uri, attested)


def _asserted_parties(invite: Request) -> tuple[NameAddr, ...]:
    """The caller as the carrier asserts: P-Asserted-Identity, else a screened Remote-Party-ID."""
    if found := asserted(invite.headers):
        return found
    remote = remote_party(invite.headers)
    return (remote.party,) if remote is not None and remote.screened else ()


def _withheld(invite: Request, sender: NameAddr, trusted: bool) -> bool:
    privacy = Privacy.of(invite.headers)
    remote = remote_party(invite.headers) if trusted else None
    if privacy.withholds or (remote is not None and remote.private):
        return True
    # A From without a user is anonymous too, unless the caller is asserted with `Privacy: none`.
    return _is_anonymous(sender) and not (trusted and privacy.declined)


def _is_anonymous(sender: NameAddr) -> bool:
    """Whether From itself is anonymous."""
    return (sender.uri.user or "anonymous").lower() in ANONYMOUS


def _number(party: NameAddr) -> str | None:
    number = dialable(party.uri.user)
    return number if number not in NAMELESS else None


def _name(party: NameAddr) -> str:
    shown = party.display
    if not shown or (party.uri.user or "").lower() in NAMELESS:
        return ""
    if not shown.isprintable() or '"' in shown or "\\" in shown:
        shown = _printable(shown)
    return shown[:64].strip()


def _printable(shown: str) -> str:
    """Without the characters that do not belong in a display name."""
    return "".join(c for c in shown if c.isprintable() and c not in '"\\')


def _diverted_from(invite: Request) -> str | None:
    """The number that forwarded the call last, unless it asks for privacy.

    The last entry of History-Info is no diversion: it is the final target, which is ours.
    """
    diversions = Diversion.all(invite.headers) or HistoryEntry.all(invite.headers)[-2::-1]
    for each in diversions:
        if number := dialable(each.party.uri.user):
            return None if each.private else number
    return None


def towards_agent(caller: Identity, agent: Agent, headers: Mapping[str, str], host: str) -> Outgoing:
    """The INVITE to the agent: the caller's number at our own host, and the screening's headers."""
    user = caller.number or "anonymous"
    identity = _name_addr(caller.name, user, host)
    return Outgoing(
        agent.uri, identity, tuple(headers.items()), profile=agent.profile, max_forwards=caller.hops
    )


def towards_phone(
    caller: Identity,
    destination: Destination,
    host: str,
    *,
    dialed: str = "*",
    profile: IdentityProfile | None = None,
) -> Outgoing:
    """The INVITE to a phone, with the identity headers of the profile: its own, unless another is given.

    `dialed`: the number that was called, by which a carrier can tell that the call is forwarded.
    """
    trunk = destination.trunk
    if trunk is None:
        identity, headers = _internal(caller, host)
        return Outgoing(destination.uri, identity, headers, max_forwards=caller.hops)
    sender = _Sender.of(trunk, host, dialed)
    identity, headers = _through_trunk(profile or destination.identity_profile, caller, sender, host)
    return Outgoing(destination.uri, identity, headers, trunk.credentials(), trunk.profile, caller.hops)


@dataclass(frozen=True, slots=True)
class _Sender:
    """How we appear to a trunk."""

    host: str
    """The trunk's host."""
    shown: str
    """The user part of our From: our number, or the account if no number is configured."""
    account: str
    """The user part of our From for profiles that put the account there."""
    number: str | None
    """Our number at this trunk; None if none is configured."""
    diverting: str | None
    """Our number that forwards the call: the one that was called, if it is a number."""

    @classmethod
    def of(cls, trunk: Trunk, host: str, dialed: str) -> _Sender:
        return cls(
            Uri.parse(trunk.outbound).host if trunk.outbound else host,
            trunk.caller_id or trunk.username or "anonymous",
            trunk.username or trunk.caller_id or "anonymous",
            trunk.caller_id,
            e164(dialed) or trunk.caller_id or dialable(dialed),
        )


def _through_trunk(profile: IdentityProfile, caller: Identity, ours: _Sender, host: str) -> tuple[str, Lines]:
    """From, and the other headers that say who calls. `host`: our own host name."""
    match profile:
        case IdentityProfile.TRUNK_DID:
            return _name_addr(_display_name(caller), ours.shown, ours.host), ()
        case IdentityProfile.PPI_ACCOUNT:
            preferred = _assertion("P-Preferred-Identity", None, ours.number, ours.host)
            return _name_addr(_display_name(caller), ours.account, ours.host), preferred
        case IdentityProfile.INTERNAL:
            return _internal(caller, host)
        case IdentityProfile.PAI_ORIGINAL | IdentityProfile.ORIGINAL_WITH_DIVERSION:
            return _original(profile, caller, ours)
        case _:
            assert_never(profile)


def _original(profile: IdentityProfile, caller: Identity, ours: _Sender) -> tuple[str, Lines]:
    """The caller's own number, with a Diversion by our number that forwards the call.

    A withheld number is shown to nobody, not even to the carrier: our own is asserted, with `Privacy: id` to
    keep it from the phone. If the caller's number is unknown, the call comes from our own.
    """
    own = _name_addr(_display_name(caller), ours.shown, ours.host)
    with_diversion = profile is IdentityProfile.ORIGINAL_WITH_DIVERSION
    diversion = _diversion(ours)
    if caller.withheld:
        number = ours.number or ours.diverting
        asserting = _assertion("P-Asserted-Identity", None, number, ours.host)
        return ANONYMOUS_FROM if with_diversion else own, (*asserting, *WITHHELD, *diversion)
    if caller.number is None:
        return own, ()
    asserting = _assertion("P-Asserted-Identity", caller.name, caller.number, ours.host)
    original = _name_addr(caller.name, caller.number, ours.host)
    return original if with_diversion else own, (*asserting, *diversion)


def _internal(caller: Identity, host: str) -> tuple[str, Lines]:
    if caller.withheld:
        return ANONYMOUS_FROM, WITHHELD
    identity = _name_addr(_display_name(caller), caller.number or "unavailable", host)
    vouched = caller.number if caller.vouched else None
    return identity, _assertion("P-Asserted-Identity", caller.name, vouched, host)


def _display_name(caller: Identity) -> str:
    """The display name that stands beside one of our own numbers."""
    return caller.name or caller.number or ("Anonymous" if caller.withheld else "Unknown")


def _assertion(header: str, name: str | None, number: str | None, host: str) -> Lines:
    return ((header, _name_addr(name, number, host)),) if number is not None else ()


def _diversion(ours: _Sender) -> Lines:
    if ours.diverting is None:
        return ()
    number = NameAddr.parse(f"<sip:{ours.diverting}@{ours.host}>")
    return (("Diversion", str(Diversion(number, "unconditional"))),)


def _name_addr(display: str | None, user: str, host: str) -> str:
    text = f'"{display}" <sip:{user}@{host}>' if display else f"<sip:{user}@{host}>"
    return _normalised(text) if len(text) <= MAX_CACHED_CHARS else str(NameAddr.parse(text))


@lru_cache(maxsize=1024)
def _normalised(text: str) -> str:
    """The same, normalised; cached, since people call more than once."""
    return str(NameAddr.parse(text))
