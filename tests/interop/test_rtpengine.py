"""SRTP between our relay and rtpengine, which passes plain RTP to the agent behind it."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from proxy.lab.audio import AGENT_HZ, CALLER_HZ, TonePeer
from proxy.media.engine import MediaEngine
from proxy.media.ports import PortPool
from proxy.media.sdes import SUITES, SrtpPolicy
from proxy.media.session import RelaySession
from proxy.media.udp import SocketMedia
from tests.interop.rtpengine import HOST, Rtpengine
from tests.sipp.ports import free_block

pytestmark = pytest.mark.network


@pytest.fixture
def rtpengine(tmp_path: Path) -> Iterator[Rtpengine]:
    with Rtpengine(tmp_path) as rtpengine:
        yield rtpengine


class Call:
    """A caller with plain RTP, our relay, and an agent behind rtpengine."""

    def __init__(self) -> None:
        first = free_block(8)
        media, self.ports = SocketMedia(), PortPool(first, first + 7)
        clock = asyncio.get_running_loop().time
        self.session = RelaySession(MediaEngine(media, self.ports, HOST, HOST, secrets.randbits, clock))
        self.caller, self.agent = TonePeer(media, HOST, CALLER_HZ), TonePeer(media, HOST, AGENT_HZ)
        self.caller.start_towards(self.session.accept("caller", self.caller.sdp()))

    async def talks(self) -> None:
        """Wait until each hears the other."""
        self.session.join("caller", "agent")
        async with asyncio.timeout(10):
            while not (self.caller.hears(AGENT_HZ) and self.agent.hears(CALLER_HZ)):
                await asyncio.sleep(0.02)

    def close(self) -> None:
        self.session.close()
        self.caller.close()
        self.agent.close()


@pytest.fixture
async def call() -> AsyncIterator[Call]:
    call = Call()
    yield call
    call.close()


async def test_rtpengine_accepts_our_srtp_offer_and_audio_is_relayed_rfc4568_5_1_3(
    rtpengine: Rtpengine, call: Call
) -> None:
    call.session.set_srtp_policy("agent", SrtpPolicy.REQUIRE)
    plain = rtpengine.offer(call.session.offer("agent"), **{"transport-protocol": "RTP/AVP"})
    assert b"a=crypto" not in plain
    call.agent.start_towards(plain)
    call.session.answered("agent", rtpengine.answer(call.agent.sdp()))
    await call.talks()
    assert call.session.srtp_suite("agent") == "AES_CM_128_HMAC_SHA1_80"
    counts = call.session.counts("agent")
    assert (counts.unauthentic, counts.dropped) == (0, 0)


@pytest.mark.parametrize("suite", SUITES)
async def test_we_accept_rtpengines_srtp_offer_in_each_suite_rfc4568_5_1_2(
    rtpengine: Rtpengine, call: Call, suite: str
) -> None:
    offer = rtpengine.offer(call.agent.sdp(), **{"transport-protocol": "RTP/SAVP", "DTLS": "off"})
    assert offer.count(b"a=crypto:") > len(SUITES)
    lines = [
        line for line in offer.splitlines(True) if b"crypto" not in line or f" {suite} ".encode() in line
    ]
    keyed = b"".join(lines)
    answer = call.session.accept("agent", keyed)
    call.agent.start_towards(rtpengine.answer(answer))
    await call.talks()
    assert call.session.srtp_suite("agent") == suite
    counts = call.session.counts("agent")
    assert (counts.unauthentic, counts.dropped) == (0, 0)
