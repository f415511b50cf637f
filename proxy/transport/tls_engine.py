"""TLS engine: one TLS session without I/O, over memory BIOs (RFC 3261 §26.3)."""

from __future__ import annotations

import sys

from OpenSSL import SSL

from proxy.transport.flow import TransportFailed
from proxy.transport.identity import NOBODY, ClientCheck, ServerCheck, numeric

MAX_RECORD_BYTES = 16384
"""Maximum plaintext bytes of a record (RFC 8446 §5.1), and so the size of each read: one call per record."""
MAX_WIRE_RECORD_BYTES = MAX_RECORD_BYTES + 1024
"""Read size for a record on the wire, with its header and authentication tag."""
UNKNOWN = sys.maxsize
"""Number of records, or of bytes to come, if only OpenSSL can know it."""

APPLICATION_DATA = 23
RECORD_TYPES = range(20, 24)
RECORD_HEAD = 5
"""Size of a record header in bytes: type, version (2), length of the content (2) (RFC 8446 §5.1)."""


class TlsEngine:
    """One TLS session: bytes from the peer in; bytes for the application and for the peer out.

    Its owner feeds it what the socket receives, writes what it returns, and checks `established`, `failure`
    and `ended` after each step. It never blocks, nor raises for anything a peer does.
    """

    def __init__(
        self, context: SSL.Context, check: ServerCheck | ClientCheck, *, mutual: bool = False
    ) -> None:
        """A client with a `ServerCheck`, a server with a `ClientCheck`.

        `mutual`: this is a client that presents a certificate of its own.
        """
        self.established = False
        """The handshake is done, and the peer is verified."""
        self.failure: TransportFailed | None = None
        """Why the session failed; the bytes returned by that call contain the alert for the peer."""
        self.blame: str | None = None
        """What failed, in one word: `certificate` or `protocol`."""
        self.ended = False
        """The peer closed its side cleanly (close_notify)."""
        self._at_boundary = True
        """Whether the bytes received so far end at a record boundary."""
        self._head, self._rest = b"", 0
        """Of an incomplete record: the part of its header received, or the bytes of content to come."""
        self._check = check
        self._mutual = mutual
        self._connection = SSL.Connection(context, None)
        self._connection.set_app_data(check)
        # Bound once: attribute access on a `Connection` is slow, as it falls back to the socket's attributes.
        self._recv, self._send = self._connection.recv, self._connection.send
        self._bio_read, self._bio_write = self._connection.bio_read, self._connection.bio_write
        if isinstance(check, ClientCheck):
            self._connection.set_accept_state()
        else:
            self._connection.set_connect_state()
            if numeric(check.name) is None:
                self._connection.set_tlsext_host_name(_ascii(check.name))

    @property
    def peer_name(self) -> str | None:
        """The name that a client dialled, once verified; None for a server."""
        return self._check.name if isinstance(self._check, ServerCheck) and self.established else None

    @property
    def peer_names(self) -> frozenset[str]:
        """The names verified in the peer's certificate; empty without a trusted one."""
        return self._check.names if self.established else NOBODY

    @property
    def mutual(self) -> bool:
        """Whether both ends are authenticated by certificate (RFC 5923 §5)."""
        if isinstance(self._check, ClientCheck):
            return bool(self.peer_names)
        return self._mutual and self.established

    @property
    def cipher(self) -> str | None:
        """The negotiated cipher suite, by its OpenSSL name."""
        return self._connection.get_cipher_name()

    @property
    def version(self) -> str:
        """The negotiated protocol version, such as `TLSv1.3`."""
        return self._connection.get_protocol_version_name()

    def start(self) -> bytes:
        """The first bytes for the peer: the ClientHello of a client, nothing of a server."""
        return self.feed(b"")[1]

    def feed(self, data: bytes) -> tuple[bytes, bytes]:
        """Process bytes from the peer; returns (bytes for the application, bytes for the peer)."""
        if self.failure is not None:
            return b"", b""
        established, size, received = self.established, len(data), b""
        if (
            self._at_boundary
            and size > RECORD_HEAD
            and data[0] == APPLICATION_DATA
            and size == RECORD_HEAD + (data[3] << 8) + data[4]
        ):
            whole = 1
        else:
            whole = self._count_records(data)
        if data:
            self._bio_write(data)
        try:
            if not established:
                self._handshake()
                whole = UNKNOWN
            while whole:  # counting records avoids a final WantReadError, a third of the work
                record = self._recv(MAX_RECORD_BYTES)
                received = received + record if received else record
                whole -= 1
        except SSL.WantReadError:
            pass
        except SSL.ZeroReturnError:
            self.ended = True
        except SSL.Error as error:
            self.failure = TransportFailed(self._describe(error))
            self.blame = "certificate" if self._refused else "protocol"
        if established and received and self.failure is None and not self.ended:
            # Skipping `_outgoing`, nearly always empty, saves a fifth of the work. An answer to a KeyUpdate
            # goes out with the next bytes that we send, which is soon enough (RFC 8446 §4.6.3).
            return received, b""
        return received, self._outgoing()

    def send(self, data: bytes) -> bytes:
        """Encrypt a message; raises TransportFailed unless the session is established and has not failed."""
        if not self.established or self.failure is not None:
            raise TransportFailed("TLS session is not established")
        try:
            if len(data) <= MAX_RECORD_BYTES:
                self._send(data)  # in one record
            else:
                self._connection.sendall(data)
        except SSL.Error as error:
            self.failure = TransportFailed(self._describe(error))
            raise self.failure from error
        return self._outgoing()

    def close(self) -> bytes:
        """The last bytes for the peer: a close_notify if the session is established."""
        if self.established and self.failure is None:
            self._connection.shutdown()
        return self._outgoing()

    def _count_records(self, data: bytes) -> int:
        """The number of records completed by these bytes; tracks record boundaries (RFC 8446 §5.1)."""
        if self._rest == UNKNOWN:
            return UNKNOWN
        data, at = self._head + data, self._rest
        whole = int(0 < at <= len(data))
        while at + RECORD_HEAD <= len(data):
            if data[at] not in RECORD_TYPES:  # not a record: leave it to OpenSSL, boundaries are unknown
                self._rest, self._at_boundary = UNKNOWN, False
                return UNKNOWN
            at += RECORD_HEAD + (data[at + 3] << 8) + data[at + 4]
            whole += at <= len(data)
        self._head, self._rest = data[at:], max(at - len(data), 0)
        self._at_boundary = at == len(data)
        return whole

    def _handshake(self) -> None:
        self._connection.do_handshake()
        # Never establish a session whose certificate was not checked.
        if isinstance(self._check, ServerCheck) and not self._check.matched:
            raise SSL.Error([("", "", "the peer's certificate was not verified")])
        self.established = True

    def _outgoing(self) -> bytes:
        out = b""
        try:
            while True:
                chunk = self._bio_read(MAX_WIRE_RECORD_BYTES)
                out = out + chunk if out else chunk
                if len(chunk) < MAX_WIRE_RECORD_BYTES:  # all read; one more call costs a third of the work
                    return out
        except SSL.Error:  # WantReadError: nothing more to send
            return out

    @property
    def _refused(self) -> bool:
        return self._check.fault is not None and not self.established

    def _describe(self, error: SSL.Error) -> str:
        who = self._check.name if isinstance(self._check, ServerCheck) else "peer"
        if self._refused:
            peer = who if who == "peer" else f"peer {who}"
            return f"TLS {peer} refused: its certificate {self._check.fault}"
        stage = "session" if self.established else "handshake"
        return f"TLS {stage} with {who} failed: {reasons(error)}"


def _ascii(name: str) -> bytes:
    try:
        return name.removesuffix(".").encode("idna")
    except UnicodeError as error:
        raise TransportFailed(f"host name cannot be sent as SNI: {name}") from error


def reasons(error: SSL.Error) -> str:
    """The reasons in an OpenSSL error, such as `unsupported protocol`."""
    queue = error.args[0] if error.args else ()
    reasons = [reason for *_, reason in queue if reason] if isinstance(queue, list) else []
    return "; ".join(dict.fromkeys(reasons)) or "the stream broke off"
