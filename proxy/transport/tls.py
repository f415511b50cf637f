"""TLS without sockets: one engine over memory BIOs, and where its certificates come from (RFC 3261 §26.3)."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import structlog
from OpenSSL import SSL, crypto

from proxy.transport.flow import TransportFailed
from proxy.transport.identity import PeerCheck, numeric

log = structlog.get_logger("screendoor")

CHUNK = 65536


class TlsEngine:
    """One TLS session: bytes from the peer in; bytes for the application and for the peer out.

    Its shell feeds it what the socket brings, writes what it returns, and looks at `established`,
    `failure` and `ended` after each step. Nothing here waits or raises for what a peer does.
    """

    def __init__(self, context: SSL.Context, *, check: PeerCheck | None = None) -> None:
        """A server without `check`; with it, a client that wants that peer."""
        self.established = False
        """The handshake is over, and the peer is whom we asked for."""
        self.failure: TransportFailed | None = None
        """Why the session broke; what was returned beside it holds the alert for the peer."""
        self.ended = False
        """The peer closed its side in order (close_notify)."""
        self._check = check
        self._connection = SSL.Connection(context, None)
        self._connection.set_app_data(check)
        if check is None:
            self._connection.set_accept_state()
        else:
            self._connection.set_connect_state()
            if numeric(check.name) is None:
                self._connection.set_tlsext_host_name(_ascii(check.name))

    @property
    def peer_name(self) -> str | None:
        """The name verified in the peer's certificate; None for a server, which asks for none."""
        return self._check.name if self._check and self.established else None

    @property
    def version(self) -> str:
        """The protocol negotiated, such as `TLSv1.3`."""
        return self._connection.get_protocol_version_name()

    def start(self) -> bytes:
        """The first bytes for the peer: a client's hello, nothing from a server."""
        return self.feed(b"")[1]

    def feed(self, data: bytes) -> tuple[bytes, bytes]:
        """Take bytes of the peer; return (bytes for the application, bytes for the peer)."""
        if self.failure is not None:
            return b"", b""
        if data:
            self._connection.bio_write(data)
        received = bytearray()
        try:
            if not self.established:
                self._handshake()
            while not self.ended:
                received += self._connection.recv(CHUNK)
        except SSL.WantReadError:
            pass
        except SSL.ZeroReturnError:
            self.ended = True
        except SSL.Error as error:
            self.failure = TransportFailed(self._sentence(error))
        return bytes(received), self._outgoing()

    def send(self, data: bytes) -> bytes:
        """Encrypt a message; raises TransportFailed unless the session is established and well."""
        if not self.established or self.failure is not None:
            raise TransportFailed("TLS session is not established")
        try:
            self._connection.sendall(data)
        except SSL.Error as error:
            self.failure = TransportFailed(self._sentence(error))
            raise self.failure from error
        return self._outgoing()

    def close(self) -> bytes:
        """The last bytes for the peer: a close_notify where one is due."""
        if self.established and self.failure is None:
            self._connection.shutdown()
        return self._outgoing()

    def _handshake(self) -> None:
        self._connection.do_handshake()
        if self._check is not None and not self._check.matched:  # never on a certificate that nobody judged
            raise SSL.Error([("", "", "the peer's certificate was not verified")])
        self.established = True

    def _outgoing(self) -> bytes:
        out = bytearray()
        try:
            while True:
                out += self._connection.bio_read(CHUNK)
        except SSL.Error:  # WantReadError: nothing more to send
            return bytes(out)

    def _sentence(self, error: SSL.Error) -> str:
        if self._check is not None and self._check.fault is not None:
            return f"TLS peer {self._check.name} refused: its certificate {self._check.fault}"
        stage = "session" if self.established else "handshake"
        return f"TLS {stage} with {self._check.name if self._check else 'peer'} failed: {_reasons(error)}"


@dataclass(frozen=True, slots=True)
class ServerTls:
    """Where a listener's certificate chain and key stand; PEM files."""

    certificate: Path | str
    """The server's certificate, then its intermediates."""
    key: Path | str
    """Its private key, unencrypted."""


class ServerContext:
    """A listener's certificate, read again when its files change: renewals need no restart."""

    def __init__(self, tls: ServerTls) -> None:
        """Raises TransportFailed if certificate or key cannot be used."""
        self._tls = tls
        self._stamp = self._stamps()
        self._context = _server_context(tls)

    def engine(self) -> TlsEngine:
        """A server's engine for one new connection."""
        stamp = self._stamps()
        if stamp != self._stamp:
            self._stamp = stamp
            try:
                self._context = _server_context(self._tls)
                log.info("certificate reloaded", certificate=str(self._tls.certificate))
            except TransportFailed as error:  # half written: keep the old one, look again when it changes
                log.warning("certificate not reloaded, the old one stays", why=str(error))
        return TlsEngine(self._context)

    def _stamps(self) -> tuple[int, ...]:
        stamps = []
        for path in (self._tls.certificate, self._tls.key):
            try:
                stamps.append(os.stat(path).st_mtime_ns)
            except OSError:
                stamps.append(0)
        return tuple(stamps)


class ClientTls:
    """Whom we trust when we dial: the authorities of a PEM file, or those of the system."""

    def __init__(self, ca: Path | str | None = None, *, also: Iterable[Path] = ()) -> None:
        """Raises TransportFailed if a file cannot be used. None: the system's store; `also` comes on top."""
        self._context = _context(SSL.TLS_CLIENT_METHOD)
        self._context.set_verify(SSL.VERIFY_PEER, _verify)
        if ca is None:
            self._context.set_default_verify_paths()
        for path in [*([ca] if ca is not None else []), *also]:
            try:
                self._context.load_verify_locations(str(path))
            except SSL.Error as error:
                raise TransportFailed(f"authorities in {path} cannot be used: {_reasons(error)}") from error

    def engine(self, name: str) -> TlsEngine:
        """A client's engine that accepts only a peer whose certificate is for `name`."""
        return TlsEngine(self._context, check=PeerCheck(name))


def _context(method: int) -> SSL.Context:
    context = SSL.Context(method)
    context.set_min_proto_version(SSL.TLS1_2_VERSION)
    context.set_options(SSL.OP_NO_RENEGOTIATION | SSL.OP_NO_COMPRESSION)
    context.set_mode(SSL.MODE_RELEASE_BUFFERS)
    context.set_session_cache_mode(SSL.SESS_CACHE_OFF)
    return context


def _server_context(tls: ServerTls) -> SSL.Context:
    context = _context(SSL.TLS_SERVER_METHOD)
    try:
        context.use_certificate_chain_file(str(tls.certificate))
    except SSL.Error as error:
        raise TransportFailed(f"certificate {tls.certificate} cannot be used: {_reasons(error)}") from error
    try:
        context.use_privatekey_file(str(tls.key))
        context.check_privatekey()
    except SSL.Error as error:
        raise TransportFailed(f"key {tls.key} cannot be used: {_reasons(error)}") from error
    return context


def _verify(connection: SSL.Connection, certificate: crypto.X509, error: int, depth: int, ok: int) -> bool:
    check = connection.get_app_data()
    return isinstance(check, PeerCheck) and check.verify(certificate, error, depth, bool(ok))


def _ascii(name: str) -> bytes:
    try:
        return name.removesuffix(".").encode("idna")
    except UnicodeError as error:
        raise TransportFailed(f"host name cannot be sent as SNI: {name}") from error


def _reasons(error: SSL.Error) -> str:
    """OpenSSL's own words, such as `unsupported protocol`."""
    queue = error.args[0] if error.args else ()
    reasons = [reason for *_, reason in queue if reason] if isinstance(queue, list) else []
    return "; ".join(dict.fromkeys(reasons)) or "the stream broke off"
