"""Validators for scalar values of the settings: each returns the parsed value or raises a fault."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from pathlib import Path

from proxy.config.numbers import DIALABLE, E164, is_emergency
from proxy.config.problem import fault, shown
from proxy.media.tones import COUNTRIES, SAME_AS
from proxy.sip.errors import ParseError
from proxy.sip.uri import Uri
from proxy.transport import tls_policy

_HOST = re.compile(r"(?!-)[A-Za-z0-9-]{1,63}(?<!-)(\.(?!-)[A-Za-z0-9-]{1,63}(?<!-))*\.?")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
_BIND = re.compile(r"(?:\[(?P<six>[^\]]+)\]|(?P<four>[^:]+)):(?P<port>\d{1,5})")
_PORTS = re.compile(r"(\d{1,5})\s*-\s*(\d{1,5})")
_TRUNKED = re.compile(r"sips?:(?P<user>[^@]*)@trunk:(?P<trunk>.*)", re.IGNORECASE)

PORTS_PER_CALL = 6
"""Three legs, with an RTP and an RTCP port each."""

MAX_NAMED = 40
"""Maximum length of a destination's name."""

MAX_SPOKEN = 500
"""Maximum length of a text that is spoken."""

EMERGENCY_EXPECTED = "no emergency number (they are never screened, and never a transfer target)"


@dataclass(frozen=True, slots=True)
class PortRange:
    """Ports for media, both ends included."""

    low: int
    high: int

    def __str__(self) -> str:
        return f"{self.low}-{self.high}"


@dataclass(frozen=True, slots=True)
class Destination:
    """A place that a caller may be connected to; nothing else is ever dialled."""

    text: str
    """As written in the settings."""
    number: str | None
    """What a Refer-To may select it by; None for a URI whose user is not a number."""
    trunk: str | None
    """Name of the trunk it is dialled through; None for ``tel:`` (any that can place calls) and plain URIs.
    """
    uri: Uri | None
    """The URI to dial as it is; None if it is made from the trunk and the number."""
    phone: str | None = None
    """Name of a registered phone, whose contacts are dialled."""
    name: str | None = None
    """The name that an agent may ask for it by; None: it may not."""
    about: str = ""
    """Description for the agent of what it is for."""

    @property
    def target(self) -> str:
        """The URI by which a REFER selects it."""
        return f"tel:{self.number}" if self.number else self.text


Source = IPv4Network | IPv6Network | str
"""A source of a trunk's requests: a network, a host name to resolve, or ``tls:`` and the name in the
carrier's client certificate."""
TLS_PREFIX = "tls:"


def name(value: object) -> str:
    """Validate a name by which one part of the settings refers to another."""
    if not isinstance(value, str) or not _NAME.fullmatch(value):
        raise fault("a name of letters, digits, '-', '_' and '.'", shown(value))
    return value


def line(value: object) -> str:
    """Validate a text of one line that is not blank."""
    if not isinstance(value, str) or not value.strip() or not value.isprintable():
        raise fault("a text of one line", shown(value))
    return value


def host(value: object) -> str:
    """Validate a host name or an IP address."""
    if not isinstance(value, str) or not (_HOST.fullmatch(value) or _is_address(value)):
        raise fault("a host name without scheme and port, such as sbc.example.com", shown(value))
    return value


def address(value: object) -> str:
    """Validate an IP address, or ``auto``."""
    if not isinstance(value, str) or not (value == "auto" or _is_address(value)):
        raise fault('an IP address or "auto"', shown(value))
    return value


def address6(value: object) -> str:
    """Validate an IPv6 address."""
    if not isinstance(value, str) or not (_is_address(value) and ":" in value):
        raise fault("an IPv6 address without brackets, such as 2001:db8::10", shown(value))
    return value


def local(value: object) -> str:
    """Validate a local IP address; ``0.0.0.0`` or ``::`` mean all of them."""
    if not isinstance(value, str) or not _is_address(value):
        raise fault("an IP address of this machine, such as 0.0.0.0", shown(value))
    return value


def bind(value: object) -> tuple[str, int]:
    """Parse the local address and port to listen on; port 0 means any free one."""
    matched = _BIND.fullmatch(value) if isinstance(value, str) else None
    if matched is not None:
        at, port = matched["six"] or matched["four"], int(matched["port"])
        if _is_address(at) and port <= 65535:
            return at, port
    raise fault("an address and a port, such as 0.0.0.0:5060 or [::]:5060", shown(value))


def ports(value: object) -> PortRange:
    """Parse a port range with room for at least one call."""
    matched = _PORTS.fullmatch(value.strip()) if isinstance(value, str) else None
    if matched is None:
        raise fault("a range of ports, such as 20000-29999", shown(value))
    low, high = int(matched[1]), int(matched[2])
    if not 1024 <= low <= high <= 65535:
        raise fault("a range LOW-HIGH between 1024 and 65535", shown(value))
    if high - (low + low % 2) + 1 < PORTS_PER_CALL:
        raise fault(f"room for one call: {PORTS_PER_CALL} ports from an even one on", shown(value))
    return PortRange(low, high)


def source(value: object) -> Source:
    """Parse a source of requests: a network, a name to resolve, or ``tls:`` and a name."""
    expected = "a host name, an IP address or a network such as 198.51.100.0/24"
    if not isinstance(value, str):
        raise fault(expected, shown(value))
    if value.lower().startswith(TLS_PREFIX):
        named = value[len(TLS_PREFIX) :]
        if not _HOST.fullmatch(named):
            raise fault("tls: and the name in the carrier's certificate", shown(value))
        return TLS_PREFIX + named.rstrip(".").lower()
    if _HOST.fullmatch(value) and re.search(r"[A-Za-z]", value):
        return value.rstrip(".").lower()
    try:
        network = ip_network(value, strict=False)
    except ValueError:
        raise fault(expected, shown(value)) from None
    if "/" in value and str(network.network_address) != value.partition("/")[0]:
        raise fault(f"a network without host bits, such as {network}", shown(value))
    if network.prefixlen == 0:
        raise fault("the networks of the carrier, not the whole internet", shown(value))
    return network


def network(value: object) -> IPv4Network | IPv6Network:
    """Parse a network or an address that a phone may register from."""
    found = source(value)
    if isinstance(found, str):
        raise fault("an IP address or a network such as 192.168.1.0/24", shown(value))
    return found


def sip_uri(value: object) -> Uri:
    """Parse a ``sip:`` or ``sips:`` URI that can be called."""
    expected = "a SIP URI, such as sip:user@host:5061;transport=tls"
    if not isinstance(value, str):
        raise fault(expected, shown(value))
    try:
        uri = Uri.parse(value)
    except ParseError as error:
        raise fault(expected, shown(value)) from error
    if uri.scheme not in ("sip", "sips"):
        raise fault(expected, shown(value))
    if uri.password is not None:
        raise fault('a URI without a password (set password = "env:NAME" beside it)', "one with a password")
    if uri.transport not in (None, "udp", "tcp", "tls"):
        raise fault("transport=udp, tcp or tls in the URI", shown(value))
    return uri


def ring(value: object) -> str:
    """Validate how the destinations of a number ring."""
    if value not in ("in turn", "at once"):
        raise fault('"in turn" or "at once"', shown(value))
    return str(value)


def ciphers(value: object) -> str:
    """Validate an OpenSSL cipher list; OpenSSL has to know every name in it."""
    expected = "OpenSSL's names of ciphers, such as AES128-SHA256:ECDHE-RSA-AES128-GCM-SHA256"
    if not isinstance(value, str) or not value.strip(":"):
        raise fault(expected, shown(value))
    if wrong := tls_policy.unusable(value):
        raise fault(expected, wrong)
    return value


def dialed(value: object) -> str:
    """Validate the user part that people call: a number, a name, or ``*`` for any."""
    if not isinstance(value, str) or not value.isprintable() or not re.fullmatch(r"[^\s@<>]+", value):
        raise fault('a number such as +14155551234, a user name, or "*" for any', shown(value))
    if value.startswith("+") and not E164.fullmatch(value) and not is_emergency(value):
        raise fault("a number in E.164, such as +14155551234", shown(value))
    if is_emergency(value):
        raise fault(EMERGENCY_EXPECTED, shown(value))
    return value


def dialable(value: object) -> str:
    """Validate a number to present or to dial: digits only after an optional ``+``."""
    if not isinstance(value, str) or not DIALABLE.fullmatch(value):
        raise fault("a number such as +14155550100", shown(value))
    return value


def destination(value: object) -> Destination:
    """Parse a destination: ``sip:+NUM@trunk:NAME``, ``tel:+NUMBER``, any SIP URI, or a table.

    The table holds one of these as `to`, with the `name` that the agent knows it by and what it is `about`.
    """
    if isinstance(value, dict):
        return _named(value)
    if not isinstance(value, str):
        raise fault("sip:+NUMBER@trunk:NAME, tel:+NUMBER or sip:user@host", shown(value))
    if trunked := _TRUNKED.fullmatch(value):
        number, trunk = trunked["user"], trunked["trunk"]
        if not DIALABLE.fullmatch(number) or not _NAME.fullmatch(trunk):
            raise fault("sip:+NUMBER@trunk:NAME", shown(value))
        return Destination(value, _allowed(number, value), trunk, None)
    if value.lower().startswith("tel:"):
        number = re.sub(r"[-.()]", "", value[4:].partition(";")[0])
        if not DIALABLE.fullmatch(number):
            raise fault("tel:+NUMBER", shown(value))
        return Destination(value, _allowed(number, value), None, None)
    uri = sip_uri(value)
    if uri.host.lower() == "registered":
        if uri.user is None or not _NAME.fullmatch(uri.user):
            raise fault("sip:NAME@registered, with the name of a [[phone]]", shown(value))
        return Destination(value, None, None, uri, _allowed(uri.user, value))
    user = _allowed(uri.user or "", value)
    return Destination(value, user if DIALABLE.fullmatch(user) else None, None, uri)


def _named(table: dict[str, object]) -> Destination:
    expected = 'a table such as { name = "sales", to = "tel:+14155550100", about = "new orders" }'
    if unknown := sorted(table.keys() - {"name", "to", "about"}):
        raise fault(expected, f"an unknown key: {shown(unknown[0])}")
    if isinstance(table.get("to"), dict):
        raise fault(expected, "a table in a table")
    place, called, about = destination(table.get("to")), table.get("name"), table.get("about", "")
    if not isinstance(called, str) or len(line(called)) > MAX_NAMED:
        raise fault(f"{expected}, with a name of {MAX_NAMED} characters at most", shown(called))
    return replace(place, name=called.strip(), about=line(about) if about else "")


def seconds(low: float, high: float) -> Callable[[object], float]:
    """Return a validator for a time in seconds within these bounds."""

    def check(value: object) -> float:
        if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
            raise fault(f"seconds between {low:g} and {high:g}", shown(value))
        return float(value)

    return check


def rate(low: float, high: float) -> Callable[[object], float]:
    """Return a validator for a rate per second within these bounds."""

    def check(value: object) -> float:
        if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
            raise fault(f"how many a second, between {low:g} and {high:g}", shown(value))
        return float(value)

    return check


def zero_or_seconds(low: float, high: float) -> Callable[[object], float]:
    """Return a validator for a time in seconds within these bounds, or 0, which switches the matter off."""
    bounded = seconds(low, high)

    def check(value: object) -> float:
        return 0.0 if value == 0 and not isinstance(value, bool) else bounded(value)

    return check


probe = zero_or_seconds(5, 3600)
"""The interval of probes; 0: never."""
inactivity = zero_or_seconds(10, 3600)
"""How long a leg may be silent; 0: forever."""
call_limit = zero_or_seconds(60, 604_800)
"""How long a call may last, a week at most; 0: without limit."""


def count(low: int, high: int) -> Callable[[object], int]:
    """Return a validator for an integer within these bounds."""

    def check(value: object) -> int:
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            raise fault(f"a whole number between {low} and {high}", shown(value))
        return value

    return check


def api_base(value: object) -> str:
    """Validate the base URL of a REST API; plain HTTP only to this machine, since requests carry the key."""
    expected = "an https:// URL, such as https://api.openai.com/v1"
    matched = (
        re.fullmatch(r"(https?)://(\[[^\]]+\]|[^/:@\s?#]+)(:\d+)?(/[^\s?#]*)?", value)
        if isinstance(value, str)
        else None
    )
    if not isinstance(value, str) or matched is None:
        raise fault(expected, shown(value))
    if matched[1] == "http" and not _is_local(matched[2].strip("[]")):
        raise fault(f"{expected} (http:// only to this machine)", shown(value))
    return value.rstrip("/")


def media_mode(value: object) -> str:
    """Validate the media mode."""
    if value not in ("auto", "relay", "kernel", "direct"):
        raise fault('"auto", "relay", "kernel" or "direct"', shown(value))
    return str(value)


def path(value: object) -> Path:
    """Validate the path of something we write; relative to the current folder."""
    if not isinstance(value, str) or not value.strip() or not value.isprintable():
        raise fault("a path", shown(value))
    return Path(value)


def spoken(value: object) -> str:
    """Normalize a text that is spoken; an empty one is not spoken."""
    if not isinstance(value, str) or not value.replace("\n", " ").isprintable() or len(value) > MAX_SPOKEN:
        raise fault(f"a text to speak, of {MAX_SPOKEN} characters at most", shown(value))
    return " ".join(value.split())


def language(value: object) -> str:
    """Validate a language tag, such as ``en`` or ``pt-BR`` (RFC 5646, language and region)."""
    if not isinstance(value, str) or not re.fullmatch(r"[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8})*", value):
        raise fault("a language, such as en or pt-BR", shown(value))
    return value


def records(value: object) -> Path | None:
    """Validate the path of the call record file; None for an empty text, which turns it off."""
    return None if value == "" else path(value)


def _allowed(number: str, value: str) -> str:
    if is_emergency(number):
        raise fault(EMERGENCY_EXPECTED, shown(value))
    return number


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True


def _is_local(text: str) -> bool:
    return text == "localhost" or (_is_address(text) and ip_address(text).is_loopback)


def tones(value: object) -> str:
    """Validate an ISO 3166 country code whose tones are known; ``eu``; or ``auto``."""
    code = value.lower() if isinstance(value, str) else ""
    if code != "auto" and code not in COUNTRIES and code not in SAME_AS:
        known = ", ".join(sorted({*COUNTRIES, *SAME_AS}))
        raise fault(f"auto, or the code of a country ({known})", shown(value))
    return code
