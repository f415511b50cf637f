"""One TLS session without sockets, over memory BIOs (RFC 3261 §26.3)."""

from __future__ import annotations

import sys

from OpenSSL import SSL

from proxy.transport.flow import TransportFailed
from proxy.transport.identity import NOBODY, GuestCheck, PeerCheck, numeric

LONGEST = 16384
"""Bytes that a record may carry (RFC 8446 §5.1): what is asked for at once, so that one call has them all."""
ROOM = LONGEST + 1024
"""For a record on the wire, with its head and seal."""
UNTOLD = sys.maxsize
"""So many records have come, or are still to come, where only the library can say."""

APPLICATION_DATA = 23
RECORD_TYPES = range(20, 24)
RECORD_HEAD = 5
"""Bytes before a record's content: its type, a version, and the content's length in two (RFC 8446 §5.1)."""


class TlsEngine:
    """One TLS session: bytes from the peer in; bytes for the application and for the peer out.

    Its shell feeds it what the socket brings, writes what it returns, and looks at `established`,
    `failure` and `ended` after each step. Nothing here waits or raises for what a peer does.
    """

    def __init__(self, context: SSL.Context, check: PeerCheck | GuestCheck, *, mutual: bool = False) -> None:
        """A client that wants the peer of a `PeerCheck`, or a server that takes whom a `GuestCheck` lets in.

        `mutual`: a client that shows a certificate of its own.
        """
        self.established = False
        """The handshake is over, and the peer is whom we asked for."""
        self.failure: TransportFailed | None = None
        """Why the session broke; what was returned beside it holds the alert for the peer."""
        self.blame: str | None = None
        """What failed, in a word: the `certificate`, or the `protocol`."""
        self.ended = False
        """The peer closed its side in order (close_notify)."""
        self._between = True
        """No record has begun whose end is still to come."""
        self._head, self._rest = b"", 0
        """Of one that has begun: its head, as far as that came, or how much of its content is to come."""
        self._check = check
        self._mutual = mutual
        self._connection = SSL.Connection(context, None)
        self._connection.set_app_data(check)
        # Asked for once: a `Connection` looks for each of its names among those of a socket too.
        self._recv, self._send = self._connection.recv, self._connection.send
        self._bio_read, self._bio_write = self._connection.bio_read, self._connection.bio_write
        if isinstance(check, GuestCheck):
            self._connection.set_accept_state()
        else:
            self._connection.set_connect_state()
            if numeric(check.name) is None:
                self._connection.set_tlsext_host_name(_ascii(check.name))

    @property
    def peer_name(self) -> str | None:
        """The name that a client asked for, once it is verified; None for a server."""
        return self._check.name if isinstance(self._check, PeerCheck) and self.established else None

    @property
    def peer_names(self) -> frozenset[str]:
        """The names verified in the peer's certificate; none where it showed none that we can trust."""
        return self._check.names if self.established else NOBODY

    @property
    def mutual(self) -> bool:
        """Both ends have shown who they are (RFC 5923 §5)."""
        if isinstance(self._check, GuestCheck):
            return bool(self.peer_names)
        return self._mutual and self.established

    @property
    def cipher(self) -> str | None:
        """The cipher suite negotiated, by OpenSSL's name."""
        return self._connection.get_cipher_name()

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
        established, size, received = self.established, len(data), b""
        if (
            self._between
            and size > RECORD_HEAD
            and data[0] == APPLICATION_DATA
            and size == RECORD_HEAD + (data[3] << 8) + data[4]
        ):
            whole = 1
        else:
            whole = self._follow(data)
        if data:
            self._bio_write(data)
        try:
            if not established:
                self._handshake()
                whole = UNTOLD
            while whole:  # to be told by the library that there is no more is a third of the work
                record = self._recv(LONGEST)
                received = received + record if received else record
                whole -= 1
        except SSL.WantReadError:
            pass
        except SSL.ZeroReturnError:
            self.ended = True
        except SSL.Error as error:
            self.failure = TransportFailed(self._sentence(error))
            self.blame = "certificate" if self._refused else "protocol"
        if established and received and self.failure is None and not self.ended:
            # To be told by the library that there is no answer is a fifth of the work. If there is one, to a
            # KeyUpdate, it goes out before whatever we send next, which is soon enough (RFC 8446 §4.6.3).
            return received, b""
        return received, self._outgoing()

    def send(self, data: bytes) -> bytes:
        """Encrypt a message; raises TransportFailed unless the session is established and well."""
        if not self.established or self.failure is not None:
            raise TransportFailed("TLS session is not established")
        try:
            if len(data) <= LONGEST:
                self._send(data)  # in one record
            else:
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

    def _follow(self, data: bytes) -> int:
        """How many records these bytes end; note whether the last of them ends one (RFC 8446 §5.1)."""
        if self._rest == UNTOLD:
            return UNTOLD
        data, at = self._head + data, self._rest
        whole = int(0 < at <= len(data))
        while at + RECORD_HEAD <= len(data):
            if data[at] not in RECORD_TYPES:  # what this is, the library knows; where it ends, nobody here
                self._rest, self._between = UNTOLD, False
                return UNTOLD
            at += RECORD_HEAD + (data[at + 3] << 8) + data[at + 4]
            whole += at <= len(data)
        self._head, self._rest = data[at:], max(at - len(data), 0)
        self._between = at == len(data)
        return whole

    def _handshake(self) -> None:
        self._connection.do_handshake()
        # Never on a certificate that nobody judged.
        if isinstance(self._check, PeerCheck) and not self._check.matched:
            raise SSL.Error([("", "", "the peer's certificate was not verified")])
        self.established = True

    def _outgoing(self) -> bytes:
        out = b""
        try:
            while True:
                chunk = self._bio_read(ROOM)
                out = out + chunk if out else chunk
                if len(chunk) < ROOM:  # that was all; to be told so by the library is a third of the work
                    return out
        except SSL.Error:  # WantReadError: nothing more to send
            return out

    @property
    def _refused(self) -> bool:
        return self._check.fault is not None and not self.established

    def _sentence(self, error: SSL.Error) -> str:
        who = self._check.name if isinstance(self._check, PeerCheck) else "peer"
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
    """OpenSSL's own words, such as `unsupported protocol`."""
    queue = error.args[0] if error.args else ()
    reasons = [reason for *_, reason in queue if reason] if isinstance(queue, list) else []
    return "; ".join(dict.fromkeys(reasons)) or "the stream broke off"
