import asyncio
from itertools import pairwise

import pytest

from proxy.lab.audio import frequencies_in
from proxy.media.g711 import PCMA_SAMPLES, PCMU_SAMPLES


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


async def test_no_tone_to_who_speaks_no_g711_or_holds_or_has_not_agreed(rig):
    opus = rig.incoming("caller", "107 101")
    rig.session.offer("phone")
    for leg in ("caller", "phone"):
        rig.session.ringback(leg, True)
    await rig.session.beep("caller")
    assert opus.heard == []
    assert rig.session.counts("caller").packets_out == 0


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
    await rig.session.beep("caller")
    assert asyncio.get_running_loop().time() - began == pytest.approx(0.4)
    await asyncio.sleep(1)
    assert [_frequencies(packet) for packet in caller.heard] == [(1000,)] * 20


async def test_a_beep_interrupts_everything_and_ringback_goes_on_after(rig):
    caller, agent = rig.incoming("caller"), rig.outgoing("agent")
    rig.session.join("caller", "agent")
    beep = asyncio.create_task(rig.session.beep("caller"))
    again = asyncio.create_task(rig.session.beep("caller"))
    await agent.says(10)
    rig.session.ringback("caller", True)
    await asyncio.gather(beep, again)
    assert [_frequencies(packet) for packet in caller.heard[:20]] == [(1000,)] * 20
    caller.heard.clear()
    await asyncio.sleep(0.5)
    assert {_frequencies(packet) for packet in caller.heard} == {(440,)}


async def test_ringback_before_and_off_during_a_beep_stays_off(rig):
    caller = rig.incoming("caller")
    rig.session.ringback("caller", True)
    await asyncio.sleep(0.1)
    beep = asyncio.create_task(rig.session.beep("caller"))
    await asyncio.sleep(0.1)
    rig.session.ringback("caller", False)
    await beep
    caller.heard.clear()
    await asyncio.sleep(0.5)
    assert caller.heard == []


async def test_a_beep_ends_early_when_the_leg_is_released(rig):
    rig.incoming("caller")
    beep = asyncio.create_task(rig.session.beep("caller"))
    await asyncio.sleep(0.1)
    rig.session.release("caller")
    async with asyncio.timeout(0.01):
        await beep


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
