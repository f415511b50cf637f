"""Symmetric RTP: which source a leg latches to, rule by rule."""

import asyncio

import pytest

from proxy.media.latch import may_take

PEER, NAMED, ELSEWHERE = ("198.51.100.1", 4000), ("198.51.100.1", 4002), ("192.0.2.66", 4000)


@pytest.mark.parametrize(
    ("source", "holder", "silent_s", "same_line", "taken"),
    [
        (ELSEWHERE, None, 0.0, False, True),
        (NAMED, ELSEWHERE, 0.0, False, True),
        (ELSEWHERE, PEER, 3600.0, False, False),
        (ELSEWHERE, PEER, 0.1, True, False),
        (ELSEWHERE, PEER, 0.2, True, True),
        ((PEER[0], 5000), PEER, 2.9, False, False),
        ((PEER[0], 5000), PEER, 3.0, False, True),
    ],
)
def test_may_take_follows_the_latching_rules(source, holder, silent_s, same_line, taken):
    assert may_take(source, holder=holder, named=NAMED, silent_s=silent_s, same_line=same_line) is taken


@pytest.fixture
async def joined(rig):
    caller, agent = rig.incoming("caller"), rig.outgoing("agent")
    rig.session.join("caller", "agent")
    await caller.send_speech(2)
    return caller, agent


def moved(rig, caller, *, host: str | None = None):
    """A peer that sends to the caller's port from another address."""
    other = rig.peer("moved")
    if host is not None:
        other.rebind(host)
    other.remote = caller.remote
    return other


@pytest.mark.parametrize("number", [1000, 40000, 65530])
async def test_nat_rebinding_during_speech_is_followed_after_ten_packets(rig, number):
    caller, agent = rig.incoming("caller"), rig.outgoing("agent")
    rig.session.join("caller", "agent")
    caller.sequence = number
    await caller.send_speech(2)
    other = moved(rig, caller)
    other.ssrc, other.sequence, other.timestamp = caller.ssrc, caller.sequence, caller.timestamp
    await other.send_speech(20)
    await agent.send_speech(1)
    assert (len(other.heard), len(caller.heard)) == (1, 0)
    dropped = rig.session.counts("caller").dropped
    assert 8 <= dropped <= 10
    assert len(agent.heard) == 22 - dropped


async def test_source_with_the_peer_s_ssrc_cannot_take_over_while_it_speaks(rig, joined):
    caller, agent = joined
    thief = moved(rig, caller)
    thief.ssrc, thief.sequence, thief.timestamp = caller.ssrc, caller.sequence, caller.timestamp
    await asyncio.gather(caller.send_speech(50), thief.send_speech(50))
    await agent.send_speech(1)
    assert (len(thief.heard), len(caller.heard)) == (0, 1)
    assert rig.session.counts("caller").dropped == 50


async def test_peer_restarting_on_another_port_is_latched_after_three_seconds(rig, joined):
    caller, agent = joined
    other = moved(rig, caller, host=caller.address[0])
    await other.send_speech(200)
    await agent.send_speech(1)
    assert (len(other.heard), len(caller.heard)) == (1, 0)
    assert 148 <= rig.session.counts("caller").dropped <= 150


async def test_stranger_never_takes_over_a_leg_however_long_it_is_silent(rig, joined):
    caller, agent = joined
    await asyncio.sleep(300)
    thief = moved(rig, caller)
    await thief.send_speech(10)
    await agent.send_speech(1)
    assert (len(thief.heard), len(caller.heard)) == (0, 1)
    assert len(agent.heard) == 2


async def test_right_ssrc_with_a_wrong_sequence_cannot_take_over_a_silent_leg(rig, joined):
    caller, agent = joined
    await asyncio.sleep(10)
    thief = moved(rig, caller)
    thief.ssrc, thief.sequence = caller.ssrc, caller.sequence + 20000
    await thief.send_speech(10)
    await agent.send_speech(1)
    assert (len(thief.heard), len(caller.heard)) == (0, 1)
    assert len(agent.heard) == 2


async def test_session_refresh_does_not_reopen_the_latch_rfc4028_7_4(rig, joined):
    caller, agent = joined
    rig.session.accept("caller", caller.sdp())
    thief = moved(rig, caller)
    await thief.send_speech(5)
    await agent.send_speech(1)
    assert (len(thief.heard), len(caller.heard)) == (0, 1)
    assert len(agent.heard) == 2


async def test_peer_resuming_from_hold_may_use_another_nat_port_rfc3264_8_4(rig, joined):
    caller, agent = joined
    rig.session.accept("caller", caller.sdp("0 8 101", "a=inactive"))
    await asyncio.sleep(30)
    rig.session.accept("caller", caller.sdp())
    other = moved(rig, caller, host=caller.address[0])
    await other.send_speech(155)
    await agent.send_speech(1)
    assert (len(other.heard), len(caller.heard)) == (1, 0)


async def test_packets_from_a_recvonly_leg_are_dropped(rig, joined):
    caller, agent = joined
    rig.session.accept("caller", caller.sdp("0 8 101", "a=recvonly"))
    await caller.send_speech(3)
    assert len(agent.heard) == 2
    await agent.send_speech(1)
    assert len(caller.heard) == 1
    assert rig.session.counts("caller").dropped == 3


@pytest.mark.parametrize("ssrc", ["the other leg's", "ours"])
async def test_ssrc_collision_does_not_mix_streams_rfc3550_8_2(rig, joined, ssrc):
    caller, agent = joined
    await agent.send_speech(1)
    agent.ssrc = agent.heard[0].ssrc if ssrc == "ours" else caller.ssrc
    await asyncio.gather(caller.send_speech(10), agent.send_speech(10))
    for peer in (caller, agent):
        assert len({packet.ssrc for packet in peer.heard}) == 1
        steps = [packet.sequence - peer.heard[0].sequence for packet in peer.heard]
        assert steps == list(range(len(peer.heard)))
    assert (len(caller.heard), len(agent.heard)) == (11, 12)


async def test_media_is_sent_only_to_negotiated_or_latched_addresses(rig, joined):
    caller, agent = joined
    thief = moved(rig, caller)
    await asyncio.gather(caller.send_speech(300), agent.send_speech(300), thief.send_speech(300))
    known = {caller.address, agent.address}
    known |= {(host, port + 1) for host, port in known}
    assert rig.network.sent_to("203.0.113.10") <= known


async def test_packets_in_flight_from_the_old_address_do_not_block_the_new_rfc3264_8_3_1(rig):
    """A phone behind a NAT moves to another port by re-INVITE; its SDP names private addresses."""
    inside, outside, agent = rig.peer("caller"), rig.peer("nat"), rig.outgoing("agent")
    rig.session.accept("caller", inside.sdp(host="10.0.0.7", port=4000))
    rig.session.join("caller", "agent")
    outside.remote = rig.session.address("caller")
    await outside.send_speech(2)
    rig.session.accept("caller", inside.sdp(host="10.0.0.7", port=4010))
    await outside.send_speech(3)
    other = moved(rig, outside, host=outside.address[0])
    await other.send_speech(5)
    await agent.send_speech(1)
    assert (len(other.heard), len(outside.heard)) == (1, 0)
    assert len(agent.heard) == 10


async def test_packets_in_flight_from_the_old_address_do_not_redirect_our_audio(rig, joined):
    """The peer may send nothing from its new address for a while."""
    caller, agent = joined
    other = rig.peer("moved")
    rig.session.accept("caller", other.sdp())
    await caller.send_speech(3)
    await agent.send_speech(1)
    assert (len(other.heard), len(caller.heard)) == (1, 0)
    assert len(agent.heard) == 5


async def test_peer_that_keeps_its_old_address_despite_new_sdp_is_sent_to_again(rig, joined):
    caller, agent = joined
    rig.session.accept("caller", caller.sdp(host="10.0.0.7"))
    await caller.send_speech(60)
    await agent.send_speech(1)
    assert len(caller.heard) == 1
    thief = moved(rig, caller)
    await thief.send_speech(3)
    assert rig.session.counts("caller").dropped == 3
