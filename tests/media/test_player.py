"""Playback of ringback, beeps and clips: pacing, precedence and the formats peers agreed to."""

import asyncio
from itertools import pairwise

import pytest

from proxy.lab.audio import frequencies_in
from proxy.media.clip import Clip
from proxy.media.g711 import PCMA_SAMPLES, PCMU_SAMPLES
from proxy.media.tones import beep, quiet, tone


def _frequencies(packet):
    table = PCMU_SAMPLES if packet.pt == 0 else PCMA_SAMPLES
    return frequencies_in([table[octet] for octet in packet.payload], (440, 1000))


async def test_ringback_is_two_seconds_in_six_at_20_ms_without_drift(rig):
    caller = rig.incoming("caller")
    began = asyncio.get_running_loop().time()
    rig.session.ringback("caller", True)
    rig.session.ringback("caller", True)
    await asyncio.sleep(7.01)
    rig.session.ringback("caller", False)
    assert len(caller.heard) == 350 + 1
    for n, packet in enumerate(caller.heard):
        assert packet.at == pytest.approx(began + 0.02 * n, abs=1e-6)
    for before, after in pairwise(caller.heard):
        assert after.sequence - before.sequence == 1
        assert after.timestamp - before.timestamp == 160
    tone = [_frequencies(packet) == (440,) for packet in caller.heard]
    assert tone[:100] == [True] * 100
    assert tone[100:300] == [False] * 200
    assert tone[300:] == [True] * 51


async def test_ringback_off_is_silence_and_leaves_no_timer(rig):
    caller = rig.incoming("caller")
    rig.session.ringback("caller", True)
    await asyncio.sleep(0.1)
    rig.session.ringback("caller", False)
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    heard = len(caller.heard)
    await asyncio.sleep(1)
    assert len(caller.heard) == heard


async def test_ringback_in_the_peers_law(rig):
    caller = rig.incoming("caller", "8 101")
    rig.session.ringback("caller", True)
    await asyncio.sleep(0.1)
    assert {(packet.pt, _frequencies(packet)) for packet in caller.heard} == {(8, (440,))}


async def test_no_tone_to_who_has_not_agreed(rig):
    rig.session.offer("phone")
    rig.session.ringback("phone", True)
    await rig.session.play("phone", beep())
    assert rig.session.counts("phone").packets_out == 0


async def test_a_peer_of_g722_alone_hears_us_in_g722_rfc3551_4_5_2(rig):
    caller = rig.incoming("caller", "9")
    await rig.session.play("caller", beep())
    assert [(packet.pt, len(packet.payload)) for packet in caller.heard] == [(9, 160)] * 20
    assert {after.timestamp - before.timestamp for before, after in pairwise(caller.heard)} == {160}


async def test_a_peer_of_opus_alone_hears_us_in_opus_rfc7587_4_1(rig):
    caller = rig.incoming("caller", "107 101")
    await rig.session.play("caller", beep())
    assert [packet.pt for packet in caller.heard] == [107] * 20
    assert {after.timestamp - before.timestamp for before, after in pairwise(caller.heard)} == {960}


async def test_a_held_peer_gets_no_tone(rig):
    caller = rig.incoming("caller", "0", "a=sendonly")
    rig.session.ringback("caller", True)
    await asyncio.sleep(0.5)
    assert caller.heard == []


async def test_ringback_yields_to_the_joined_leg_and_comes_back(rig):
    caller, agent = rig.incoming("caller"), rig.outgoing("agent")
    rig.session.join("caller", "agent")
    rig.session.ringback("caller", True)
    await asyncio.sleep(0.1)
    assert {packet.payload != bytes(range(160)) for packet in caller.heard} == {True}
    await agent.says(1)
    caller.heard.clear()
    await agent.says(20)
    assert {packet.payload for packet in caller.heard} == {bytes(range(160))}
    caller.heard.clear()
    rig.session.part("caller")
    await asyncio.sleep(0.1)
    assert len(caller.heard) == 5


async def test_a_beep_is_0_4_s_of_1000_hz_and_returns_when_played(rig):
    caller = rig.incoming("caller")
    began = asyncio.get_running_loop().time()
    await rig.session.play("caller", beep())
    assert asyncio.get_running_loop().time() - began == pytest.approx(0.4)
    await asyncio.sleep(1)
    assert [_frequencies(packet) for packet in caller.heard] == [(1000,)] * 20


async def test_a_beep_interrupts_everything_and_ringback_goes_on_after(rig):
    caller, agent = rig.incoming("caller"), rig.outgoing("agent")
    rig.session.join("caller", "agent")
    beeping = asyncio.create_task(rig.session.play("caller", beep()))
    again = asyncio.create_task(rig.session.play("caller", beep()))
    await agent.says(10)
    rig.session.ringback("caller", True)
    await asyncio.gather(beeping, again)
    assert [_frequencies(packet) for packet in caller.heard[:40]] == [(1000,)] * 40
    caller.heard.clear()
    await asyncio.sleep(0.5)
    assert {_frequencies(packet) for packet in caller.heard} == {(440,)}


async def test_ringback_before_and_off_during_a_beep_stays_off(rig):
    caller = rig.incoming("caller")
    rig.session.ringback("caller", True)
    await asyncio.sleep(0.1)
    beeping = asyncio.create_task(rig.session.play("caller", beep()))
    await asyncio.sleep(0.1)
    rig.session.ringback("caller", False)
    await beeping
    caller.heard.clear()
    await asyncio.sleep(0.5)
    assert caller.heard == []


async def test_a_beep_ends_early_when_the_leg_is_released(rig):
    rig.incoming("caller")
    beeping = asyncio.create_task(rig.session.play("caller", beep()))
    await asyncio.sleep(0.1)
    rig.session.release("caller")
    async with asyncio.timeout(0.01):
        await beeping


async def test_a_late_loop_leaves_out_what_is_too_late_and_does_not_burst(rig):
    caller = rig.incoming("caller")
    rig.session.ringback("caller", True)
    await asyncio.sleep(0.11)
    before = len(caller.heard)
    loop = asyncio.get_running_loop()
    loop._now += 1.0  # the loop was blocked for a second
    await asyncio.sleep(0.001)
    late = caller.heard[before:]
    assert len(late) == 1
    assert late[0].sequence - caller.heard[before - 1].sequence == 1
    assert late[0].timestamp - caller.heard[before - 1].timestamp == pytest.approx(8160, abs=160)


async def test_clips_are_played_one_after_the_other_without_a_gap_though_it_rings(rig):
    caller = rig.incoming("caller")
    rig.session.ringback("caller", True)
    greeting = tone((600,), (0.2,))
    await rig.session.play("caller", greeting)
    await rig.session.play("caller", beep())
    times = [packet.at for packet in caller.heard[1:]]
    assert [after - before for before, after in pairwise(times)] == pytest.approx([0.02] * 29)
    assert [_frequencies(packet) for packet in caller.heard[11:]] == [(1000,)] * 20


async def test_a_clip_whose_player_is_cancelled_stops_and_the_next_has_its_turn(rig):
    caller = rig.incoming("caller")
    first = asyncio.create_task(rig.session.play("caller", tone((440,), (10.0,))))
    second = asyncio.create_task(rig.session.play("caller", beep()))
    never = asyncio.create_task(rig.session.play("caller", tone((440,), (10.0,))))
    await asyncio.sleep(0.099)
    never.cancel()
    first.cancel()
    caller.heard.clear()
    await second
    assert {_frequencies(packet) for packet in caller.heard} == {(1000,)}
    await asyncio.sleep(1)
    assert len(caller.heard) == 20


async def test_ringback_until_heard_ends_at_the_first_word_and_not_at_packets_of_silence(rig):
    caller, agent = rig.incoming("caller"), rig.outgoing("agent")
    rig.session.join("caller", "agent")
    rig.session.ringback("caller", True, after_s=1.0, until_heard=True)
    await agent.says(40, payload=b"\xff" * 160)
    assert caller.heard == []
    await agent.says(40, payload=b"\xff" * 160)
    assert {_frequencies(packet) for packet in caller.heard} == {(440,)}
    await agent.says(10)
    caller.heard.clear()
    await agent.says(10, payload=b"\xff" * 160)
    await asyncio.sleep(5)
    assert {packet.payload for packet in caller.heard} == {b"\xff" * 160}


async def test_ringback_until_heard_is_not_heard_where_the_other_speaks_in_time(rig):
    caller, agent = rig.incoming("caller"), rig.outgoing("agent")
    rig.session.join("caller", "agent")
    rig.session.ringback("caller", True, after_s=1.0, until_heard=True)
    await agent.says(10)
    await asyncio.sleep(5)
    assert {packet.payload for packet in caller.heard} == {bytes(range(160))}


async def test_what_fills_is_sent_while_nobody_is_heard(rig):
    caller, agent = rig.incoming("caller"), rig.outgoing("agent")
    rig.session.fill("caller", quiet())
    rig.session.fill("caller", quiet())
    await asyncio.sleep(0.099)
    assert [packet.payload for packet in caller.heard] == [b"\xff" * 160] * 5
    rig.session.join("caller", "agent")
    await agent.says(2)
    caller.heard.clear()
    await agent.says(20)
    assert {packet.payload for packet in caller.heard} == {bytes(range(160))}
    rig.session.fill("caller", None)
    caller.heard.clear()
    await asyncio.sleep(2)
    assert caller.heard == []


async def test_a_clip_changes_its_law_with_the_agreement(rig):
    caller = rig.incoming("caller", "0")
    playing = asyncio.create_task(rig.session.play("caller", Clip([8000, -8000] * 4000)))
    await asyncio.sleep(0.099)
    rig.session.accept("caller", caller.sdp("8"))
    await playing
    assert [packet.pt for packet in caller.heard] == [0] * 5 + [8] * 45
