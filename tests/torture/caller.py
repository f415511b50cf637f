"""Sends torture messages to the edge over one socket and checks the responses."""

from __future__ import annotations

import itertools
import socket
import ssl
from types import TracebackType
from typing import Self

from proxy.sip.framing import StreamFramer
from proxy.sip.message import Request, Response, parse_message
from proxy.sip.transactions import cancel_for
from tests.kit.message_grammar import faults
from tests.torture.edge import TortureEdge
from tests.torture.phone import rings

PATIENCE_S = 5.0
_unique = itertools.count(1)

SDP = """\
v=0
o=caller 29739 7272939 IN IP4 192.0.2.3
s=-
c=IN IP4 192.0.2.4
t=0 0
m=audio 49216 RTP/AVP 0
"""


def request(method: str, *lines: str) -> str:
    """A valid request, modified: each line replaces the header of its name, `-Name` removes that header.

    A line without a colon in its first word replaces the start line.
    """
    good = [
        f"{method} sip:door@example.com SIP/2.0",
        "Via: SIP/2.0/TRANSPORT 192.0.2.5:5060;branch=z9hG4bKUNIQUE",
        "Max-Forwards: 70",
        "From: <sip:caller@example.net>;tag=fUNIQUE",
        "To: <sip:door@example.com>",
        "Call-ID: UNIQUE",
        f"CSeq: 17 {method}",
        "Contact: <sip:caller@192.0.2.5:5060>",
        *(["Content-Type: application/sdp"] if method == "INVITE" else []),
        "Content-Length: LENGTH",
    ]
    given = {_name(line) for line in lines}
    start = next((line for line in lines if not _name(line)), good[0])
    kept = [line for line in good[1:] if _name(line) not in given]
    more = [line for line in lines if _name(line) and not line.startswith("-")]
    return "\n".join([start, *kept, *more])


def _name(line: str) -> str:
    """The name of a header to replace or remove; empty for a start line."""
    if line.startswith("-"):
        return line[1:].lower()
    name, colon, _ = line.partition(":")
    return name.strip().lower() if colon and " " not in name.strip() else ""


def wire(text: str, body: str | bytes = "", transport: str = "udp") -> bytes:
    """The bytes of a message on the wire, from a template.

    UNIQUE becomes a token unique to this message, TRANSPORT the transport, LENGTH the length of the body.
    Lines end in CRLF; non-ASCII text is UTF-8, and \\udcXX is the single byte XX.
    """
    content = body if isinstance(body, bytes) else _bytes(body.replace("\n", "\r\n"))
    head = text.strip("\n").replace("UNIQUE", f"u{next(_unique)}x").replace("LENGTH", str(len(content)))
    return _bytes((head + "\n\n").replace("\n", "\r\n").replace("TRANSPORT", transport.upper())) + content


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


class Caller:
    """One socket to the edge."""

    def __init__(self, edge: TortureEdge, transport: str) -> None:
        self.edge, self.transport = edge, transport
        self.stream = transport != "udp"
        address = (edge.host, edge.ports[transport])
        if not self.stream:
            self._socket = socket.socket(
                socket.AF_INET6 if ":" in edge.host else socket.AF_INET, socket.SOCK_DGRAM
            )
            self._socket.connect(address)
        else:
            self._socket = socket.create_connection(address, PATIENCE_S)
        if transport == "tls":
            context = ssl.create_default_context(cafile=str(edge.folder / "ca.pem"))
            self._socket = context.wrap_socket(self._socket, server_hostname="localhost")
        self._socket.settimeout(PATIENCE_S)
        self._framer, self._whole = StreamFramer(), list[bytes]()
        self.received: list[bytes] = []
        """The raw responses, except those to requests without the headers that a response must copy."""
        edge.phone.script = rings
        edge.phone.received.clear()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._socket.close()

    def send(self, text: str | bytes, body: str | bytes = "") -> bytes:
        """Send a message; returns the bytes sent."""
        data = text if isinstance(text, bytes) else wire(text, body, self.transport)
        self._socket.sendall(data)
        return data

    def receive(self, status: int) -> Response:
        """Wait for the next final response, or the next provisional one of this status; assert the status."""
        while True:
            response = self._next()
            assert response is not None, f"connection closed instead of {status}"
            if response.status >= 200 or response.status == status:
                assert response.status == status, response.encode().decode("utf-8", "replace")
                return response

    def expect_raw(self, status: int, text: str, body: str | bytes = "") -> bytes:
        """Send a message; assert the status of the response, which may lack what the request lacked."""
        self.send(text, body)
        data = self._read()
        assert data is not None
        assert data.startswith(f"SIP/2.0 {status} ".encode()), data
        return data

    def expect(self, status: int, text: str, body: str | bytes = "") -> Response:
        """Send a message; assert the status of the response."""
        self.send(text, body)
        return self.receive(status)

    def rings_phone(self, text: str | bytes, body: str | bytes = SDP) -> Request:
        """Send an INVITE, assert that it rings the phone, then CANCEL it. Returns the phone's INVITE."""
        while not self.edge.phone.invites.empty():
            self.edge.phone.invites.get()
        data = self.send(text, body)
        self.receive(180)
        rung = self.edge.phone.invites.get(timeout=PATIENCE_S)
        invite = parse_message(data)
        assert isinstance(invite, Request)
        self.send(cancel_for(invite).encode())
        statuses = set()
        while statuses != {200, 487}:
            response = self._next()
            assert response is not None
            if response.status >= 200:
                statuses.add(response.status)
        return rung

    def ack(self, invite: bytes, response: Response) -> None:
        """Send the ACK for a 2xx."""
        self.send(self._within(invite, response, "ACK", 0))

    def bye(self, invite: bytes, response: Response) -> None:
        """Send the BYE of an answered call; assert that it gets 200."""
        self.send(self._within(invite, response, "BYE", 1))
        self.receive(200)

    @staticmethod
    def _within(invite: bytes, response: Response, method: str, later: int) -> bytes:
        request = parse_message(invite)
        assert response.contact is not None
        number = request.cseq.number + later
        within = Request(method, response.contact.raw_uri, request.headers.copy())
        within.headers.set("Via", f"SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK{method}{next(_unique)}")
        within.headers.set("To", response.headers.get("To") or "")
        within.headers.set("CSeq", f"{number} {method}")
        within.headers.remove("Content-Type")
        return within.encode()

    def expect_no_response(self) -> None:
        """Assert that nothing was answered: the next response is the one to an OPTIONS sent now."""
        probe = parse_message(self.send(PROBE))
        response = self._next()
        assert response is not None, "connection closed instead of silence"
        assert (response.status, response.call_id) == (200, probe.call_id), response.start_line

    def expect_closed(self) -> None:
        """Assert that the edge has closed the connection."""
        assert self._next() is None

    def assert_strict(self) -> None:
        """Assert that all messages the edge sent to caller and phone follow the grammar of RFC 3261."""
        for data in (*self.received, *self.edge.phone.received):
            assert faults(data) == [], data.decode("utf-8", "replace")

    def assert_edge_responds(self) -> None:
        """Assert that the edge answers a valid request from another socket."""
        with Caller(self.edge, self.transport) as other:
            other.expect_no_response()

    def _next(self) -> Response | None:
        """The next response; None if the edge has closed the connection."""
        data = self._read()
        if data is None:
            return None
        self.received.append(data)
        response = parse_message(data)
        assert isinstance(response, Response), response.start_line
        return response

    def _read(self) -> bytes | None:
        while not self._whole:
            try:
                data = self._socket.recv(65535)
            except (ConnectionResetError, BrokenPipeError, ssl.SSLError):
                return None
            if not data:
                return None
            self._whole += self._framer.feed(data) if self.stream else [data]
        return self._whole.pop(0)


PROBE = """
OPTIONS sip:probe@localhost SIP/2.0
Via: SIP/2.0/TRANSPORT 127.0.0.1:5060;rport;branch=z9hG4bKUNIQUE
Max-Forwards: 70
From: <sip:probe@localhost>;tag=1
To: <sip:probe@localhost>
Call-ID: UNIQUE
CSeq: 1 OPTIONS
Content-Length: 0
"""
