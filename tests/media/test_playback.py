"""What a leg hears while the other is on hold, and while another peer takes over."""

import asyncio
from itertools import pairwise

from proxy.media.interface import Sounds
from proxy.media.tones import tone, tones_of


def _holds(rig, leg, direction):
    peer = rig.peers[leg]
    rig.session.accept(leg, peer.sdp("0 101", f"a={direction}"))


async def test_held_peer_hears_the_hold_tone_until_resumed_rfc3264_8_4(rig):
    caller, phone = rig.incoming("caller"), rig.outgoing("phone")
    rig.session.sounds(Sounds(tones_of("de")))
    rig.session.join("caller", "phone")
    await phone.send_speech(2)
    _holds(rig, "phone", "inactive")
    caller.heard.clear()
    await asyncio.sleep(4.001)
    assert max(after.at - before.at for before, after in pairwise(caller.heard)) < 0.021
    assert len({packet.payload for packet in caller.heard}) > 2
    _holds(rig, "phone", "sendrecv")
    caller.heard.clear()
    await phone.send_speech(5)
    await asyncio.sleep(2)
    assert {packet.payload for packet in caller.heard} == {bytes(range(160))}


async def test_holding_peer_s_own_music_is_relayed_without_hold_tone(rig):
    caller, phone = rig.incoming("caller"), rig.outgoing("phone")
    rig.session.join("caller", "phone")
    _holds(rig, "phone", "sendonly")
    await phone.send_speech(100)
    assert {packet.payload for packet in caller.heard} == {bytes(range(160))}


async def test_held_caller_hears_music_and_held_agent_silence(rig):
    music = tone((600,), (1.0,))
    rig.session.sounds(Sounds(hold=music))
    caller, agent = rig.incoming("caller"), rig.outgoing("agent")
    rig.session.join("caller", "agent")
    _holds(rig, "agent", "inactive")
    await asyncio.sleep(2)
    assert {packet.payload for packet in caller.heard} == set(music.frames("pcmu/8000"))
    _holds(rig, "agent", "sendrecv")
    _holds(rig, "caller", "sendonly")
    await asyncio.sleep(2.001)
    assert {packet.payload for packet in agent.heard} == {b"\xff" * 160}
    rig.session.release("caller")
    agent.heard.clear()
    await asyncio.sleep(2)
    assert agent.heard == []


async def test_nothing_is_played_to_inactive_peers_on_mutual_hold(rig):
    caller, phone = rig.incoming("caller"), rig.outgoing("phone")
    rig.session.join("caller", "phone")
    _holds(rig, "phone", "inactive")
    _holds(rig, "caller", "inactive")
    await asyncio.sleep(2)
    assert caller.heard == phone.heard == []


async def test_silence_is_sent_until_the_newly_joined_peer_is_heard(rig):
    caller, agent = rig.incoming("caller"), rig.outgoing("agent")
    rig.session.join("caller", "agent")
    await agent.send_speech(10)
    phone = rig.outgoing("phone")
    rig.session.join("caller", "phone")
    caller.heard.clear()
    await asyncio.sleep(0.107)
    await phone.send_speech(10)
    await asyncio.sleep(1)
    gaps = [after.at - before.at for before, after in pairwise(caller.heard)]
    assert max(gaps) < 0.0201
    assert [packet.payload for packet in caller.heard[:6]] == [b"\xff" * 160] * 6
    assert {packet.payload for packet in caller.heard[6:]} == {bytes(range(160))}
    assert {after.sequence - before.sequence for before, after in pairwise(caller.heard)} == {1}


async def test_no_silence_is_sent_if_the_new_peer_is_heard_at_once_or_nobody_was_before(rig):
    caller, agent = rig.incoming("caller"), rig.outgoing("agent")
    rig.session.join("caller", "agent")
    await asyncio.sleep(1)
    assert caller.heard == []
    await agent.send_speech(10)
    phone = rig.outgoing("phone")
    rig.session.join("caller", "phone")
    await phone.send_speech(10)
    await asyncio.sleep(1)
    assert {packet.payload for packet in caller.heard} == {bytes(range(160))}


async def test_silence_ends_when_the_newly_joined_peer_is_released_unheard(rig):
    caller, agent = rig.incoming("caller"), rig.outgoing("agent")
    rig.session.join("caller", "agent")
    await agent.send_speech(10)
    rig.outgoing("phone")
    rig.session.join("caller", "phone")
    await asyncio.sleep(0.2)
    rig.session.release("phone")
    await asyncio.sleep(0.1)
    caller.heard.clear()
    await asyncio.sleep(1)
    assert caller.heard == []
