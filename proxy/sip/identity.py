"""Who a caller is said to be, and by which way a call came: RFC 3323, 3325, 5806, 7044.

Nothing here is refused: a header that cannot be read says nothing, and the call goes on without it. Whether
what it says is believed depends on who says it, which is not known here.
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

_MORE = frozenset(
    map(header_key, ("P-Asserted-Identity", "Remote-Party-ID", "Privacy", "Diversion", "History-Info"))
)
_KNOWN_WISHES = frozenset(("header", "session", "user", "none", "critical", "id", "history"))


def party(text: str) -> NameAddr | None:
    """One address; None where it cannot be read.

    Carriers put parameters of theirs wherever there is room, `verstat` above all: what stands behind the
    address and is no list of parameters is left out, and the address counts all the same.
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


def is_plain(headers: Headers) -> bool:
    """Whether nothing is said of who calls, nor of who sent the call on, but in From."""
    return headers.first.keys().isdisjoint(_MORE)


def asserted(headers: Headers) -> tuple[NameAddr, ...]:
    """P-Asserted-Identity: one sip or sips URI, one tel URI, or both; more of a kind are one too many
    (RFC 3325 §9.1).
    """
    if "p-asserted-identity" not in headers.first:
        return ()
    found: dict[bool, NameAddr] = {}
    for value in headers.split("P-Asserted-Identity"):
        address = party(value)
        if address is not None and address.uri.scheme in ("sip", "sips", "tel"):
            found.setdefault(address.uri.scheme == "tel", address)
    return tuple(found.values())


@dataclass(frozen=True, slots=True)
class Privacy:
    """What a caller wishes to be kept from whom he calls (RFC 3323 §4.2, RFC 3325 §9.3, RFC 7044 §10.1)."""

    wishes: frozenset[str] = frozenset()
    """The values of the Privacy header, in lower case."""

    @classmethod
    def of(cls, headers: Headers) -> Privacy:
        """From every Privacy header; values may be parted by commas too."""
        if "privacy" not in headers.first:
            return NO_WISHES
        pieces = ";".join(headers.get_all("Privacy")).replace(",", ";").replace(" ", ";").split(";")
        return cls(frozenset(piece.strip('"\t').lower() for piece in pieces) - {""})

    @property
    def withholds(self) -> bool:
        """Whether the caller's number and name are to be withheld.

        `id` and `user` say so, and `full` of older devices; a wish that we do not know says so where it is
        `critical` (RFC 3323 §4.2), since we cannot grant it otherwise. What `header` and `session` ask for is
        done for every call, and `history` is not ours to pass on at all.
        """
        unknown = self.wishes - _KNOWN_WISHES
        return not self.wishes.isdisjoint(("id", "user", "full")) or bool(
            unknown and "critical" in self.wishes
        )

    @property
    def declined(self) -> bool:
        """`none`: the caller wants to be known (RFC 3323 §4.2)."""
        return "none" in self.wishes and not self.withholds


NO_WISHES = Privacy()


@dataclass(frozen=True, slots=True)
class RemoteParty:
    """Remote-Party-ID: what carriers sent before there was RFC 3325, and some still do."""

    party: NameAddr
    screened: bool
    """Whether the sender vouches for it (`screen=yes`)."""
    private: bool
    """Whether name or number are to be withheld."""


def remote_party(headers: Headers) -> RemoteParty | None:
    """The first Remote-Party-ID that is of the calling party; None where there is none."""
    for value in headers.split("Remote-Party-ID"):
        address = party(value)
        if address is not None and _word(address.params, "party") in ("", "calling"):
            return RemoteParty(
                address, _word(address.params, "screen") == "yes", _private(_word(address.params, "privacy"))
            )
    return None


@dataclass(frozen=True, slots=True)
class Diversion:
    """Who sent a call on to somebody else, and why (RFC 5806)."""

    party: NameAddr
    reason: str = "unknown"
    """Lower-case: unconditional, user-busy, no-answer …"""
    private: bool = False
    """Whether the one who diverted wants to stay unknown."""

    @classmethod
    def all(cls, headers: Headers) -> tuple[Diversion, ...]:
        """Every diversion that can be read; the latest comes first (§4)."""
        if "diversion" not in headers.first:
            return ()
        addresses = [party(value) for value in headers.split("Diversion")]
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
    """One of the targets that a call was sent to on its way (RFC 7044 §5)."""

    party: NameAddr
    index: str = ""
    """Its place, as `1.2`; empty where none is given."""
    private: bool = False
    """Whether the target wants to stay unknown (§10.1)."""

    @classmethod
    def all(cls, headers: Headers) -> tuple[HistoryEntry, ...]:
        """Every entry that can be read, in the order in which the call was sent on."""
        if "history-info" not in headers.first:
            return ()
        addresses = [party(value) for value in headers.split("History-Info")]
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
    """Whether the headers of a URI ask for privacy, as `?Privacy=history` does."""
    for header in headers.split("&"):
        name, _, value = header.partition("=")
        if unescape(name).lower() == "privacy":
            return unescape(value).lower() != "none"
    return False
