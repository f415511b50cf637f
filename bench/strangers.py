"""The CPU cost of a stranger's datagram, by kind, while nothing else goes on.

    python -m bench.strangers [--messages 20000]

Uses the real parts without sockets: the core's `received` is called as by the listener's reader.
"""

from __future__ import annotations

import argparse
import asyncio
import time
import tracemalloc
from collections.abc import Callable, Iterator

import structlog

from proxy.call.admission import Admission, BanPolicy
from proxy.transport.flow import ListenOn, Network
from proxy.transport.network import SocketNetwork
from proxy.transport.udp import UdpFlow, UdpListener
from proxy.ua.advertised import Advertised
from proxy.ua.core import UserAgentCore
from proxy.ua.ids import RandomIds

INVITE = """\
INVITE sip:+14155551234@sbc.example.com SIP/2.0
Via: SIP/2.0/UDP {host}:5060;branch=z9hG4bK{number};rport
Max-Forwards: 70
From: <sip:100@{host}>;tag={number}
To: <sip:+14155551234@sbc.example.com>
Call-ID: {number}
CSeq: 1 INVITE
Contact: <sip:100@{host}:5060>
User-Agent: {agent}
Content-Type: application/sdp
Content-Length: {length}

{body}"""
SDP = "v=0\r\no=- 1 1 IN IP4 192.0.2.66\r\ns=-\r\nc=IN IP4 192.0.2.66\r\nt=0 0\r\nm=audio 4000 RTP/AVP 0\r\n"

Datagram = tuple[str, bytes]


def invite(host: str, number: int, agent: str = "phone") -> bytes:
    """An INVITE as a scanner sends it."""
    text = INVITE.replace("\n", "\r\n")
    return text.format(host=host, number=number, agent=agent, length=len(SDP), body=SDP).encode()


def one_source(count: int) -> Iterator[Datagram]:
    """A persistent stranger: banned after its twentieth message."""
    return (("192.0.2.66", invite("192.0.2.66", number)) for number in range(count))


def scanner(count: int) -> Iterator[Datagram]:
    """A scanner that names itself: banned at its first message."""
    return (("192.0.2.66", invite("192.0.2.66", number, "friendly-scanner")) for number in range(count))


def many_sources(count: int) -> Iterator[Datagram]:
    """Every message from another address, as with forged sources: none is ever banned."""
    for number in range(count):
        host = f"10.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}"
        yield host, invite(host, number)


def nonsense(count: int) -> Iterator[Datagram]:
    """The same with bytes that are not SIP."""
    for number in range(count):
        yield f"11.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}", b"\xff" * 400


def guesses(count: int) -> Iterator[Datagram]:
    """Each with a tag in To, as if it belonged to a call: it has to be parsed to be refused."""
    for number in range(count):
        host = f"12.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}"
        yield host, invite(host, number).replace(b"sbc.example.com>", b"sbc.example.com>;tag=guess")


KINDS: dict[str, Callable[[int], Iterator[Datagram]]] = {
    "one source, banned": one_source,
    "a scanner, banned": scanner,
    "forged sources, INVITE": many_sources,
    "forged sources, nonsense": nonsense,
    "forged sources, INVITE with a guessed tag": guesses,
}


async def measure(kind: Callable[[int], Iterator[Datagram]], count: int) -> tuple[float, float]:
    """Return CPU microseconds per message, and KiB held after all of them."""
    network: Network = SocketNetwork()
    gate = Admission({"trunk": ["198.51.100.0/24", "203.0.113.7"]}, _nobody, BanPolicy())
    core = UserAgentCore(
        network, ids=RandomIds(), advertised=Advertised("sbc.example.com"), gate=gate, invited=lambda _: None
    )
    network.start(core)
    await network.listen(ListenOn("udp", ("127.0.0.1", 0)))
    listener: UdpListener = network._udp[0]  # type: ignore[attr-defined]  # SocketNetwork has it
    datagrams = list(kind(count))
    began = time.process_time()
    for host, data in datagrams:
        core.received(UdpFlow(listener, (host, 5060)), data)
    spent = time.process_time() - began
    tracemalloc.start()
    for host, data in datagrams:
        core.received(UdpFlow(listener, (host, 5060)), data)
    held = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    assert not any(core.left_over().values())
    await core.close()
    await network.close()
    return spent / count * 1e6, held / 1024


async def _nobody(name: str) -> tuple[list[str], float]:
    raise OSError(name)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--messages", type=int, default=20_000)
    count = parser.parse_args().messages
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(50))
    print(f"| {count} messages of | CPU µs each | KiB held after as many again |\n|---|---|---|")
    for name, kind in KINDS.items():
        each, held = asyncio.run(measure(kind, count))
        print(f"| {name} | {each:.1f} | {held:.0f} |")


if __name__ == "__main__":
    main()
