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


async def test_ringback_is_on_for_two_of_six_seconds_in_20_ms_packets_without_drift(rig):
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


async def test_no_packet_is_sent_after_ringback_is_turned_off(rig):
    caller = rig.incoming("caller")
    rig.session.ringback("caller", True)
    await asyncio.sleep(0.1)
    rig.session.ringback("caller", False)
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    heard = len(caller.heard)
    await asyncio.sleep(1)
    assert len(caller.heard) == heard


async def test_ringback_uses_the_peer_s_g711_law(rig):
    caller = rig.incoming("caller", "8 101")
    rig.session.ringback("caller", True)
    await asyncio.sleep(0.1)
    assert {(packet.pt, _frequencies(packet)) for packet in caller.heard} == {(8, (440,))}


async def test_nothing_is_played_before_negotiation(rig):
    rig.session.offer("phone")
    rig.session.ringback("phone", True)
    await rig.session.play("phone", beep())
    assert rig.session.counts("phone").packets_out == 0


async def test_our_audio_is_g722_for_a_peer_with_only_g722_rfc3551_4_5_2(rig):
    caller = rig.incoming("caller", "9")
    await rig.session.play("caller", beep())
    assert [(packet.pt, len(packet.payload)) for packet in caller.heard] == [(9, 160)] * 20
    assert {after.timestamp - before.timestamp for before, after in pairwise(caller.heard)} == {160}


async def test_our_audio_is_opus_for_a_peer_with_only_opus_rfc7587_4_1(rig):
    caller = rig.incoming("caller", "107 101")
    await rig.session.play("caller", beep())
    assert [packet.pt for packet in caller.heard] == [107] * 20
    assert {after.timestamp - before.timestamp for before, after in pairwise(caller.heard)} == {960}


async def test_no_ringback_is_sent_to_a_sendonly_peer(rig):
    caller = rig.incoming("caller", "0", "a=sendonly")
    rig.session.ringback("caller", True)
    await asyncio.sleep(0.5)
    assert caller.heard == []


async def test_ringback_stops_for_the_joined_leg_and_resumes_when_parted(rig):
    caller, agent = rig.incoming("caller"), rig.outgoing("agent")
    rig.session.join("caller", "agent")
    rig.session.ringback("caller", True)
    await asyncio.sleep(0.1)
    assert {packet.payload != bytes(range(160)) for packet in caller.heard} == {True}
    await agent.send_speech(1)
    caller.heard.clear()
    await agent.send_speech(20)
    assert {packet.payload for packet in caller.heard} == {bytes(range(160))}
    caller.heard.clear()
    rig.session.part("caller")
    await asyncio.sleep(0.1)
    assert len(caller.heard) == 5


async def test_beep_is_0_4_s_of_1000_hz_and_play_returns_at_its_end(rig):
    caller = rig.incoming("caller")
    began = asyncio.get_running_loop().time()
    await rig.session.play("caller", beep())
    assert asyncio.get_running_loop().time() - began == pytest.approx(0.4)
    await asyncio.sleep(1)
    assert [_frequencies(packet) for packet in caller.heard] == [(1000,)] * 20


async def test_beep_overrides_speech_and_ringback_follows_it(rig):
    caller, agent = rig.incoming("caller"), rig.outgoing("agent")
    rig.session.join("caller", "agent")
    beeping = asyncio.create_task(rig.session.play("caller", beep()))
    again = asyncio.create_task(rig.session.play("caller", beep()))
    await agent.send_speech(10)
    rig.session.ringback("caller", True)
    await asyncio.gather(beeping, again)
    assert [_frequencies(packet) for packet in caller.heard[:40]] == [(1000,)] * 40
    caller.heard.clear()
    await asyncio.sleep(0.5)
    assert {_frequencies(packet) for packet in caller.heard} == {(440,)}


async def test_ringback_turned_off_during_a_beep_stays_off(rig):
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


async def test_play_returns_at_once_when_the_leg_is_released(rig):
    rig.incoming("caller")
    beeping = asyncio.create_task(rig.session.play("caller", beep()))
    await asyncio.sleep(0.1)
    rig.session.release("caller")
    async with asyncio.timeout(0.01):
        await beeping


async def test_blocked_event_loop_skips_missed_packets_without_a_burst(rig):
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


async def test_clips_play_back_to_back_during_ringback(rig):
    caller = rig.incoming("caller")
    rig.session.ringback("caller", True)
    greeting = tone((600,), (0.2,))
    await rig.session.play("caller", greeting)
    await rig.session.play("caller", beep())
    times = [packet.at for packet in caller.heard[1:]]
    assert [after - before for before, after in pairwise(times)] == pytest.approx([0.02] * 29)
    assert [_frequencies(packet) for packet in caller.heard[11:]] == [(1000,)] * 20


async def test_cancelled_clip_stops_and_the_next_one_plays(rig):
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


async def test_ringback_until_heard_ends_at_speech_but_not_at_silence(rig):
    caller, agent = rig.incoming("caller"), rig.outgoing("agent")
    rig.session.join("caller", "agent")
    rig.session.ringback("caller", True, after_s=1.0, until_heard=True)
    await agent.send_speech(40, payload=b"\xff" * 160)
    assert caller.heard == []
    await agent.send_speech(40, payload=b"\xff" * 160)
    assert {_frequencies(packet) for packet in caller.heard} == {(440,)}
    await agent.send_speech(10)
    caller.heard.clear()
    await agent.send_speech(10, payload=b"\xff" * 160)
    await asyncio.sleep(5)
    assert {packet.payload for packet in caller.heard} == {b"\xff" * 160}


async def test_ringback_until_heard_does_not_start_if_the_peer_speaks_in_time(rig):
    caller, agent = rig.incoming("caller"), rig.outgoing("agent")
    rig.session.join("caller", "agent")
    rig.session.ringback("caller", True, after_s=1.0, until_heard=True)
    await agent.send_speech(10)
    await asyncio.sleep(5)
    assert {packet.payload for packet in caller.heard} == {bytes(range(160))}


async def test_fill_is_sent_while_no_peer_is_heard(rig):
    caller, agent = rig.incoming("caller"), rig.outgoing("agent")
    rig.session.fill("caller", quiet())
    rig.session.fill("caller", quiet())
    await asyncio.sleep(0.099)
    assert [packet.payload for packet in caller.heard] == [b"\xff" * 160] * 5
    rig.session.join("caller", "agent")
    await agent.send_speech(2)
    caller.heard.clear()
    await agent.send_speech(20)
    assert {packet.payload for packet in caller.heard} == {bytes(range(160))}
    rig.session.fill("caller", None)
    caller.heard.clear()
    await asyncio.sleep(2)
    assert caller.heard == []


async def test_clip_switches_codec_on_renegotiation(rig):
    caller = rig.incoming("caller", "0")
    playing = asyncio.create_task(rig.session.play("caller", Clip([8000, -8000] * 4000)))
    await asyncio.sleep(0.099)
    rig.session.accept("caller", caller.sdp("8"))
    await playing
    assert [packet.pt for packet in caller.heard] == [0] * 5 + [8] * 45
