"""SRTP streams: SRTCP reports, and authentication in latching (RFC 3711 §3.4)."""

import asyncio

import pytest

from proxy.media.rtcp import compound, read
from proxy.media.sdes import SUITES, SrtpPolicy, usable
from proxy.media.sdp import parse_sdp
from proxy.media.srtp import receiver
from tests.media.test_secured import SecurePeer

SUITE = SUITES["AES_CM_128_HMAC_SHA1_80"]


def secured(rig, *lines: str) -> SecurePeer:
    """A caller whose SAVP offer we have answered."""
    peer = rig.peers["caller"] = SecurePeer(rig.network, "198.51.100.1", SUITE)
    offer = peer.secure_sdp() + "".join(f"{line}\r\n" for line in lines).encode()
    peer.take_key(rig.session.accept("caller", offer))
    peer.remote = rig.session.address("caller")
    return peer


async def test_our_reports_and_bye_are_srtcp(rig):
    caller, agent = secured(rig), rig.outgoing("agent")
    rig.session.join("caller", "agent")
    reports: list[bytes] = []
    host, port = caller.address
    beside = rig.network.bind(host, port + 1, lambda packet, source: reports.append(bytes(packet)))
    await asyncio.gather(caller.send_speech(300), agent.send_speech(300))
    rig.session.release("caller")
    await asyncio.sleep(0.01)
    opened = [caller.receiver.unprotect_rtcp(packet) for packet in reports]
    assert [report and read(report) is not None for report in opened] == [True, True]
    last = read(opened[-1])
    assert last is not None
    assert last.leaves
    assert last.blocks[0].ssrc == caller.ssrc
    beside.close()


@pytest.mark.parametrize("muxed", [False, True])
async def test_srtcp_reports_are_read_and_plain_ones_dropped(rig, muxed):
    caller, agent = secured(rig, *(["a=rtcp-mux"] if muxed else [])), rig.outgoing("agent")
    rig.session.join("caller", "agent")
    await asyncio.gather(caller.send_speech(5), agent.send_speech(5))
    plain = compound(caller.ssrc, None, (), "them", leaves=False)
    caller._endpoint.send(plain, (caller.remote[0], caller.remote[1] + (not muxed)))
    sealed = caller._sender.protect_rtcp(plain)
    caller._endpoint.send(sealed, (caller.remote[0], caller.remote[1] + (not muxed)))
    await asyncio.sleep(0.01)
    counts = rig.session.counts("caller")
    assert (counts.rtcp_in, counts.dropped, counts.packets_in) == (1, 1, 5)


async def test_authentic_source_is_latched_after_the_old_address_falls_silent(rig):
    caller, agent = secured(rig), rig.outgoing("agent")
    rig.session.join("caller", "agent")
    await caller.send_speech(5)
    await asyncio.sleep(0.3)
    caller.rebind("192.0.2.66")
    caller._endpoint.on_packet = caller._receive
    caller.ssrc, caller.sequence, caller.timestamp = 0xD00D, 7, 7
    await caller.send_speech(5)
    await agent.send_speech(2)
    assert (len(agent.heard), len(caller.heard)) == (10, 2)


async def test_mismatched_srtp_keys_are_reported_as_the_cause_of_silence(rig):
    rig.session.set_srtp_policy("agent", SrtpPolicy.REQUIRE)
    caller = rig.incoming("caller")
    values = parse_sdp(rig.session.offer("agent")).media[0].attributes("crypto")
    theirs = usable(values)[0][0]
    agent = rig.peers["agent"] = SecurePeer(rig.network, "198.51.100.9", theirs.suite, key=88)
    agent.receiver = receiver(theirs)
    rig.session.answered("agent", agent.secure_sdp(formats="0 101"))
    agent.remote = rig.session.address("agent")
    rig.session.join("caller", "agent")
    agent.set_key(99)
    await asyncio.gather(caller.send_speech(120), agent.send_speech(120))
    quality = rig.session.quality("agent")
    assert (quality.heard.packets, quality.unauthentic, quality.dropped) == (0, 120, 120)
    assert "SRTP" in str(quality.silent)
