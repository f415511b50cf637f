"""Shared by the transport tests: a receiver that records, short messages, TLS files."""

from __future__ import annotations

import asyncio
from pathlib import Path

from proxy.sip.errors import ParseError
from proxy.transport.devcert import Authority
from proxy.transport.flow import Flow, TransportFailed
from proxy.transport.tls import ServerTls


def options(call_id: str = "1", body: bytes = b"") -> bytes:
    head = f"OPTIONS sip:edge@localhost SIP/2.0\r\nCall-ID: {call_id}\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


class Recorder:
    """A `Receiver` that queues what arrives, to be awaited in order."""

    def __init__(self) -> None:
        self.messages: asyncio.Queue[tuple[Flow, bytes]] = asyncio.Queue()
        self.losses: asyncio.Queue[tuple[Flow, TransportFailed]] = asyncio.Queue()
        self.faults: asyncio.Queue[tuple[Flow, ParseError]] = asyncio.Queue()
        self.goodbye: bytes | None = None
        """Sent from `unframeable`, before the flow is closed."""
        self.fails_on: bytes | None = None
        """A message for which `received` raises, as a bug would."""
        self.welcoming = True
        """Whether peers are known."""
        self.needing = False
        """Whether connections are still needed."""
        self.barring = False
        """Whether to drop new peers at once."""

    def welcomes(self, flow: Flow) -> bool:
        return self.welcoming

    def bars(self, flow: Flow) -> bool:
        return self.barring

    def needs(self, flow: Flow) -> bool:
        return self.needing

    def received(self, flow: Flow, data: bytes) -> None:
        if data == self.fails_on:
            raise LookupError("a bug in the receiver")
        self.messages.put_nowait((flow, data))

    def unframeable(self, flow: Flow, error: ParseError) -> None:
        if self.goodbye:
            flow.send(self.goodbye)
        self.faults.put_nowait((flow, error))

    def lost(self, flow: Flow, error: TransportFailed) -> None:
        self.losses.put_nowait((flow, error))

    def all_messages(self) -> list[bytes]:
        return [self.messages.get_nowait()[1] for _ in range(self.messages.qsize())]


def server_tls(folder: Path, authority: Authority, *names: str, ips: tuple[str, ...] = ()) -> ServerTls:
    """Certificate and key files of a listener, issued by this CA."""
    certificate, key = authority.issue(list(names), list(ips))
    tls = ServerTls(folder / "fullchain.pem", folder / "privkey.pem")
    Path(tls.certificate).write_bytes(certificate)
    Path(tls.key).write_bytes(key)
    return tls


def ca_file(folder: Path, authority: Authority) -> Path:
    """Write the CA certificate to a file for clients to trust."""
    path = folder / "ca.pem"
    path.write_bytes(authority.cert_pem)
    return path
