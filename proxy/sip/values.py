"""Typed header values: NameAddr, Via, CSeq, SessionExpires (RFC 3261 §20, RFC 4028 §4)."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Literal, NamedTuple

from proxy.sip.errors import ParseError
from proxy.sip.grammar import HOST, TOKEN, WHITESPACE, number, quote, shown, unquote
from proxy.sip.uri import NO_PARAMS, Params, Uri, parse_port, parse_uri
from proxy.sip.value_cache import MAX_CACHED_CHARS, cached

_MORE = re.compile(r'[;<>" \t]').search
"""Characters that do not occur in a plain tag at the end of its line."""
_PLAIN_HOP = re.compile(
    r"(rport;)?branch=([^;\"= \t]+)((?:;rport(?:=[0-9]+)?|;received=[0-9a-fA-F:.]+|;alias)*)"
).fullmatch
"""The parameters of nearly every Via: a branch, and those that we and the responders to us add."""

MAX_CSEQ = 2**31 - 1
"""§8.1.1.5: the sequence number stays below 2**31."""

_MAX_SECONDS = 2**32 - 1

new_tuple = tuple.__new__
"""Creates a NamedTuple from a tuple of its fields; its own `__new__` is a Python function, and slower."""

_BRACKETED = re.compile(r'(?:("(?:[^"\\]|\\.)*")[ \t]*|([^"<>;]*))<([^<>]*)>(.*)', re.DOTALL).fullmatch
# Some gear omits the brackets despite a display name.
_UNBRACKETED = re.compile(
    r'("(?:[^"\\]|\\.)*")[ \t]+([A-Za-z][A-Za-z0-9+.\-]*:[^"<>?,;]*)(;[^"<>,]*)?', re.DOTALL
).fullmatch
_HOP = re.compile(
    rf"SIP[ \t]*/[ \t]*2\.0[ \t]*/[ \t]*({TOKEN})[ \t]+({HOST})(?:[ \t]*:[ \t]*([0-9]+))?[ \t]*",
    re.IGNORECASE,
).fullmatch
_CSEQ = re.compile(rf"([0-9]+)[ \t]+({TOKEN})").fullmatch


@dataclass(frozen=True, slots=True)
class NameAddr:
    """A display name, a URI and header parameters: From, To, Contact, Route, Refer-To (§20.10)."""

    display: str | None
    """The display name without quotes and escapes; None if absent."""

    uri: Uri
    """The URI, parsed."""

    params: Params = NO_PARAMS
    """The parameters of the header, not those of the URI."""

    raw_uri: str = ""
    """The URI exactly as received, and as `str()` writes it; defaults to `str(uri)`."""

    tag: str | None = field(init=False, repr=False, compare=False)
    """The tag of a From or To; None if it has none yet."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "tag", self.params.get("tag") or None)
        if not self.raw_uri:
            object.__setattr__(self, "raw_uri", str(self.uri))

    @classmethod
    def parse(cls, text: str) -> NameAddr:
        """From one value, with brackets (name-addr) or without (addr-spec)."""
        return parse_name_addr(text) if len(text) <= MAX_CACHED_CHARS else cls._read(text)

    @classmethod
    def _read(cls, text: str) -> NameAddr:
        text = text.strip(WHITESPACE)
        address, bracket, params = text.rpartition(">")
        if params and bracket and '"' not in params:
            # Tags are new in every call, addresses recur: parse the address part from the cache.
            known = parse_name_addr(address + bracket)
            if not known.params:
                return cls(known.display, known.uri, Params.parse(params), known.raw_uri)
        return cls._read_whole(text)

    @classmethod
    def _read_whole(cls, text: str) -> NameAddr:
        parts = _BRACKETED(text)
        if parts is not None:
            quoted, words, raw, params = parts.groups()
            display = (words.strip(WHITESPACE) or None) if quoted is None else unquote(quoted)
        elif (parts := _UNBRACKETED(text)) is not None:
            display, raw, params = unquote(parts[1]), parts[2], parts[3] or ""
        elif any(mark in text for mark in '"<>,'):
            raise ParseError(f"malformed address: {shown(text)}")
        else:
            # §20.10: without brackets, parameters belong to the header, and the URI cannot have headers
            display = None
            raw, semicolon, rest = text.partition(";")
            params = semicolon + rest
            if "?" in raw:
                raise ParseError(f"URI with headers needs brackets: {shown(text)}")
        raw = raw.strip(WHITESPACE)
        return cls(display, parse_uri(raw), Params.parse(params), raw)

    def __str__(self) -> str:
        display = "" if self.display is None else quote(self.display) + " "
        return f"{display}<{self.raw_uri}>{self.params}"


@dataclass(frozen=True, slots=True)
class Via:
    """One hop on the path of a request (§20.42), with rport (RFC 3581)."""

    transport: str
    """Upper-case: UDP, TCP, TLS."""

    host: str
    """The sent-by host; an IPv6 address in brackets."""

    port: int | None = None
    """The sent-by port; None means the default of the transport."""

    params: Params = NO_PARAMS
    """branch, received, rport and any other parameters."""

    branch: str | None = field(init=False, repr=False, compare=False)
    """The transaction's branch; None from an RFC 2543 element."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "branch", self.params.get("branch") or None)

    @classmethod
    def parse(cls, text: str) -> Via:
        """From one value; raises ParseError."""
        return parse_via(text) if len(text) <= MAX_CACHED_CHARS else cls._read(text)

    @classmethod
    def _read(cls, text: str) -> Via:
        _, semicolon, params = text.partition(";")
        return cls(*via_sender(text), Params.parse(semicolon + params))

    @property
    def received(self) -> str | None:
        """The source address the next hop saw, never in brackets (RFC 5118 §4.5 lets peers write both)."""
        value = self.params.get("received")
        return value.strip("[]") if value else None

    @property
    def rport(self) -> int | None:
        """The source port the next hop saw; None too if only requested (`params.has("rport")`)."""
        return parse_port(self.params.get("rport") or None)

    @property
    def sent_by(self) -> str:
        """Host and port as the sender wrote them."""
        return self.host if self.port is None else f"{self.host}:{self.port}"

    def with_(self, name: str, value: str | None = None) -> Via:
        """A copy with this parameter set."""
        return Via(self.transport, self.host, self.port, self.params.with_(name, value))

    def seen_from(self, host: str, port: int) -> Via:
        """A copy with the source address that its message was received from (§18.2.1, RFC 3581 §4).

        Adds `received` if the source differs from sent-by, or if `rport` was requested, and fills in `rport`.
        Drops the zone of a link-local address: the grammar has none (§25.1).
        """
        params = self.params
        if params.has("rport"):
            params = params.with_("rport", str(port))
        elif self.host == host or self.host.strip("[]") == host:
            return self
        return Via(self.transport, self.host, self.port, params.with_("received", host.partition("%")[0]))

    def __str__(self) -> str:
        return f"SIP/2.0/{self.transport} {self.sent_by}{self.params}"


@dataclass(frozen=True, slots=True)
class CSeq:
    """The sequence number and method of a transaction (§20.16)."""

    number: int
    method: str

    @classmethod
    def parse(cls, text: str) -> CSeq:
        """From `105 INVITE`; raises ParseError, also for a number of 2**31 or more (§8.1.1.5)."""
        return parse_cseq(text) if len(text) <= MAX_CACHED_CHARS else cls._read(text)

    @classmethod
    def _read(cls, text: str) -> CSeq:
        parts = _CSEQ(text.strip(WHITESPACE))
        if parts is None:
            raise ParseError(f"malformed CSeq: {shown(text)}")
        return cls(number(parts[1], "CSeq number", MAX_CSEQ), parts[2])

    def __str__(self) -> str:
        return f"{self.number} {self.method}"


@dataclass(frozen=True, slots=True)
class SessionExpires:
    """The session interval and who refreshes it (RFC 4028 §4)."""

    seconds: int
    """The session interval: without a refresh, the session ends after it."""

    refresher: Literal["uac", "uas"] | None = None
    """Which end of the transaction refreshes; None leaves the choice to the peer."""

    @classmethod
    def parse(cls, text: str) -> SessionExpires:
        """From `600;refresher=uac`; raises ParseError."""
        seconds, semicolon, rest = text.partition(";")
        interval = number(seconds.strip(WHITESPACE), "Session-Expires", _MAX_SECONDS)
        match (Params.parse(semicolon + rest).get("refresher") or "").lower():
            case "":
                return cls(interval)
            case "uac":
                return cls(interval, "uac")
            case "uas":
                return cls(interval, "uas")
            case other:
                raise ParseError(f"unknown refresher: {shown(other)}")

    def __str__(self) -> str:
        return str(self.seconds) if self.refresher is None else f"{self.seconds};refresher={self.refresher}"


def _hop(text: str) -> tuple[str, str, int | None] | None:
    """Transport, host and port of a Via, from the text before its parameters; None if malformed."""
    parts = _HOP(text)
    return None if parts is None else (parts[1].upper(), parts[2], parse_port(parts[3]))


def via_sender(via: str) -> tuple[str, str, int | None]:
    """Transport, host and port of a Via, as `Via.parse` reads them; raises ParseError."""
    hop = via.partition(";")[0].strip(WHITESPACE)
    # Branches are new in every transaction, senders recur: parse those from the cache.
    sender = _cached_hop(hop) if len(hop) <= MAX_CACHED_CHARS else _hop(hop)
    if sender is None:
        raise ParseError(f"malformed Via: {shown(via)}")
    return sender


def retry_after(value: str | None) -> float | None:
    """Seconds of a Retry-After (§20.33), its comment ignored; None if absent or malformed."""
    digits = (value or "").partition(";")[0].partition("(")[0].strip(WHITESPACE)
    return float(digits) if digits.isascii() and digits.isdigit() and len(digits) < 10 else None


parse_name_addr = cached(NameAddr._read, 1024)
"""`NameAddr.parse` through the cache whatever the length: for header values, whose length is limited."""
parse_cseq = lru_cache(maxsize=256)(CSeq._read)
"""`CSeq.parse`, likewise."""
_cached_hop = lru_cache(maxsize=1024)(_hop)
parse_via = cached(Via._read, 1024)
"""`Via.parse`, likewise."""


@lru_cache(maxsize=512)
def tag_of(text: str) -> str | None:
    """The tag of a From or To; raises ParseError wherever `NameAddr.parse` would."""
    address, mark, tag = text.rpartition(">;tag=")
    if mark and (tag.isalnum() or not _MORE(tag)):
        known = parse_name_addr(address + ">")  # addresses recur from call to call, only tags are new
        if known.params is NO_PARAMS:
            return tag or None
    return parse_name_addr(text).tag


def parse_address(text: str) -> NameAddr:
    """The address of a From or To, with its tag or without; raises ParseError like `NameAddr.parse`.

    Cheaper than `parse_name_addr`, since tags are new in every call.
    """
    address, mark, tag = text.rpartition(">;tag=")
    if mark and (tag.isalnum() or not _MORE(tag)):
        known = parse_name_addr(address + ">")
        if known.params is NO_PARAMS:
            return known
    return parse_name_addr(text)


class TopVia(NamedTuple):
    """The parts of the topmost Via that transaction matching needs."""

    host: str
    """The sent-by host."""
    sent_by: str
    """Host and port as the sender wrote them, in lower case."""
    branch: str
    """Lower-case, since branches are case-insensitive; empty from an RFC 2543 element."""
    branch_only: bool = False
    """True only if the branch is its sole parameter."""
    rport_index: int = 0
    """Index at which to insert the value of `rport`; 0 if not requested, or if the Via is of unusual form."""


@lru_cache(maxsize=512)
def parse_top_via(text: str) -> TopVia:
    """The `TopVia` of a Via value; raises ParseError wherever `Via.parse` would."""
    hop, _, params = text.partition(";")
    parts = _PLAIN_HOP(params)
    if parts is None:
        via = parse_via(text)
        return TopVia(via.host, via.sent_by.lower(), (via.branch or "").lower())
    (host, sent_by, usual), (asks, branch, rest) = _sender_of(hop), parts.groups()
    branch_only, rport_index = usual and not asks and not rest, 0
    if usual and asks:
        rport_index = 0 if rest else len(hop) + len(";rport")
    elif usual and rest == ";rport":
        rport_index = len(text)
    return new_tuple(TopVia, (host, sent_by, branch.lower(), branch_only, rport_index))


@lru_cache(maxsize=1024)
def _sender_of(hop: str) -> tuple[str, str, bool]:
    """From the text before the parameters of a Via: host, sent-by, and whether it is in canonical form."""
    via = Via._read(hop)
    return via.host, via.sent_by.lower(), str(via) == hop
