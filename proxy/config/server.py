"""Where this machine is found, what it takes on, how it logs: what is about neither callers nor audio."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import PlainValidator

from proxy.config import values
from proxy.config.keys import Bind, Calls, File, Line, Rate, Table

Version = Literal["1.2", "1.3"]
Srtp = Literal["off", "accept", "offer", "require"]


class Public(Table):
    """What the outside world uses to reach this machine."""

    host: Annotated[str, PlainValidator(values.host)]
    """Name in Contact and in the TLS certificate."""
    address: Annotated[str, PlainValidator(values.address)] = "auto"
    """IP address in SDP; "auto" has become the address itself once the settings are loaded to take calls."""
    address6: Annotated[str | None, PlainValidator(values.address6)] = None
    """IPv6 address in the SDP of peers over IPv6, beside an `address` of IPv4; None if we have none."""
    _found: bool = False

    @property
    def found(self) -> bool:
        """Whether `address` was "auto", and may change while calls are taken."""
        return self._found

    def at(self, address: str) -> Public:
        """The same, with the address that "auto" stands for."""
        found = self.model_copy(update={"address": address})
        found._found = True
        return found


class Tls(Table):
    """On whose terms TLS is spoken with one trunk or agent, where we connect."""

    min_version: Version = "1.2"
    max_version: Version | None = None
    ciphers: Annotated[str, PlainValidator(values.ciphers)] | None = None
    """An OpenSSL cipher list."""
    certificate: File | None = None
    """PEM chain, ours first, shown to a peer that asks for one."""
    key: File | None = None
    """PEM private key of it."""
    ca: File | None = None
    """PEM file of the authorities to trust; None: those of the system."""
    verify: Literal["name", "sip-domain"] = "name"
    """How the peer's name is found in its certificate: as the web does, or by RFC 5922 to the letter."""
    name: Annotated[str, PlainValidator(values.host)] | None = None
    """The name to find there; None: the host that is called."""


class Listen(Table):
    """One place where SIP is received."""

    transport: Literal["udp", "tcp", "tls"]
    bind: Bind
    certificate: File | None = None
    """PEM chain, ours first; present for tls."""
    key: File | None = None
    """PEM private key; present for tls."""
    min_version: Version = "1.2"
    max_version: Version | None = None
    ciphers: Annotated[str, PlainValidator(values.ciphers)] | None = None
    """An OpenSSL cipher list."""
    client_certificates: Literal["off", "request", "require"] = "off"
    """Whether those who connect are asked for a certificate."""
    client_ca: File | None = None
    """PEM file of the authorities that it must come from; None: those of the system."""


class Http(Table):
    """Where HTTP is served: the webhook, health, metrics."""

    bind: Bind = ("0.0.0.0", 8080)
    certificate: File | None = None
    key: File | None = None


class Drain(Table):
    """How we stop."""

    limit_s: Annotated[float, PlainValidator(values.seconds(0, 86400))] = 30.0
    """How long live calls may go on after we were told to stop."""


class Limits(Table):
    """What one machine takes on, and what it lets strangers do. None: not limited."""

    calls: Calls = 500
    calls_per_s: Rate | None = None
    trunk_calls: Calls | None = None
    """Of each trunk that says nothing else; so with the next, and those of each number."""
    trunk_calls_per_s: Rate | None = None
    number_calls: Calls | None = None
    number_calls_per_s: Rate | None = None
    call_limit_s: Annotated[float, PlainValidator(values.call_limit)] = 14400.0
    """How long a call may last once the caller is answered, in seconds; 0: no limit."""
    calls_per_destination_per_hour: Annotated[int, PlainValidator(values.count(0, 1_000_000))] = 300
    lag_s: Annotated[float, PlainValidator(values.seconds(0, 60))] = 0.5
    memory_mb: Annotated[int, PlainValidator(values.count(0, 1_000_000))] = 2048
    ban_after: Annotated[int, PlainValidator(values.count(1, 100_000))] = 20
    """Messages of a stranger in vain, within a minute or two, after which it is banned."""
    ban_s: Annotated[float, PlainValidator(values.seconds(0, 86400))] = 600.0
    scanners: tuple[Line, ...] | None = None
    """Parts of the User-Agents of scanners; None for those we know."""


class Connections(Table):
    """The life of connections, and how many of them strangers may have."""

    keep_alive_s: Annotated[float, PlainValidator(values.seconds(0, 3600))] = 120.0
    """The longest silence on a connection of ours before a ping; 0: no pings."""
    idle_s: Annotated[float, PlainValidator(values.seconds(10, 86400))] = 300.0
    """How long a connection of ours that nobody needs stays."""
    handshake_s: Annotated[float, PlainValidator(values.seconds(1, 60))] = 10.0
    """How long the TLS handshake of a connection made to us may take."""
    strangers: Annotated[int, PlainValidator(values.count(1, 100_000))] = 1000
    strangers_per_source: Annotated[int, PlainValidator(values.count(1, 100_000))] = 50
    handshakes: Annotated[int, PlainValidator(values.count(1, 100_000))] = 100
    handshakes_per_source: Annotated[int, PlainValidator(values.count(1, 100_000))] = 20


class Log(Table):
    """What is logged, and how."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    format: Literal["console", "json"] = "console"
