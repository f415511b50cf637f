"""Addresses, listeners, TLS, HTTP, limits and logging: what concerns neither callers nor audio."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import PlainValidator

from proxy.config import values
from proxy.config.keys import Bind, Calls, File, Line, Rate, Table

Version = Literal["1.2", "1.3"]
Srtp = Literal["off", "accept", "offer", "require"]


class Public(Table):
    """How the outside world reaches this machine."""

    host: Annotated[str, PlainValidator(values.host)]
    """Host name for Contact and the TLS certificate."""
    address: Annotated[str, PlainValidator(values.address)] = "auto"
    """IP address in SDP; "auto" is replaced by the actual one when settings are loaded for taking calls."""
    address6: Annotated[str | None, PlainValidator(values.address6)] = None
    """IPv6 address in SDP towards IPv6 peers, in addition to an IPv4 `address`; None if there is none."""
    _found: bool = False

    @property
    def found(self) -> bool:
        """Whether `address` was "auto", and so may change at run time."""
        return self._found

    def at(self, address: str) -> Public:
        """Return a copy with the actual address in place of "auto"."""
        found = self.model_copy(update={"address": address})
        found._found = True
        return found


class Tls(Table):
    """TLS settings for connections to one trunk or agent."""

    min_version: Version = "1.2"
    max_version: Version | None = None
    ciphers: Annotated[str, PlainValidator(values.ciphers)] | None = None
    """An OpenSSL cipher list."""
    certificate: File | None = None
    """PEM chain, leaf first, presented to a peer that requests a client certificate."""
    key: File | None = None
    """The certificate's PEM private key."""
    ca: File | None = None
    """PEM file of trusted authorities; None: the system's."""
    verify: Literal["name", "sip-domain"] = "name"
    """How the peer's name is matched: as for HTTPS, or strictly by RFC 5922."""
    name: Annotated[str, PlainValidator(values.host)] | None = None
    """The name to match; None: the host that is called."""


class Listen(Table):
    """An address and port where SIP is received."""

    transport: Literal["udp", "tcp", "tls"]
    bind: Bind
    certificate: File | None = None
    """PEM chain, leaf first; required for tls."""
    key: File | None = None
    """PEM private key; required for tls."""
    min_version: Version = "1.2"
    max_version: Version | None = None
    ciphers: Annotated[str, PlainValidator(values.ciphers)] | None = None
    """An OpenSSL cipher list."""
    client_certificates: Literal["off", "request", "require"] = "off"
    """Whether a client certificate is requested."""
    client_ca: File | None = None
    """PEM file of authorities for client certificates; None: the system's."""


class Http(Table):
    """The HTTP server: webhook, health, metrics and the API."""

    bind: Bind = ("0.0.0.0", 8080)
    certificate: File | None = None
    key: File | None = None


class Drain(Table):
    """Graceful shutdown."""

    limit_s: Annotated[float, PlainValidator(values.seconds(0, 86400))] = 30.0
    """How long live calls may go on after a signal to stop."""


class Limits(Table):
    """Load limits, and when strangers are banned. None: unlimited."""

    calls: Calls = 500
    calls_per_s: Rate | None = None
    trunk_calls: Calls | None = None
    """For each trunk without a limit of its own; likewise the next, and those per number."""
    trunk_calls_per_s: Rate | None = None
    number_calls: Calls | None = None
    number_calls_per_s: Rate | None = None
    call_limit_s: Annotated[float, PlainValidator(values.call_limit)] = 14400.0
    """How long a call may last once the caller is answered, in seconds; 0: no limit."""
    calls_per_destination_per_hour: Annotated[int, PlainValidator(values.count(0, 1_000_000))] = 300
    lag_s: Annotated[float, PlainValidator(values.seconds(0, 60))] = 0.5
    memory_mb: Annotated[int, PlainValidator(values.count(0, 1_000_000))] = 2048
    ban_after: Annotated[int, PlainValidator(values.count(1, 100_000))] = 20
    """A stranger is banned after this many rejected messages within a minute or two."""
    ban_s: Annotated[float, PlainValidator(values.seconds(0, 86400))] = 600.0
    scanners: tuple[Line, ...] | None = None
    """Parts of the User-Agents of scanners; None: the built-in list."""


class Connections(Table):
    """Keepalive of connections, and limits on connections from strangers."""

    keep_alive_s: Annotated[float, PlainValidator(values.seconds(0, 3600))] = 120.0
    """A connection of ours that is silent for longer is pinged; 0: no pings."""
    idle_s: Annotated[float, PlainValidator(values.seconds(10, 86400))] = 300.0
    """How long an unused connection of ours is kept open."""
    handshake_s: Annotated[float, PlainValidator(values.seconds(1, 60))] = 10.0
    """Time limit for the TLS handshake of inbound connections."""
    strangers: Annotated[int, PlainValidator(values.count(1, 100_000))] = 1000
    strangers_per_source: Annotated[int, PlainValidator(values.count(1, 100_000))] = 50
    handshakes: Annotated[int, PlainValidator(values.count(1, 100_000))] = 100
    handshakes_per_source: Annotated[int, PlainValidator(values.count(1, 100_000))] = 20


class Log(Table):
    """Log level and format."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    format: Literal["console", "json"] = "console"
