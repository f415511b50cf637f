"""Test tones of the lab's peers: detection, gaps, and breaks in the RTP stream."""

import asyncio
from itertools import pairwise

import pytest

from proxy.lab.audio import AGENT_HZ, CALLER_HZ, KNOWN_HZ, PHONE_HZ, RINGBACK_HZ, StreamBreaks, TonePeer
from proxy.media.formats import PCMA
from proxy.media.rtp import HEADER
from proxy.media.sdp import Direction
from tests.kit.media import MemoryMedia
from tests.media.peer import Rig

pytestmark = pytest.mark.virtual


async def test_tone_peers_recognise_each_other_by_tone():
    network = MemoryMedia()
    one, two = TonePeer(network, "192.0.2.1", CALLER_HZ), TonePeer(network, "192.0.2.2", AGENT_HZ)
    one.start_towards(two.sdp())
    two.start_towards(one.sdp(formats=(PCMA,)))
    await asyncio.sleep(2)
    switched = asyncio.get_running_loop().time()
    one.stop()
    one.stop()
    await asyncio.sleep(1)
    assert set(two.heard()) == {CALLER_HZ}
    assert two.heard()[CALLER_HZ] == pytest.approx(2.0, abs=0.1)
    assert set(one.heard()) == {AGENT_HZ}
    assert two.hears(CALLER_HZ)
    assert not two.hears(CALLER_HZ, since=switched + 0.1)
    assert one.hears(AGENT_HZ, since=switched)
    assert not one.hears(PHONE_HZ)
    two.stop()
    await asyncio.sleep(0.01)
    assert one.packets_heard == two.packets_sent
    one.close()
    two.close()
    assert network.open == {}


@pytest.mark.parametrize("frequency", [*KNOWN_HZ, 350])
async def test_each_tone_is_recognised_as_itself_only(frequency):
    network = MemoryMedia()
    one, two = TonePeer(network, "192.0.2.1", frequency), TonePeer(network, "192.0.2.2", frequency)
    one.start(two.address)
    await asyncio.sleep(1)
    assert set(two.heard()) == {frequency}
    one.close()


async def test_a_relayed_call_with_a_transfer_has_no_breaks_in_its_rtp_streams():
    rig = Rig()
    caller, agent, phone = (
        TonePeer(rig.network, f"192.0.2.{n}", hz) for n, hz in enumerate((CALLER_HZ, AGENT_HZ, PHONE_HZ))
    )
    session = rig.session
    caller.start_towards(session.accept("caller", caller.sdp()))
    agent.start_towards(session.offer("agent"))
    session.answered("agent", agent.sdp())
    session.join("caller", "agent")
    await asyncio.sleep(1)
    session.release("agent")
    session.ringback("caller", True)
    await asyncio.sleep(1)
    phone.start_towards(session.offer("phone"))
    session.answered("phone", phone.sdp())
    session.join("caller", "phone")
    at = asyncio.get_running_loop().time()
    session.ringback("caller", False)
    await asyncio.sleep(1)
    assert set(caller.heard()) == {AGENT_HZ, RINGBACK_HZ, PHONE_HZ}
    assert set(phone.heard()) == {CALLER_HZ}
    assert caller.line_breaks == phone.line_breaks == StreamBreaks()
    assert not caller.line_breaks
    assert caller.longest_gap_ms(at - 1.5, at + 0.5) <= 40
    for peer in (caller, agent, phone):
        peer.close()
    session.close()
    assert rig.network.open == {}


async def test_audio_gaps_are_measured_up_to_the_ends_of_the_time_span():
    network = MemoryMedia()
    one, two = TonePeer(network, "192.0.2.1", CALLER_HZ), TonePeer(network, "192.0.2.2", AGENT_HZ)
    began = asyncio.get_running_loop().time()
    assert two.longest_gap_ms(began, began + 1) == pytest.approx(1000)
    one.start(two.address)
    await asyncio.sleep(1)
    one.stop()
    await asyncio.sleep(0.5)
    one.start(two.address)
    await asyncio.sleep(0.5)
    one.stop()
    assert two.longest_gap_ms(began, began + 0.9) == pytest.approx(20, abs=1)
    assert two.longest_gap_ms(began, began + 1.9) == pytest.approx(520, abs=21)
    assert two.longest_gap_ms(began + 1.9, began + 9.9) == pytest.approx(7900, abs=150)


async def test_ssrc_changes_sequence_jumps_and_backward_timestamps_are_counted():
    network = MemoryMedia()
    ear = TonePeer(network, "192.0.2.1", CALLER_HZ)
    mouth = network.bind("192.0.2.2", 4000, lambda packet, source: None)
    for sequence, timestamp, ssrc, pt in (
        (1, 1000, 7, 0),
        (2, 900, 7, 0),
        (5, 1160, 7, 0),
        (6, 1320, 8, 0),
        (7, 9, 8, 101),
    ):
        mouth.send(HEADER.pack(0x80, pt, sequence, timestamp, ssrc) + bytes(160), ear.address)
    mouth.send(b"noise", ear.address)
    mouth.send(bytes((0x80, 200, 0, 6)) + bytes(24), ear.address)  # RTCP, not audio (RFC 5761 §4)
    await asyncio.sleep(0.01)
    assert ear.line_breaks == StreamBreaks(ssrc_changes=1, sequence_jumps=1, timestamps_backwards=1)
    assert ear.line_breaks


async def test_the_peers_sdp_can_offer_hold():
    peer = TonePeer(MemoryMedia(), "192.0.2.1", CALLER_HZ)
    assert b"a=sendonly\r\n" in peer.sdp(direction=Direction.SENDONLY, version=2)


async def test_a_dtmf_event_replaces_the_tone_within_the_same_rtp_stream_rfc4733_2_5_1():
    network, packets = MemoryMedia(), []
    peer = TonePeer(network, "192.0.2.1", CALLER_HZ)
    ear = network.bind("192.0.2.2", 4000, lambda packet, source: packets.append(packet))
    peer.start(ear.address)
    await asyncio.sleep(0.1)
    peer.press("#")
    await asyncio.sleep(0.4)
    peer.stop()
    headers = [HEADER.unpack_from(packet) for packet in packets]
    assert {b[2] - a[2] for a, b in pairwise(headers)} == {1}
    keys = [
        (head, packet[12:]) for head, packet in zip(headers, packets, strict=True) if head[1] & 0x7F == 101
    ]
    assert [body for _, body in keys] == [
        *(bytes((11, 0x0A)) + (160 * n).to_bytes(2, "big") for n in range(1, 6)),
        *[bytes((11, 0x8A)) + (800).to_bytes(2, "big")] * 3,
    ]
    assert len({head[3] for head, _ in keys}) == 1
    assert [head[1] >> 7 for head, _ in keys] == [1] + [0] * 7
