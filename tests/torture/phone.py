"""A phone with scripted responses, over UDP, TCP and TLS."""

from __future__ import annotations

import queue
import socket
import ssl
import threading
from collections.abc import Callable
from pathlib import Path

from proxy.sip.framing import StreamFramer
from proxy.sip.message import Request, parse_message
from tests.sipp.ports import free_port

Script = Callable[[Request], list[bytes]]
"""Returns the responses to an INVITE, in order."""


def rings(invite: Request) -> list[bytes]:
    """Respond with 180 only; the call ends by CANCEL."""
    return [answer(invite, "SIP/2.0 180 Ringing")]


def answer(request: Request, status_line: str, *more: str, body: str = "") -> bytes:
    """A raw response to a request; each line in `more` replaces the header of its name."""
    lines = [
        *(f"Via: {value}" for value in request.headers.get_all("Via")),
        f"From: {request.headers.get('From')}",
        f"To: {request.headers.get('To')};tag=phone",
        f"Call-ID: {request.call_id}",
        f"CSeq: {request.headers.get('CSeq')}",
        f"Contact: <{request.uri}>",
    ]
    replaced = {line.partition(":")[0] for line in more}
    kept = [line for line in lines if line.partition(":")[0] not in replaced]
    length = f"Content-Length: {len(body)}"
    return "\r\n".join([status_line, *kept, *more, length, "", body]).encode("utf-8", "surrogateescape")


class Phone:
    """Listens for UDP, TCP and TLS on one address; queues every INVITE in `invites`."""

    def __init__(self, host: str, certificates: Path) -> None:
        self.script: Script = rings
        self.invites: queue.Queue[Request] = queue.Queue()
        self.others: queue.Queue[Request] = queue.Queue()
        """Received requests other than INVITE."""
        self.received: list[bytes] = []
        """All received messages, raw."""
        self.ports = {transport: free_port() for transport in ("udp", "tcp", "tls")}
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(certificates / "fullchain.pem", certificates / "privkey.pem")
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._sockets: list[socket.socket] = []
        for transport, port in self.ports.items():
            kind = socket.SOCK_DGRAM if transport == "udp" else socket.SOCK_STREAM
            listener = socket.socket(family, kind)
            listener.bind((host, port))
            self._sockets.append(listener)
            if transport != "udp":
                listener.listen()
            serve = self._datagrams if transport == "udp" else self._connections
            threading.Thread(target=serve, args=(listener, transport), daemon=True).start()

    def close(self) -> None:
        for each in self._sockets:
            each.close()

    def _datagrams(self, listener: socket.socket, transport: str) -> None:
        while True:
            try:
                data, source = listener.recvfrom(65535)
            except OSError:
                return
            if data.strip():
                self._take(data, lambda out, to=source: listener.sendto(out, to))  # type: ignore[misc]

    def _connections(self, listener: socket.socket, transport: str) -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=self._stream, args=(connection, transport), daemon=True).start()

    def _stream(self, connection: socket.socket, transport: str) -> None:
        framer = StreamFramer()
        try:
            if transport == "tls":
                connection = self._context.wrap_socket(connection, server_side=True)
            self._sockets.append(connection)
            while data := connection.recv(65535):
                for message in framer.feed(data):
                    self._take(message, connection.sendall)
        except OSError:
            return

    def _take(self, data: bytes, send: Callable[[bytes], object]) -> None:
        self.received.append(data)
        request = parse_message(data)
        if not isinstance(request, Request):
            return
        if request.method == "INVITE":
            self.invites.put(request)
            for out in self.script(request):
                send(out)
            return
        self.others.put(request)
        if request.method != "ACK":
            send(answer(request, "SIP/2.0 200 OK"))
        if request.method == "CANCEL":
            invite = Request("INVITE", request.uri, request.headers.copy())
            invite.headers.set("CSeq", f"{request.cseq.number} INVITE")
            send(answer(invite, "SIP/2.0 487 Request Terminated"))
