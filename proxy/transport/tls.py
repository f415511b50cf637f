"""TLS configuration of listeners and outbound connections, reloaded when files change (RFC 3261 §26.3)."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from OpenSSL import SSL, crypto

from proxy.transport.flow import TransportFailed
from proxy.transport.identity import ClientCheck, ServerCheck
from proxy.transport.reload import Reloading
from proxy.transport.tls_engine import TlsEngine, reasons
from proxy.transport.tls_policy import TlsPolicy


@dataclass(frozen=True, slots=True)
class ServerTls:
    """TLS of a listener: its certificate chain and key, and client certificates; files are PEM."""

    certificate: Path | str
    """The server's certificate, then its intermediates."""
    key: Path | str
    """Its private key, unencrypted."""
    policy: TlsPolicy = field(default_factory=TlsPolicy)
    clients: str = "off"
    """Client certificates: not requested (`off`), verified if sent (`request`), or mandatory (`require`)."""
    client_ca: Path | str | None = None
    """Authorities to trust for client certificates; None: those of the system."""


@dataclass(frozen=True, slots=True)
class ClientRules:
    """TLS of outbound connections: our certificate, trusted authorities, and how to check the peer's name."""

    ca: Path | str | None = None
    """PEM file of the authorities to trust; None: those of the system."""
    extra_ca: tuple[Path | str, ...] = ()
    """PEM files of further authorities to trust."""
    certificate: Path | str | None = None
    """Our certificate chain, sent to a server that requests one."""
    key: Path | str | None = None
    """The key of `certificate`."""
    policy: TlsPolicy = field(default_factory=TlsPolicy)
    name: str | None = None
    """The name to send as SNI and to verify in the certificate; None: the host that is dialled."""
    strict: bool = False
    """RFC 5922 to the letter: SIP URIs take precedence over DNS names, and wildcards are rejected."""


class ServerContext:
    """The TLS context of a listener."""

    def __init__(self, tls: ServerTls) -> None:
        """Raises TransportFailed if certificate, key or authorities cannot be used."""
        self._tls = tls
        self._context = Reloading(self._make, tls.certificate, tls.key, tls.client_ca)

    def engine(self) -> TlsEngine:
        """A server engine for one new connection."""
        return TlsEngine(self._context.current(), ClientCheck(required=self._tls.clients == "require"))

    def _make(self) -> SSL.Context:
        tls = self._tls
        context = _context(SSL.TLS_SERVER_METHOD, tls.policy)
        _load_certificate(context, tls.certificate, tls.key)
        if tls.clients != "off":
            insist = SSL.VERIFY_FAIL_IF_NO_PEER_CERT if tls.clients == "require" else 0
            context.set_verify(SSL.VERIFY_PEER | insist, _verify)
            _load_ca(context, tls.client_ca)
            if tls.client_ca is not None:
                context.load_client_ca(os.fsencode(tls.client_ca))
        return context


class ClientTls:
    """The TLS context of outbound connections."""

    def __init__(
        self,
        ca: Path | str | None = None,
        *,
        extra_ca: Iterable[Path] = (),
        rules: ClientRules | None = None,
    ) -> None:
        """`ca`, `extra_ca`: shorthand for such `rules`. Raises TransportFailed for an unusable file."""
        self._rules = rules = rules or ClientRules(ca, tuple(extra_ca))
        self._context = Reloading(self._make, rules.certificate, rules.key, rules.ca, *rules.extra_ca)

    def engine(self, name: str) -> TlsEngine:
        """A client engine that requires a certificate for `name`, or for the name in the rules."""
        rules = self._rules
        check = ServerCheck(rules.name or name, strict=rules.strict)
        return TlsEngine(self._context.current(), check, mutual=rules.certificate is not None)

    def _make(self) -> SSL.Context:
        rules = self._rules
        context = _context(SSL.TLS_CLIENT_METHOD, rules.policy)
        context.set_verify(SSL.VERIFY_PEER, _verify)
        _load_ca(context, rules.ca, *rules.extra_ca)
        if rules.certificate is not None and rules.key is not None:
            _load_certificate(context, rules.certificate, rules.key)
        return context


class TlsProfiles:
    """TLS profiles of outbound connections by name, and the default for any other name."""

    def __init__(self, default: ClientTls | None, named: Mapping[str, ClientTls]) -> None:
        """`default`: None trusts the authorities of the system."""
        self._default, self._named = default, named

    def engine(self, profile: str, name: str) -> TlsEngine:
        """A client engine of this profile, for a peer of this name."""
        if profile in self._named:
            return self._named[profile].engine(name)
        if self._default is None:
            self._default = ClientTls()
        return self._default.engine(name)


def _context(method: int, policy: TlsPolicy) -> SSL.Context:
    try:
        return policy.context(method)
    except SSL.Error as error:
        raise TransportFailed(f"ciphers cannot be used: {reasons(error)}") from error


def _load_certificate(context: SSL.Context, certificate: Path | str, key: Path | str) -> None:
    """Load the certificate that the context presents, and its key."""
    try:
        context.use_certificate_chain_file(str(certificate))
    except SSL.Error as error:
        raise TransportFailed(f"certificate {certificate} cannot be used: {reasons(error)}") from error
    try:
        context.use_privatekey_file(str(key))
        context.check_privatekey()
    except SSL.Error as error:
        raise TransportFailed(f"key {key} cannot be used: {reasons(error)}") from error


def _load_ca(context: SSL.Context, ca: Path | str | None, *extra_ca: Path | str) -> None:
    if ca is None:
        context.set_default_verify_paths()
    for path in [*([ca] if ca is not None else []), *extra_ca]:
        try:
            context.load_verify_locations(str(path))
        except SSL.Error as error:
            raise TransportFailed(f"authorities in {path} cannot be used: {reasons(error)}") from error


def _verify(connection: SSL.Connection, certificate: crypto.X509, error: int, depth: int, ok: int) -> bool:
    check = connection.get_app_data()
    return isinstance(check, ServerCheck | ClientCheck) and check.verify(certificate, error, depth, bool(ok))
