"""Caller identity, privacy and diversion headers (RFC 3323, RFC 3325, RFC 5806, RFC 7044).

Nothing here raises: a malformed header counts as absent, and the call goes on without it. Whether to trust a
header is up to the code that calls this, which knows which peer sent it.
"""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import unquote as unescape

from proxy.sip.errors import ParseError
from proxy.sip.grammar import is_token, unquote
from proxy.sip.header_names import header_key
from proxy.sip.headers import Headers
from proxy.sip.uri import Params
from proxy.sip.values import NameAddr

_IDENTITY_HEADERS = frozenset(
    map(header_key, ("P-Asserted-Identity", "Remote-Party-ID", "Privacy", "Diversion", "History-Info"))
)
_KNOWN_WISHES = frozenset(("header", "session", "user", "none", "critical", "id", "history"))


def parse_party(text: str) -> NameAddr | None:
    """Parse one address; None if malformed.

    Carriers put their own parameters anywhere, above all `verstat`: if the text after the address is not a
    parameter list, it is dropped and the address still counts.
    """
    try:
        return NameAddr.parse(text)
    except ParseError:
        address, bracket, rest = text.rpartition(">")
    if not rest:
        return None
    try:
        return NameAddr.parse(address + bracket)
    except ParseError:
        return None


def has_only_from(headers: Headers) -> bool:
    """Whether From is the only header about the identity of the caller, with no diversion or privacy."""
    return headers.first.keys().isdisjoint(_IDENTITY_HEADERS)


def asserted(headers: Headers) -> tuple[NameAddr, ...]:
    """P-Asserted-Identity: one sip or sips URI, one tel URI, or both (RFC 3325 §9.1); ignores extra ones."""
    if "p-asserted-identity" not in headers.first:
        return ()
    found: dict[bool, NameAddr] = {}
    for value in headers.split("P-Asserted-Identity"):
        address = parse_party(value)
        if address is not None and address.uri.scheme in ("sip", "sips", "tel"):
            found.setdefault(address.uri.scheme == "tel", address)
    return tuple(found.values())


@dataclass(frozen=True, slots=True)
class Privacy:
    """The privacy requested by the caller (RFC 3323 §4.2, RFC 3325 §9.3, RFC 7044 §10.1)."""

    wishes: frozenset[str] = frozenset()
    """The values of the Privacy header, in lower case."""

    @classmethod
    def of(cls, headers: Headers) -> Privacy:
        """From every Privacy header; accepts commas as separators too."""
        if "privacy" not in headers.first:
            return NO_PRIVACY
        pieces = ";".join(headers.get_all("Privacy")).replace(",", ";").replace(" ", ";").split(";")
        return cls(frozenset(piece.strip('"\t').lower() for piece in pieces) - {""})

    @property
    def withholds(self) -> bool:
        """Whether to withhold the caller's number and name.

        Requested by `id`, `user`, and `full` from older devices. An unknown value marked `critical` counts
        too (RFC 3323 §4.2), since we cannot honour it otherwise. What `header` and `session` request is done
        for every call, and `history` does not matter since History-Info is never passed on.
        """
        unknown = self.wishes - _KNOWN_WISHES
        return not self.wishes.isdisjoint(("id", "user", "full")) or bool(
            unknown and "critical" in self.wishes
        )

    @property
    def declined(self) -> bool:
        """`none`: the caller explicitly wants no privacy (RFC 3323 §4.2)."""
        return "none" in self.wishes and not self.withholds


NO_PRIVACY = Privacy()


@dataclass(frozen=True, slots=True)
class RemoteParty:
    """Remote-Party-ID, the predecessor of P-Asserted-Identity; some carriers still send it."""

    party: NameAddr
    screened: bool
    """Whether the sender vouches for it (`screen=yes`)."""
    private: bool
    """Whether to withhold name or number."""


def remote_party(headers: Headers) -> RemoteParty | None:
    """The first Remote-Party-ID for the calling party; None if there is none."""
    for value in headers.split("Remote-Party-ID"):
        address = parse_party(value)
        if address is not None and _word(address.params, "party") in ("", "calling"):
            return RemoteParty(
                address, _word(address.params, "screen") == "yes", _private(_word(address.params, "privacy"))
            )
    return None


@dataclass(frozen=True, slots=True)
class Diversion:
    """A party that diverted the call, and why (RFC 5806)."""

    party: NameAddr
    reason: str = "unknown"
    """Lower-case: unconditional, user-busy, no-answer …"""
    private: bool = False
    """Whether the diverting party requests privacy."""

    @classmethod
    def all(cls, headers: Headers) -> tuple[Diversion, ...]:
        """Every well-formed diversion, the latest first (§4)."""
        if "diversion" not in headers.first:
            return ()
        addresses = [parse_party(value) for value in headers.split("Diversion")]
        return tuple(
            cls(
                each,
                _word(each.params, "reason") or "unknown",
                _private(_word(each.params, "privacy")),
            )
            for each in addresses
            if each is not None
        )

    def __str__(self) -> str:
        privacy = ";privacy=full" if self.private else ""
        reason = self.reason if is_token(self.reason) else "unknown"
        return f"<{self.party.raw_uri}>;reason={reason}{privacy}"


@dataclass(frozen=True, slots=True)
class HistoryEntry:
    """One target that the call was sent to on its way (RFC 7044 §5)."""

    party: NameAddr
    index: str = ""
    """Its index, such as `1.2`; empty if not given."""
    private: bool = False
    """Whether the target requests privacy (§10.1)."""

    @classmethod
    def all(cls, headers: Headers) -> tuple[HistoryEntry, ...]:
        """Every well-formed entry, in the order in which the call was retargeted."""
        if "history-info" not in headers.first:
            return ()
        addresses = [parse_party(value) for value in headers.split("History-Info")]
        return tuple(
            cls(each, _word(each.params, "index"), _hides(each.uri.headers))
            for each in addresses
            if each is not None
        )


def _word(params: Params, name: str) -> str:
    return unquote(params.get(name) or "").lower()


def _private(privacy: str) -> bool:
    return privacy not in ("", "off", "none")


def _hides(headers: str) -> bool:
    """Whether the headers of a URI request privacy, such as `?Privacy=history`."""
    for header in headers.split("&"):
        name, _, value = header.partition("=")
        if unescape(name).lower() == "privacy":
            return unescape(value).lower() != "none"
    return False
