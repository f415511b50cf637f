"""Uri and Params: SIP and tel URIs, and parameters of URIs and headers (RFC 3261 §19.1, RFC 3966)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import unquote as unescape

from proxy.sip.errors import ParseError
from proxy.sip.grammar import HOST, WHITESPACE, is_quoted, number, shown, split_semicolons
from proxy.sip.value_cache import MAX_CACHED_CHARS, cached

_SIP = re.compile(
    rf"(?:([^@:]*)(?::([^@]*))?@)?({HOST})(?::([0-9]*))?(;[^?]*)?(?:\?(.*))?", re.DOTALL
).fullmatch
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.\-]*):(?=.)", re.DOTALL).match
_ILLEGAL = re.compile(r'[\x00-\x20<>"\x7f]').search
_VISUAL = str.maketrans("", "", "-.()")

_NEVER_DEFAULTED = ("user", "ttl", "method", "maddr", "transport")
"""Parameters that make two URIs differ if only one of the two has them (§19.1.4)."""

_ROUTING_PARAMS = ("transport", "maddr", "ttl", "method", "lr")
"""Parameters that say how to reach the resource, not which resource it is."""


@dataclass(frozen=True, slots=True)
class Params:
    """The `;name=value` parameters of a URI or header, in order; names are case-insensitive (§7.3.1)."""

    items: tuple[tuple[str, str | None], ...] = ()
    """Names and raw values as received (quotes kept); None is the value of a flag such as `lr`."""

    @classmethod
    def parse(cls, text: str) -> Params:
        """From `;a=b;lr` or the empty text; tolerates one trailing semicolon. Raises ParseError."""
        text = text.strip(WHITESPACE)
        if not text:
            return NO_PARAMS
        if text[0] != ";":
            raise ParseError(f"parameters do not begin with a semicolon: {shown(text)}")
        if '"' in text or " " in text or "\t" in text:
            return cls._read(text)
        # The usual case: no quotes to protect, no white space to strip.
        pieces = text[1:].split(";")
        if not pieces[-1]:
            pieces.pop()
        items: list[tuple[str, str | None]] = []
        for piece in pieces:
            name, equals, value = piece.partition("=")
            if not name:
                raise ParseError(f"malformed parameter: {shown(text)}")
            items.append((name, value if equals else None))
        return cls(tuple(items))

    @classmethod
    def _read(cls, text: str) -> Params:
        pieces = split_semicolons(text[1:])
        if not pieces[-1].strip(WHITESPACE):
            pieces.pop()
        items: list[tuple[str, str | None]] = []
        for piece in pieces:
            name, equals, value = piece.partition("=")
            name, value = name.strip(WHITESPACE), value.strip(WHITESPACE)
            if not name or '"' in name or " " in name or not _value_holds(value):
                raise ParseError(f"malformed parameter: {shown(text)}")
            items.append((name, value if equals else None))
        return cls(tuple(items))

    def get(self, name: str) -> str | None:
        """The raw value of that name; None if it is absent or a flag (see `has`)."""
        for key, value in self.items:
            if key == name or key.lower() == name.lower():
                return value
        return None

    def has(self, name: str) -> bool:
        """Whether the parameter is present, with or without a value."""
        wanted = name.lower()
        return any([key.lower() == wanted for key, _ in self.items])

    def with_(self, name: str, value: str | None = None) -> Params:
        """A copy with this parameter set, in its old place or at the end."""
        if not self.has(name):
            return Params((*self.items, (name, value)))
        wanted = name.lower()
        return Params(tuple((key, value if key.lower() == wanted else old) for key, old in self.items))

    def without(self, name: str) -> Params:
        """A copy without this parameter."""
        wanted = name.lower()
        return Params(tuple(item for item in self.items if item[0].lower() != wanted))

    def __iter__(self) -> Iterator[tuple[str, str | None]]:
        return iter(self.items)

    def __len__(self) -> int:
        return len(self.items)

    def __str__(self) -> str:
        return "".join([f";{name}" if value is None else f";{name}={value}" for name, value in self.items])


NO_PARAMS = Params()


def _value_holds(value: str) -> bool:
    if '"' in value:
        return is_quoted(value)
    return " " not in value and "\t" not in value


@dataclass(frozen=True, slots=True)
class Uri:
    """A SIP or SIPS URI (§19.1), a tel URI (RFC 3966), or one of another scheme, opaque in `user`."""

    scheme: str
    """Lower-case: sip, sips, tel, or any other."""

    user: str | None = None
    """As written, escapes kept; the number of a tel URI; None if a SIP URI has no user part."""

    password: str | None = None
    """The text after the colon in the user part; None if there is no colon."""

    host: str = ""
    """As written; an IPv6 address keeps its brackets; empty unless sip or sips."""

    port: int | None = None
    """1 to 65535; None if not given."""

    params: Params = NO_PARAMS
    """The URI's own parameters."""

    headers: str = ""
    """The text after the question mark, raw."""

    @classmethod
    def parse(cls, text: str) -> Uri:
        """From a URI without angle brackets; raises ParseError."""
        return parse_uri(text) if len(text) <= MAX_CACHED_CHARS else cls._read(text)

    @classmethod
    def _read(cls, text: str) -> Uri:
        scheme = _SCHEME(text)
        if scheme is None or _ILLEGAL(text) is not None:
            raise ParseError(f"malformed URI: {shown(text)}")
        kind, rest = scheme[1].lower(), text[scheme.end() :]
        if kind == "tel":
            digits, semicolon, params = rest.partition(";")
            if not digits:
                raise ParseError(f"malformed URI: {shown(text)}")
            return cls(kind, digits, params=Params.parse(semicolon + params))
        if kind not in ("sip", "sips"):
            return cls(kind, rest)
        user, at, place = rest.partition("@")
        # Users are new in every call, hosts recur: parse those from the cache.
        if at and user.removeprefix("+").isalnum() and (known := _cached_host_part(place)) is not None:
            return cls(kind, user, None, *known)
        parts = _SIP(rest)
        if parts is None or parts[1] == "":
            raise ParseError(f"malformed URI: {shown(text)}")
        user, password, host, port, params, headers = parts.groups()
        return cls(kind, user, password, host, parse_port(port), Params.parse(params or ""), headers or "")

    @property
    def transport(self) -> str | None:
        """The transport parameter in lower case; None if absent."""
        value = self.params.get("transport")
        return value.lower() if value else None

    @property
    def loose(self) -> bool:
        """Whether it identifies a loose router (`lr`, §16.12); `lr=on` counts too."""
        return self.params.has("lr")

    @property
    def secure(self) -> bool:
        """Whether it is a SIPS URI, which requires TLS (§26.2.2)."""
        return self.scheme == "sips"

    @property
    def logical(self) -> Uri:
        """A copy with only the parts allowed in From and To: no port, headers, routing (§19.1.1, Table 1)."""
        params = self.params
        for name in _ROUTING_PARAMS:
            params = params.without(name)
        return Uri(self.scheme, self.user, self.password, self.host, None, params)

    def matches(self, other: Uri) -> bool:
        """Whether both URIs are equivalent (RFC 3261 §19.1.4; tel: RFC 3966 §4)."""
        if self.scheme != other.scheme:
            return False
        if self.scheme == "tel":
            same = _bare_number(self.user) == _bare_number(other.user)
            return same and _lower_params(self) == _lower_params(other)
        return self._identity() == other._identity() and self._agrees(other)

    def _identity(self) -> tuple[object, ...]:
        user = None if self.user is None else unescape(self.user, errors="surrogateescape")
        password = None if self.password is None else unescape(self.password, errors="surrogateescape")
        headers = sorted(_header(part) for part in self.headers.split("&"))
        return user, password, self.host.lower(), self.port, headers

    def _agrees(self, other: Uri) -> bool:
        mine, theirs = _lower_params(self), _lower_params(other)
        if any((name in mine) != (name in theirs) for name in _NEVER_DEFAULTED):
            return False
        return all(mine[name] == theirs[name] for name in mine.keys() & theirs.keys())

    def __str__(self) -> str:
        user = self.user or ""
        if self.scheme not in ("sip", "sips"):
            return f"{self.scheme}:{user}{self.params}"
        secret = "" if self.password is None else f":{self.password}"
        before = "" if self.user is None else f"{user}{secret}@"
        port = "" if self.port is None else f":{self.port}"
        headers = f"?{self.headers}" if self.headers else ""
        return f"{self.scheme}:{before}{self.host}{port}{self.params}{headers}"


def _host_part(text: str) -> tuple[str, int | None, Params, str] | None:
    """Host, port, parameters and headers: the part of a URI after its user; None if malformed."""
    parts = _SIP(text)
    if parts is None or parts[1] is not None or _ILLEGAL(text) is not None:
        return None
    return parts[3], parse_port(parts[4]), Params.parse(parts[5] or ""), parts[6] or ""


_cached_host_part = cached(_host_part, 1024)


def check_uri(text: str) -> None:
    """Raise ParseError wherever `Uri.parse` would; usually without building a Uri, which is cheaper."""
    user, at, place = text.partition("@")
    if not at or user[:4] != "sip:" or not user[4:].isalnum() or _cached_host_part(place) is None:
        parse_uri(text)


def parse_port(text: str | None) -> int | None:
    """A port from its digits; None stays None. Raises ParseError unless it is 1 to 65535."""
    if text is None:
        return None
    port = number(text, "port", 65535)
    if port == 0:
        raise ParseError("port out of range: 0")
    return port


def _lower_params(uri: Uri) -> dict[str, str | None]:
    return {unescape(name).lower(): value and unescape(value).lower() for name, value in uri.params}


def _header(text: str) -> tuple[str, str]:
    name, _, value = text.partition("=")
    return unescape(name).lower(), unescape(value)


def _bare_number(text: str | None) -> str:
    return (text or "").translate(_VISUAL).lower()


parse_uri = cached(Uri._read, 1024)
"""`Uri.parse` through the cache whatever the length: for header values, whose length is limited."""
