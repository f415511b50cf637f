"""Where the certificates and authorities of TLS come from, and that they may change (RFC 3261 §26.3)."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from OpenSSL import SSL, crypto

from proxy.transport.flow import TransportFailed
from proxy.transport.identity import GuestCheck, PeerCheck
from proxy.transport.reload import Renewed
from proxy.transport.tls_engine import TlsEngine, reasons
from proxy.transport.tls_policy import TlsTerms


@dataclass(frozen=True, slots=True)
class ServerTls:
    """A listener's certificate chain and key, and what it asks of those who connect; PEM files."""

    certificate: Path | str
    """The server's certificate, then its intermediates."""
    key: Path | str
    """Its private key, unencrypted."""
    terms: TlsTerms = field(default_factory=TlsTerms)
    clients: str = "off"
    """Certificates of those who connect: not asked for (`off`), looked at (`request`), or insisted on
    (`require`)."""
    client_ca: Path | str | None = None
    """Authorities that these must come from; None: those of the system."""


@dataclass(frozen=True, slots=True)
class ClientRules:
    """How we dial: our own certificate, whom we trust, and how the peer's name is checked."""

    ca: Path | str | None = None
    """PEM file of the authorities to trust; None: those of the system."""
    also: tuple[Path | str, ...] = ()
    """More files of authorities, trusted on top."""
    certificate: Path | str | None = None
    """Our chain, shown to a server that asks for one."""
    key: Path | str | None = None
    """The key of `certificate`."""
    terms: TlsTerms = field(default_factory=TlsTerms)
    name: str | None = None
    """The name to ask for and to find in the certificate; None: the host that is dialled."""
    strict: bool = False
    """RFC 5922 to the letter: SIP URIs count before DNS names, and wildcards nowhere."""


class ServerContext:
    """A listener's side: its certificate, and whom it asks for theirs."""

    def __init__(self, tls: ServerTls) -> None:
        """Raises TransportFailed if certificate, key or authorities cannot be used."""
        self._tls = tls
        self._context = Renewed(self._make, tls.certificate, tls.key, tls.client_ca)

    def engine(self) -> TlsEngine:
        """A server's engine for one new connection."""
        return TlsEngine(self._context.current(), GuestCheck(required=self._tls.clients == "require"))

    def _make(self) -> SSL.Context:
        tls = self._tls
        context = _context(SSL.TLS_SERVER_METHOD, tls.terms)
        _show(context, tls.certificate, tls.key)
        if tls.clients != "off":
            insist = SSL.VERIFY_FAIL_IF_NO_PEER_CERT if tls.clients == "require" else 0
            context.set_verify(SSL.VERIFY_PEER | insist, _verify)
            _trust(context, tls.client_ca)
            if tls.client_ca is not None:
                context.load_client_ca(os.fsencode(tls.client_ca))
        return context


class ClientTls:
    """Our side where we dial: on whose terms, and whom we trust."""

    def __init__(
        self,
        ca: Path | str | None = None,
        *,
        also: Iterable[Path] = (),
        rules: ClientRules | None = None,
    ) -> None:
        """Raises TransportFailed if a file cannot be used. `ca` and `also` are short for rules of no more."""
        self._rules = rules = rules or ClientRules(ca, tuple(also))
        self._context = Renewed(self._make, rules.certificate, rules.key, rules.ca, *rules.also)

    def engine(self, name: str) -> TlsEngine:
        """A client's engine that accepts a peer whose certificate is for `name`, or what the rules say."""
        rules = self._rules
        check = PeerCheck(rules.name or name, strict=rules.strict)
        return TlsEngine(self._context.current(), check, mutual=rules.certificate is not None)

    def _make(self) -> SSL.Context:
        rules = self._rules
        context = _context(SSL.TLS_CLIENT_METHOD, rules.terms)
        context.set_verify(SSL.VERIFY_PEER, _verify)
        _trust(context, rules.ca, *rules.also)
        if rules.certificate is not None and rules.key is not None:
            _show(context, rules.certificate, rules.key)
        return context


class TlsProfiles:
    """The terms on which we dial, by name; what has none of its own gets those for everybody else."""

    def __init__(self, default: ClientTls | None, named: Mapping[str, ClientTls]) -> None:
        """`default`: None trusts the authorities of the system."""
        self._default, self._named = default, named

    def engine(self, profile: str, name: str) -> TlsEngine:
        """A client's engine on the terms of this profile, for a peer of this name."""
        if profile in self._named:
            return self._named[profile].engine(name)
        if self._default is None:
            self._default = ClientTls()
        return self._default.engine(name)


def _context(method: int, terms: TlsTerms) -> SSL.Context:
    try:
        return terms.context(method)
    except SSL.Error as error:
        raise TransportFailed(f"ciphers cannot be used: {reasons(error)}") from error


def _show(context: SSL.Context, certificate: Path | str, key: Path | str) -> None:
    """Let the context show this certificate."""
    try:
        context.use_certificate_chain_file(str(certificate))
    except SSL.Error as error:
        raise TransportFailed(f"certificate {certificate} cannot be used: {reasons(error)}") from error
    try:
        context.use_privatekey_file(str(key))
        context.check_privatekey()
    except SSL.Error as error:
        raise TransportFailed(f"key {key} cannot be used: {reasons(error)}") from error


def _trust(context: SSL.Context, ca: Path | str | None, *also: Path | str) -> None:
    if ca is None:
        context.set_default_verify_paths()
    for path in [*([ca] if ca is not None else []), *also]:
        try:
            context.load_verify_locations(str(path))
        except SSL.Error as error:
            raise TransportFailed(f"authorities in {path} cannot be used: {reasons(error)}") from error


def _verify(connection: SSL.Connection, certificate: crypto.X509, error: int, depth: int, ok: int) -> bool:
    check = connection.get_app_data()
    return isinstance(check, PeerCheck | GuestCheck) and check.verify(certificate, error, depth, bool(ok))
