"""RTP streams: latching, and packets from strangers or with hostile content."""

import asyncio
import random

import pytest

from proxy.media.rtp import HEADER
from tests.kit.media import MemoryMedia
from tests.media.peer import SPEECH, Peer


@pytest.fixture
async def joined(rig):
    caller, agent = rig.incoming("caller"), rig.outgoing("agent")
    rig.session.join("caller", "agent")
    return caller, agent


async def test_peer_not_yet_heard_is_sent_to_at_its_sdp_address(joined):
    caller, agent = joined
    await agent.send_speech(2)
    assert len(caller.heard) == 2


async def test_peer_behind_nat_is_sent_to_at_its_source_address(rig):
    inside = rig.peer("caller")
    outside = rig.peer("nat")
    agent = rig.outgoing("agent")
    rig.session.accept("caller", inside.sdp())
    outside.remote = rig.session.address("caller")
    rig.session.join("caller", "agent")
    await outside.send_speech(1)
    await agent.send_speech(2)
    assert (len(outside.heard), len(inside.heard)) == (2, 0)


async def test_peer_behind_nat_is_latched_with_extensions_or_csrcs(rig):
    """Many phones and bridges send header extensions and CSRCs."""
    outside, agent = rig.peer("nat"), rig.outgoing("agent")
    rig.session.accept("caller", rig.peer("caller").sdp())
    outside.remote = rig.session.address("caller")
    rig.session.join("caller", "agent")
    for first, more in ((0x90, b"\xbe\xde\0\1extn"), (0x81, b"csrc")) * 2:
        header = HEADER.pack(first, 0, outside.sequence, outside.timestamp, outside.ssrc)
        outside.send_raw(header + more + SPEECH)
        outside.sequence += 1
        outside.timestamp += 160
        await asyncio.sleep(0.02)
    assert len(agent.heard) == 4
    assert rig.session.counts("caller").dropped == 0


async def test_later_source_is_neither_sent_to_nor_relayed(rig, joined):
    caller, agent = joined
    await caller.send_speech(1)
    thief = rig.peer("thief")
    thief.remote = rig.session.address("caller")
    await thief.send_speech(5)
    await agent.send_speech(2)
    assert thief.heard == []
    assert len(caller.heard) == 2
    assert len(agent.heard) == 1
    assert rig.session.counts("caller").dropped == 5


async def test_signalled_address_takes_over_from_an_earlier_source(rig, joined):
    caller, agent = joined
    thief = rig.peer("thief")
    thief.remote = rig.session.address("caller")
    await thief.send_speech(1)
    await caller.send_speech(1)
    await thief.send_speech(1)
    await agent.send_speech(2)
    assert thief.heard == []
    assert len(caller.heard) == 2
    assert len(agent.heard) == 2


async def test_malformed_packets_do_not_latch(rig, joined):
    caller, agent = joined
    thief = rig.peer("thief")
    thief.remote = rig.session.address("caller")
    for noise in (
        b"",
        b"\x80",
        b"\x80\x0d" + bytes(20),
        b"\x00" * 40,
        b"\x80\xc8" + bytes(30),
        b"\x90\x00" + bytes(11),
    ):
        thief.send_raw(noise)
    await agent.send_speech(2)
    assert thief.heard == []
    assert len(caller.heard) == 2
    counts = rig.session.counts("caller")
    assert (counts.packets_in, counts.dropped, counts.rtcp_in) == (0, 6, 0)


async def test_new_offer_unlatches_and_its_address_is_used_at_once(rig, joined):
    caller, agent = joined
    await caller.send_speech(1)
    moved = rig.peer("moved")
    moved.remote = caller.remote
    rig.session.accept("caller", moved.sdp())
    await agent.send_speech(1)
    assert (len(caller.heard), len(moved.heard)) == (0, 1)
    await moved.send_speech(1)
    await agent.send_speech(1)
    assert len(moved.heard) == 2
    await caller.send_speech(3)
    assert rig.session.counts("caller").dropped == 3


async def test_repeated_offer_with_the_same_address_keeps_the_latch(rig):
    inside, outside = rig.peer("caller"), rig.peer("nat")
    agent = rig.outgoing("agent")
    rig.session.accept("caller", inside.sdp())
    outside.remote = rig.session.address("caller")
    rig.session.join("caller", "agent")
    await outside.send_speech(1)
    rig.session.accept("caller", inside.sdp())
    await agent.send_speech(1)
    assert (len(outside.heard), len(inside.heard)) == (1, 0)


async def test_packets_before_negotiation_are_dropped(rig):
    rig.session.offer("agent")
    early = rig.peer("early")
    early.remote = rig.session.address("agent")
    await early.send_speech(2)
    assert rig.session.counts("agent").dropped == 2


async def test_new_ssrc_of_a_peer_continues_one_stream_to_the_other(rig, joined):
    caller, agent = joined
    await agent.send_speech(2)
    agent.ssrc, agent.sequence, agent.timestamp = 99, 7, 7
    await agent.send_speech(2)
    assert len({packet.ssrc for packet in caller.heard}) == 1
    assert [packet.sequence - caller.heard[0].sequence for packet in caller.heard] == [0, 1, 2, 3]
    assert [packet.marker for packet in caller.heard] == [True, False, True, False]


async def test_rtcp_is_counted_and_not_forwarded(rig, joined):
    caller, agent = joined
    report = b"\x80\xc8\0\x06" + bytes(24)
    caller.send_raw(report, rtcp=True)
    caller.send_raw(report)
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert rig.session.counts("caller").rtcp_in == 2
    rig.session.release("caller")
    assert rig.session.counts("caller").rtcp_in == 2
    assert agent.heard == []


async def test_random_packets_never_raise(rig, joined, tmp_path):
    caller, agent = joined
    failures = []
    asyncio.get_running_loop().set_exception_handler(lambda loop, context: failures.append(context))
    rig.session.record("caller", tmp_path / "noise.wav")
    chance = random.Random(4475)
    for _ in range(3000):
        size = chance.choice((0, 1, 8, 11, 12, 13, 16, 40, 172, 1500))
        packet = bytearray(chance.randbytes(size))
        if size > 1 and chance.random() < 0.9:
            packet[0] = 0x80 | (packet[0] & 0x3F)
            packet[1] = (packet[1] & 0x80) | chance.choice((0, 8, 101, 13, 72))
        caller.send_raw(bytes(packet), rtcp=chance.random() < 0.1)
        await asyncio.sleep(0)
    await asyncio.sleep(0.1)
    assert failures == []
    assert agent.heard


async def test_memory_network_drops_packets_to_a_closed_endpoint():
    network = MemoryMedia(delay=0.05)
    peer = Peer(network)
    other = network.bind("198.51.100.77", 4000, lambda packet, source: None)
    peer.remote = other.address
    peer.send(1, 1)
    other.close()
    other.close()
    other.send(b"x", peer.address)
    await asyncio.sleep(0.1)
    assert network.strayed == 1
    assert peer.heard == []


async def test_memory_network_loses_the_chosen_packets():
    network = MemoryMedia()
    peer = Peer(network)
    peer.remote = peer.address
    network.lose = lambda source, to, packet: packet[3] == 2
    for sequence in (1, 2, 3):
        peer.send(sequence, 1)
    await asyncio.sleep(0.01)
    assert [packet.sequence for packet in peer.heard] == [1, 3]


async def test_packet_older_than_the_first_after_a_join_is_dropped(rig, joined):
    caller, agent = joined
    await agent.send_speech(1)
    phone = rig.outgoing("phone")
    rig.session.join("caller", "phone")
    for sequence in (50, 49, 51):
        phone.send(sequence, sequence * 160)
    await asyncio.sleep(0.01)
    assert [packet.sequence - caller.heard[0].sequence for packet in caller.heard] == [0, 1, 2]
