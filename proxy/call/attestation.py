"""How far each trunk is trusted about its callers, and what its INVITE says about them (STIR/SHAKEN)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import lru_cache
from typing import cast

from proxy.call.routing import dialable
from proxy.sip.errors import ParseError
from proxy.sip.message import Request
from proxy.sip.uri import Uri
from proxy.sip.verstat import Verstat, has_no_attestation, is_emergency_callback
from screening.contract import MAX_IDENTITIES, IdentityHeaders, Verification

LONGEST_IDENTITY = 8192
"""Octets of an Identity header that are looked at."""


@dataclass(frozen=True, slots=True)
class PeerTrust:
    """How far the sender of a call is trusted."""

    trunk: str = ""
    """The trunk's name; empty if the sender is no trunk."""
    trusted: bool = False
    """Whether it is trusted to assert who calls (RFC 3325 §2.3), and to mark emergency callbacks."""
    headers: bool = False
    """Whether its verification result for the number (``verstat``) is trusted."""
    identity: bool = False
    """Whether the Identity headers that it passes on are verified here."""


@dataclass(frozen=True, slots=True)
class Attestation:
    """What an INVITE says about its caller beside number and name; none of it goes to any other leg."""

    trunk: str = ""
    verification: Verification | None = None
    callback: bool = False
    signed: IdentityHeaders | None = None

    @classmethod
    def of(cls, invite: Request, trust: PeerTrust, number: str | None, *, withheld: bool) -> Attestation:
        """Read an INVITE, as far as its sender is trusted. `number`: the caller's, as we know it.

        The Identity header of a caller who withholds the number contains that number, so it is not read.
        """
        headers = invite.headers
        if has_no_attestation(headers):
            return _only_trunk(trust.trunk)
        callback = trust.trusted and is_emergency_callback(headers)
        said = Verstat.of(headers) if trust.headers else None
        signs = trust.identity and not withheld and "identity" in headers.first
        if said is None and not callback and not signs:
            return _only_trunk(trust.trunk)
        verification = _verification(said) if said is not None else None
        return cls(trust.trunk, verification, callback, _signed(invite, number) if signs else None)


NO_ATTESTATION = Attestation()
_only_trunk = lru_cache(256)(Attestation)
NO_TRUST = PeerTrust()


def _verification(said: Verstat) -> Verification:
    # Both classes use the same words; only the one in the contract spells them out as literal types.
    plain = cast("Verification", said)
    return Verification(plain.result, plain.attest, plain.diverted, plain.origid, "header")


def _signed(invite: Request, number: str | None) -> IdentityHeaders | None:
    lines = invite.headers.get_all("Identity")[:MAX_IDENTITIES]
    values = [each[:LONGEST_IDENTITY] for each in _split(lines)][:MAX_IDENTITIES]
    origs = (number, _party(invite.sender.uri))
    dests = (_party(invite.to.uri), _uri(invite.uri))
    return IdentityHeaders(tuple(values), _unique(origs), _unique(dests), _date(invite.headers.get("Date")))


def _split(lines: list[str]) -> list[str]:
    """Split header lines at commas: neither tokens nor the URLs in angle brackets contain any."""
    return [value for line in lines for each in line.split(",") if (value := each.strip())]


def _party(uri: Uri) -> str | None:
    """A telephone number, or else a URI, in the form that a PASSporT has it (RFC 8224 §8.5)."""
    if number := dialable(uri.user):
        return number
    return f"{uri.scheme}:{uri.user}@{uri.host.lower()}" if uri.user and uri.host else None


def _uri(text: str) -> str | None:
    try:
        return _party(Uri.parse(text))
    except ParseError:
        return None


def _unique(parties: tuple[str | None, ...]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(each for each in parties if each))


def _date(text: str | None) -> datetime | None:
    if text is None or len(text) > 64:
        return None
    try:
        return parsedate_to_datetime(text).astimezone(UTC)
    except (ValueError, OverflowError):
        return None
