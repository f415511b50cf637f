"""Fuzz target for the RTP relay: packets are dropped or forwarded as a single RTP stream.

The input is a sequence of packets (RTP, RTCP, telephone-events), each after two octets: flags (from the peer
or a stranger, to which port, how long to wait afterwards) and the packet's length.
"""

import asyncio
import sys
from itertools import count
from pathlib import Path

import atheris

sys.path.insert(0, str(Path(__file__).parents[2]))

with atheris.instrument_imports(include=["proxy.media"]):
    from proxy.media.engine import MediaEngine
    from proxy.media.ports import PortPool
    from proxy.media.rtcp import Block, Sent, compound, read
    from proxy.media.rtp import HEADER, is_rtcp
    from proxy.media.session import RelaySession

from tests.fuzz.target import fuzz
from tests.kit.media import MemoryMedia
from tests.kit.virtual_loop import VirtualLoop

EDGE, PEER, OTHER, STRANGER = "203.0.113.10", "198.51.100.1", "198.51.100.2", "192.0.2.66"
SDP = (
    "v=0\r\no=- 1 1 IN IP4 {0}\r\ns=-\r\nc=IN IP4 {0}\r\nt=0 0\r\nm=audio 4000 RTP/AVP 0 101\r\n"
    "a=rtpmap:101 telephone-event/8000\r\na=rtcp-mux\r\n"
)
LOOP = VirtualLoop()


def framed(*packets: bytes, how: int = 0) -> bytes:
    return b"".join(bytes((how, len(packet))) + packet for packet in packets)


def rtp(n: int, pt: int, payload: bytes, *, timestamp: int | None = None, first: int = 0x80) -> bytes:
    return HEADER.pack(first, pt, 1000 + n, 160 * n if timestamp is None else timestamp, 0xA11CE) + payload


REPORT = compound(1, Sent(1.5, 8, 9, 10), (Block(1, 0.5, 7, 1003, 5, 1, 0.1),), "them", leaves=True)
SEEDS = [
    framed(*(rtp(n, 0, bytes(20)) for n in range(5))),
    framed(*(rtp(n, 101, bytes((n, 10, 0, 160 * n % 256)), timestamp=800) for n in range(4))),
    framed(rtp(0, 0, bytes(4)), rtp(1, 101, b"\x05\x8a\xff\xff"), rtp(2, 101, b"\x05\x0a\xff\xff")),
    framed(rtp(0, 0, bytes(24), first=0xBF), rtp(1, 0, bytes(8), first=0x90)),
    framed(rtp(0, 0, bytes(4)), REPORT) + framed(REPORT, how=2) + framed(REPORT, how=1),
]


class StreamChecker:
    """What one peer receives; asserts that RTCP can be parsed and that the SSRC of RTP never changes."""

    def __init__(self) -> None:
        self.ssrcs: set[int] = set()
        self.count = 0

    def __call__(self, packet: memoryview, source: tuple[str, int]) -> None:
        if is_rtcp(bytes(packet)):
            assert read(bytes(packet)) is not None
            return
        _, _, _, _, ssrc = HEADER.unpack_from(packet)
        self.ssrcs.add(ssrc)
        self.count += 1
        assert len(self.ssrcs) == 1


async def relay_packets(data: bytes) -> None:
    network, ports, ids = MemoryMedia(0.001, EDGE), PortPool(20000, 20003), count(1)
    session = RelaySession(
        MediaEngine(network, ports, EDGE, EDGE, lambda bits: next(ids) % (1 << bits), LOOP.time)
    )
    heard, strangers = StreamChecker(), StreamChecker()
    peer, other = network.bind(PEER, 4000, StreamChecker()), network.bind(OTHER, 4000, heard)
    stranger = network.bind(STRANGER, 4000, strangers)
    session.accept("caller", SDP.format(PEER).encode())
    session.offer("agent")
    session.answered("agent", SDP.format(OTHER).encode())
    session.join("caller", "agent")
    peer.send(rtp(0, 0, bytes(4)), (EDGE, 20000))
    await asyncio.sleep(0.01)
    at = 0
    while at + 2 <= len(data):
        how, size = data[at], data[at + 1]
        sender, port = (stranger if how & 1 else peer), 20000 + (how >> 1 & 1)
        sender.send(data[at + 2 : at + 2 + size], (EDGE, port))
        at += 2 + size
        if how & 4:
            await asyncio.sleep((how >> 3) / 4)
    await asyncio.sleep(0.01)
    assert strangers.count == 0
    session.quality("caller").as_dict()
    session.close()
    await asyncio.sleep(0.01)
    assert ports.lent == 0
    for endpoint in (peer, other, stranger):
        endpoint.close()
    assert network.open == {}


def one(data: bytes) -> None:
    read(data)
    LOOP.run_until_complete(relay_packets(data))
    assert not [each for each in LOOP._scheduled if not each.cancelled()]


if __name__ == "__main__":
    LOOP.set_exception_handler(lambda loop, context: sys.exit(f"{context}"))
    fuzz(one, SEEDS)
