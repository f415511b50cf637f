"""A scripted RTP peer for the media tests: sends packets field by field, and records those it receives."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from itertools import count
from typing import NamedTuple

from proxy.media.engine import MediaEngine
from proxy.media.ports import PortPool
from proxy.media.rtp import HEADER, is_rtcp
from proxy.media.session import RelaySession
from tests.kit.media import MemoryMedia

PUBLIC = "203.0.113.10"
SPEECH = bytes(range(160))


class Packet(NamedTuple):
    at: float
    source: tuple[str, int]
    marker: bool
    pt: int
    sequence: int
    timestamp: int
    ssrc: int
    payload: bytes


class Peer:
    def __init__(
        self, network: MemoryMedia, host: str = "198.51.100.7", port: int = 0, ssrc: int = 0xABCD
    ) -> None:
        self._network = network
        self._endpoint = network.bind(host, port, self._received)
        self.address = self._endpoint.address
        self.ssrc = ssrc
        self.sequence = 1000
        self.timestamp = 50000
        self.heard: list[Packet] = []
        self.remote: tuple[str, int] | None = None
        self.rtcp: Callable[[bytes, tuple[str, int]], None] = lambda packet, source: None
        """Called with each RTCP packet received on the RTP port."""

    def rebind(self, host: str) -> None:
        """Send from another port, on that host, from now on."""
        self._endpoint.close()
        self._endpoint = self._network.bind(host, 0, self._received)
        self.address = self._endpoint.address

    def sdp(
        self, formats: str = "0 8 101", *lines: str, host: str | None = None, port: int | None = None
    ) -> bytes:
        maps = {"0": "PCMU/8000", "8": "PCMA/8000", "9": "G722/8000", "101": "telephone-event/8000"}
        maps |= {"96": "telephone-event/8000", "107": "opus/48000/2", "18": "G729/8000", "3": "GSM/8000"}
        maps |= {"13": "CN/8000", "100": "telephone-event/48000"}
        text = [
            "v=0",
            "o=them 4711 1 IN IP4 192.0.2.99",
            "s=secret",
            f"c=IN IP4 {host or self.address[0]}",
            "t=0 0",
        ]
        text.append(f"m=audio {self.address[1] if port is None else port} RTP/AVP {formats}")
        text += [f"a=rtpmap:{pt} {maps[pt]}" for pt in formats.split()]
        return ("\r\n".join([*text, *lines]) + "\r\n").encode()

    def send(
        self, sequence: int, timestamp: int, *, pt: int = 0, payload: bytes = SPEECH, marker: bool = False
    ) -> None:
        assert self.remote is not None
        second = pt | (0x80 if marker else 0)
        packet = HEADER.pack(0x80, second, sequence & 0xFFFF, timestamp & 0xFFFFFFFF, self.ssrc) + payload
        self._endpoint.send(packet, self.remote)

    def send_raw(self, packet: bytes, *, rtcp: bool = False) -> None:
        assert self.remote is not None
        host, port = self.remote
        self._endpoint.send(packet, (host, port + rtcp))

    async def send_speech(self, packets: int = 1, *, pt: int = 0, payload: bytes = SPEECH) -> None:
        """Send that many packets, 20 ms apart."""
        for _ in range(packets):
            self.send(self.sequence, self.timestamp, pt=pt, payload=payload)
            self.sequence += 1
            self.timestamp += 160
            await asyncio.sleep(0.02)

    def _received(self, borrowed: memoryview, source: tuple[str, int]) -> None:
        packet = bytes(borrowed)
        if is_rtcp(packet):
            return self.rtcp(packet, source)
        _, second, sequence, timestamp, ssrc = HEADER.unpack_from(packet)
        at = asyncio.get_running_loop().time()
        self.heard.append(
            Packet(at, source, second >> 7 == 1, second & 0x7F, sequence, timestamp, ssrc, bytes(packet[12:]))
        )


class Rig:
    """A relay session on a memory network, with peers by leg name."""

    def __init__(self, low: int = 20000, high: int = 20099) -> None:
        self.network = MemoryMedia()
        self.ports = PortPool(low, high)
        self.session = self.new_session()
        self.peers: dict[str, Peer] = {}

    def new_session(self) -> RelaySession:
        clock = asyncio.get_running_loop().time
        return RelaySession(MediaEngine(self.network, self.ports, "0.0.0.0", PUBLIC, counting(), clock))

    def peer(self, leg: str) -> Peer:
        """Add a peer with its own host and SSRC, before any SDP exchange."""
        number = len(self.peers) + 1
        peer = self.peers[leg] = Peer(self.network, f"198.51.100.{number}", ssrc=0xA000 + number)
        return peer

    def incoming(self, leg: str, formats: str = "0 8 101", *lines: str) -> Peer:
        """Add a peer whose offer we have answered."""
        peer = self.peer(leg)
        self.session.accept(leg, peer.sdp(formats, *lines))
        peer.remote = self.session.address(leg)
        return peer

    def outgoing(self, leg: str, formats: str = "0 101", *lines: str) -> Peer:
        """Add a peer that has answered our offer."""
        peer = self.peer(leg)
        self.session.offer(leg)
        self.session.answered(leg, peer.sdp(formats, *lines))
        peer.remote = self.session.address(leg)
        return peer


def counting() -> Callable[[int], int]:
    """An `ids` function that counts up, in place of random bits."""
    numbers = count(1)
    return lambda bits: next(numbers) % (1 << bits)
