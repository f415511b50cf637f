"""Typed header values: NameAddr, Via, CSeq, SessionExpires (RFC 3261 §20, RFC 4028 §4)."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Literal, NamedTuple

from proxy.sip.errors import ParseError
from proxy.sip.grammar import HOST, TOKEN, WHITESPACE, number, quote, shown, unquote
from proxy.sip.uri import NO_PARAMS, Params, Uri, one_uri, parse_port
from proxy.sip.value_cache import LONGEST_KEPT, kept

_MORE = re.compile(r'[;<>" \t]').search
"""What stands in no plain tag that ends its line."""
_PLAIN_HOP = re.compile(
    r"(rport;)?branch=([^;\"= \t]+)((?:;rport(?:=[0-9]+)?|;received=[0-9a-fA-F:.]+|;alias)*)"
).fullmatch
"""What nearly every Via has for parameters: a branch, and what we and those who answer us put there."""

MAX_CSEQ = 2**31 - 1
"""§8.1.1.5: the sequence number stays below 2**31."""

_MAX_SECONDS = 2**32 - 1

made = tuple.__new__
"""Makes a NamedTuple of every message at once: what it has itself for that is a Python function."""

_BRACKETED = re.compile(r'(?:("(?:[^"\\]|\\.)*")[ \t]*|([^"<>;]*))<([^<>]*)>(.*)', re.DOTALL).fullmatch
# Some gear leaves the brackets out although there is a display name.
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
    """The display name without quotes and escapes; None where there is none."""

    uri: Uri
    """The URI, understood."""

    params: Params = NO_PARAMS
    """The parameters of the header, not those of the URI."""

    raw_uri: str = ""
    """The URI exactly as it was sent, and as `str()` gives it back; left out, it is `str(uri)`."""

    tag: str | None = field(init=False, repr=False, compare=False)
    """The tag of a From or To; None where it has none yet."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "tag", self.params.get("tag") or None)
        if not self.raw_uri:
            object.__setattr__(self, "raw_uri", str(self.uri))

    @classmethod
    def parse(cls, text: str) -> NameAddr:
        """From one value, with brackets (name-addr) or without (addr-spec)."""
        return name_addr(text) if len(text) <= LONGEST_KEPT else cls._read(text)

    @classmethod
    def _read(cls, text: str) -> NameAddr:
        text = text.strip(WHITESPACE)
        address, bracket, params = text.rpartition(">")
        if params and bracket and '"' not in params:
            # Tags are new in every call, people and their addresses are not: those are read but once.
            known = name_addr(address + bracket)
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
            # §20.10: without brackets what follows the semicolon belongs to the header, and no ? may stand
            display = None
            raw, semicolon, rest = text.partition(";")
            params = semicolon + rest
            if "?" in raw:
                raise ParseError(f"URI with headers needs brackets: {shown(text)}")
        raw = raw.strip(WHITESPACE)
        return cls(display, one_uri(raw), Params.parse(params), raw)

    def __str__(self) -> str:
        display = "" if self.display is None else quote(self.display) + " "
        return f"{display}<{self.raw_uri}>{self.params}"


@dataclass(frozen=True, slots=True)
class Via:
    """One hop a request has come over (§20.42), with rport (RFC 3581)."""

    transport: str
    """Upper-case: UDP, TCP, TLS."""

    host: str
    """The sent-by host; an IPv6 address in brackets."""

    port: int | None = None
    """The sent-by port; None where the transport's default is meant."""

    params: Params = NO_PARAMS
    """branch, received, rport and whatever else was sent."""

    branch: str | None = field(init=False, repr=False, compare=False)
    """The transaction's branch; None from an RFC 2543 element."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "branch", self.params.get("branch") or None)

    @classmethod
    def parse(cls, text: str) -> Via:
        """From one value; raises ParseError."""
        return one_via(text) if len(text) <= LONGEST_KEPT else cls._read(text)

    @classmethod
    def _read(cls, text: str) -> Via:
        _, semicolon, params = text.partition(";")
        return cls(*sender_of(text), Params.parse(semicolon + params))

    @property
    def received(self) -> str | None:
        """The source address the next hop saw, never in brackets (RFC 5118 §4.5 lets peers write both)."""
        value = self.params.get("received")
        return value.strip("[]") if value else None

    @property
    def rport(self) -> int | None:
        """The source port the next hop saw; None also where it is only asked for (`params.has("rport")`)."""
        return parse_port(self.params.get("rport") or None)

    @property
    def sent_by(self) -> str:
        """Host and port as the sender wrote them."""
        return self.host if self.port is None else f"{self.host}:{self.port}"

    def with_(self, name: str, value: str | None = None) -> Via:
        """The same with this parameter set."""
        return Via(self.transport, self.host, self.port, self.params.with_(name, value))

    def seen_from(self, host: str, port: int) -> Via:
        """The same with the address its message really came from (§18.2.1, RFC 3581 §4).

        `received` is added where the sender is another than it says, or asks for `rport`, which is filled in.
        The zone of a link-local address is left out: the grammar has none (§25.1).
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
        return cseq(text) if len(text) <= LONGEST_KEPT else cls._read(text)

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
    """The interval after which an unrefreshed session is dead."""

    refresher: Literal["uac", "uas"] | None = None
    """Which end of the transaction refreshes; None where it is left to the other."""

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
    """Transport, host and port of a Via, from what stands before its parameters; None if malformed."""
    parts = _HOP(text)
    return None if parts is None else (parts[1].upper(), parts[2], parse_port(parts[3]))


def sender_of(via: str) -> tuple[str, str, int | None]:
    """Transport, host and port of a Via, as `Via.parse` reads them; raises ParseError."""
    hop = via.partition(";")[0].strip(WHITESPACE)
    # Branches are new in every transaction, peers are not: those are read but once.
    sender = _hop_kept(hop) if len(hop) <= LONGEST_KEPT else _hop(hop)
    if sender is None:
        raise ParseError(f"malformed Via: {shown(via)}")
    return sender


def retry_after(value: str | None) -> float | None:
    """Seconds of a Retry-After (§20.33), less its comment; None where there is none, or it cannot be read."""
    digits = (value or "").partition(";")[0].partition("(")[0].strip(WHITESPACE)
    return float(digits) if digits.isascii() and digits.isdigit() and len(digits) < 10 else None


name_addr = kept(NameAddr._read, 1024)
"""`NameAddr.parse` for what stands in a message, whose lines are short already."""
cseq = lru_cache(maxsize=256)(CSeq._read)
"""`CSeq.parse`, likewise."""
_hop_kept = lru_cache(maxsize=1024)(_hop)
one_via = kept(Via._read, 1024)
"""`Via.parse`, likewise."""


@lru_cache(maxsize=512)
def tag_of(text: str) -> str | None:
    """The tag of a From or To, whose other parts are read too: raises ParseError where `NameAddr` does."""
    address, mark, tag = text.rpartition(">;tag=")
    if mark and (tag.isalnum() or not _MORE(tag)):
        known = name_addr(address + ">")  # people are met again; what their tags are is all that is new
        if known.params is NO_PARAMS:
            return tag or None
    return name_addr(text).tag


def party_of(text: str) -> NameAddr:
    """Whom a From or To means, with its tag or without: raises ParseError where `NameAddr` does."""
    address, mark, tag = text.rpartition(">;tag=")
    if mark and (tag.isalnum() or not _MORE(tag)):
        known = name_addr(address + ">")
        if known.params is NO_PARAMS:
            return known
    return name_addr(text)


class Top(NamedTuple):
    """What everybody asks of the topmost Via."""

    host: str
    """The sent-by host."""
    sent_by: str
    """Host and port as the sender wrote them, in lower case."""
    branch: str
    """In lower case, as branches are compared; empty from an RFC 2543 element."""
    bare: bool = False
    """True only where the branch is all there is."""
    gap: int = 0
    """Where the port goes that `rport` asks for; 0 where it does not, or the Via is not as nearly all are."""


@lru_cache(maxsize=512)
def top_of(text: str) -> Top:
    """Of a Via all that its transaction asks for: raises ParseError where `Via` does."""
    hop, _, params = text.partition(";")
    parts = _PLAIN_HOP(params)
    if parts is None:
        via = one_via(text)
        return Top(via.host, via.sent_by.lower(), (via.branch or "").lower())
    (host, sent_by, usual), (asks, branch, rest) = _sender_of(hop), parts.groups()
    bare, gap = usual and not asks and not rest, 0
    if usual and asks:
        gap = 0 if rest else len(hop) + len(";rport")
    elif usual and rest == ";rport":
        gap = len(text)
    return made(Top, (host, sent_by, branch.lower(), bare, gap))


@lru_cache(maxsize=1024)
def _sender_of(hop: str) -> tuple[str, str, bool]:
    """Of what stands in a Via before the branch: the host, the sent-by, and whether we would write it so."""
    via = Via._read(hop)
    return via.host, via.sent_by.lower(), str(via) == hop
