"""A flood at one audio port, on real sockets: other calls and signalling go on."""

from __future__ import annotations

import asyncio
import socket
import sys
from pathlib import Path

import pytest

from proxy import assembly
from proxy.app import App
from proxy.call.routing import Number
from proxy.config import parse
from proxy.media.rtp import HEADER
from tests.kit.messages import invite
from tests.test_app import OPTIONS, SETTINGS

pytestmark = pytest.mark.network

FLOOD_S = 2.0
FLOOD = """
import socket, sys, time
port, seconds = int(sys.argv[1]), float(sys.argv[2])
out = socket.socket(fileno=int(sys.argv[3]))
packets = [bytes([0x80, 0, n, 0]) + bytes(4) + bytes([n]) * 4 + bytes(160) for n in range(256)]
began, sent = time.monotonic(), 0
while (passed := time.monotonic() - began) < seconds:
    for _ in range(min(2000, round(60_000 * passed) - sent)):
        try:
            out.sendto(packets[sent % 256], ("127.0.0.1", port))
        except BlockingIOError:
            break
        sent += 1
    time.sleep(0.0005)
print(sent)
"""
"""A program that sends 60,000 packets a second, under 256 SSRCs."""


def bound() -> socket.socket:
    made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    made.setblocking(False)
    made.bind(("127.0.0.1", 0))
    return made


def sdp(end: socket.socket) -> bytes:
    port = end.getsockname()[1]
    lines = ("v=0", "o=- 1 1 IN IP4 127.0.0.1", "s=-", "c=IN IP4 127.0.0.1", "t=0 0")
    return "\r\n".join([*lines, f"m=audio {port} RTP/AVP 0\r\n"]).encode()


class Talk:
    """A call of two endpoints; the first sends audio to the second."""

    def __init__(self, app: App, number: Number) -> None:
        self.session = app._media(number)
        self.ends = bound(), bound()
        self.session.accept("caller", sdp(self.ends[0]))
        self.session.offer("phone")
        self.session.answered("phone", sdp(self.ends[1]))
        self.session.join("caller", "phone")
        self.sent = self.heard = 0
        self.late_s: list[float] = []

    @property
    def port(self) -> int:
        return self.session.address("caller")[1]

    async def send_audio(self, seconds: float) -> None:
        """Send a packet every 20 ms; its RTP timestamp encodes its index."""
        loop = asyncio.get_running_loop()
        loop.add_reader(self.ends[1].fileno(), self._receive_audio)
        began = loop.time()
        self.at: dict[int, float] = {}
        while loop.time() - began < seconds:
            self.at[self.sent] = loop.time()
            packet = HEADER.pack(0x80, 0, self.sent & 0xFFFF, 160 * self.sent, 0xA11CE) + bytes(160)
            self.ends[0].sendto(packet, ("127.0.0.1", self.port))
            self.sent += 1
            await asyncio.sleep(began + self.sent * 0.02 - loop.time())
        await asyncio.sleep(0.2)
        loop.remove_reader(self.ends[1].fileno())

    def _receive_audio(self) -> None:
        packet = self.ends[1].recv(2048)
        if packet[12:] == bytes(160):
            self.late_s.append(asyncio.get_running_loop().time() - self.at[self.heard])
            self.heard += 1

    def close(self) -> None:
        self.session.close()
        for end in self.ends:
            end.close()


async def probe_with_options(port: int, seconds: float) -> list[float]:
    """Send OPTIONS for ``seconds``; return how long each answer took."""
    loop, waits = asyncio.get_running_loop(), list[float]()
    with bound() as peer:
        until = loop.time() + seconds
        while loop.time() < until:
            asked = OPTIONS.replace(b"z9hG4bK1", b"z9hG4bK%d" % (100 + len(waits)))
            began = loop.time()
            await loop.sock_sendto(peer, asked, ("127.0.0.1", port))
            await asyncio.wait_for(loop.sock_recv(peer, 4096), 2)
            waits.append(loop.time() - began)
            await asyncio.sleep(0.05)
    return waits


@pytest.mark.parametrize("who", ["stranger", "peer"])
async def test_a_flood_of_one_audio_port_does_not_affect_other_calls_or_signalling(
    tmp_path: Path, who: str
) -> None:
    text = SETTINGS.replace("PORT", "0").replace("FOLDER", str(tmp_path))
    told = parse(text, {}, file="test.toml", folder=tmp_path)
    number = assembly.routing(told).find(invite())
    assert number is not None
    async with App(told) as app:
        flooded, calm, stranger = Talk(app, number), Talk(app, number), bound()
        await flooded.send_audio(0.1)  # now the source of the stream is latched
        out = (stranger if who == "stranger" else flooded.ends[0]).fileno()
        arguments = [str(flooded.port), str(FLOOD_S), str(out)]
        flooder = await asyncio.create_subprocess_exec(
            sys.executable, "-c", FLOOD, *arguments, stdout=asyncio.subprocess.PIPE, pass_fds=[out]
        )
        waits, _ = await asyncio.gather(
            probe_with_options(app.advertised.ports["udp"], FLOOD_S), calm.send_audio(FLOOD_S)
        )
        said, _ = await flooder.communicate()
        assert int(said) > 20_000 * FLOOD_S  # a busy machine sends fewer than 60,000 a second
        counts = flooded.session.counts("caller")
        if who == "stranger":
            assert counts.dropped > 1000
            assert counts.packets_in == flooded.session.counts("phone").packets_out == flooded.sent
        else:
            assert counts.packets_in > 1000
            assert flooded.session.counts("phone").packets_out <= counts.packets_in
        assert calm.session.counts("caller").dropped == 0
        assert (calm.heard, calm.session.counts("caller").lost) == (calm.sent, 0)
        assert sorted(calm.late_s)[len(calm.late_s) // 2] < 0.01
        assert sorted(waits)[len(waits) // 2] < 0.02
        assert len(waits) > 20
        flooded.close()
        calm.close()
        stranger.close()
        assert app.ports.lent == 0
