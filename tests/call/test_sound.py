"""Ringback, hold music and gaps: what each party hears where nobody speaks to them."""

from __future__ import annotations

import pytest

from proxy.call.outcome import OnFailure, Result
from proxy.call.sound import PATIENCE_S, SORRY_S, Sound
from proxy.lab.audio import AGENT_HZ, BEEP_HZ, CALLER_HZ, PHONE_HZ, RINGBACK_HZ, TonePeer
from proxy.lab.peer_sdp import directed, revised
from proxy.media.interface import Sounds
from proxy.media.tones import tone, tones_of
from screening.contract import Connect, TakeMessage, Undecided
from tests.kit.edge import PHONE_NUMBER, Edge, NewEdge, a_number, summary

GREETING_HZ = PHONE_HZ
MAX_GAP_MS = 20.1
"""Largest gap between two packets."""
GREETING = tone((GREETING_HZ,), (1.5,))


def silence_the(edge: Edge, audio: TonePeer) -> None:
    """Drop this peer's packets from now on."""
    edge.media.lose = lambda source, to, packet: source == audio.address


def all_are_heard(edge: Edge) -> None:
    edge.media.lose = lambda source, to, packet: False


async def test_the_caller_hears_ringback_until_a_slow_agent_speaks(edge: Edge) -> None:
    silence_the(edge, edge.agent_audio)
    await edge.carrier.invites()
    await edge.agent.answers()
    await edge.carrier.receives(200)
    answered = edge.now
    await edge.time_passes(7)
    assert edge.caller_audio.longest_gap_ms(answered, edge.now) == pytest.approx(1000 * PATIENCE_S, abs=20)
    assert edge.caller_audio.hears(RINGBACK_HZ)
    all_are_heard(edge)
    spoke = edge.now
    await edge.time_passes(6)
    assert edge.caller_audio.hears(AGENT_HZ, since=spoke)
    assert not edge.caller_audio.hears(RINGBACK_HZ, since=spoke + 0.1)
    await edge.carrier.hangs_up()
    await edge.over()
    assert not edge.caller_audio.line_breaks
    await edge.assert_clean()


async def test_the_caller_hears_no_ringback_if_the_agent_speaks_at_once(edge: Edge) -> None:
    await edge.connects()
    await edge.time_passes(10)
    assert set(edge.caller_audio.heard()) == {AGENT_HZ}
    await edge.carrier.hangs_up()
    await edge.assert_clean()


async def test_ringback_goes_on_after_a_busy_phone_until_the_agent_speaks(edge: Edge) -> None:
    await edge.connects()
    await edge.agent.refers(f"tel:{PHONE_NUMBER}")
    silence_the(edge, edge.agent_audio)
    await edge.phone.rings()
    await edge.time_passes(3)
    await edge.phone.rejects(486)
    rejected = edge.now
    await edge.time_passes(5)
    assert edge.caller_audio.hears(RINGBACK_HZ, since=rejected + 1)
    all_are_heard(edge)
    await edge.time_passes(0.1)
    spoke = edge.now
    await edge.time_passes(10)
    assert edge.caller_audio.hears(AGENT_HZ, since=spoke)
    assert not edge.caller_audio.hears(RINGBACK_HZ, since=spoke)
    await edge.carrier.hangs_up()
    await edge.assert_clean()


@pytest.mark.parametrize(("status", "named"), [(486, "busy"), (404, "congestion")])
async def test_a_caller_nobody_takes_hears_busy_or_congestion_tone_before_the_bye(
    new_edge: NewEdge, status: int, named: str
) -> None:
    async with new_edge(number=a_number(on_failure=OnFailure.REJECT)) as edge:
        await edge.connects()
        edge.screening.decides(Connect("a friend"))
        await edge.phone.rejects(status)
        await edge.time_passes(1)
        edge.screening.decides(Undecided("the budget is spent"))
        await edge.agent.receives("BYE")
        began = edge.now
        await edge.carrier.receives("BYE")
        assert edge.now - began == pytest.approx(SORRY_S, abs=0.05)
        heard = [at for at in edge.caller_audio.audible if at > began]
        assert len(heard) == pytest.approx(SORRY_S / 2 / 0.06, abs=6), "on for half of the time, one in three"
        assert edge.caller_audio.longest_gap_ms(began, edge.now) < 50
        record = await edge.over()
        assert summary(record) == (Result.UNANSWERED, "ALLOW", "verdict", None)
        assert record.steps[-1] == f"caller told: {named} tone"
        await edge.assert_clean()


async def test_a_configured_prompt_replaces_the_tone_before_the_bye(new_edge: NewEdge) -> None:
    number = a_number(on_failure=OnFailure.REJECT, sound=Sound(unavailable=GREETING))
    async with new_edge(number=number) as edge:
        await edge.connects()
        edge.screening.decides(Undecided("the budget is spent"))
        await edge.agent.receives("BYE")
        began = edge.now
        await edge.carrier.receives("BYE")
        assert edge.now - began == pytest.approx(GREETING.seconds, abs=0.05)
        assert edge.caller_audio.hears(GREETING_HZ, since=began)
        await edge.assert_clean()


async def test_an_unanswered_caller_is_rejected_without_any_audio(new_edge: NewEdge) -> None:
    async with new_edge(number=a_number(on_failure=OnFailure.REJECT)) as edge:
        await edge.carrier.invites()
        await edge.agent.rejects(503)
        await edge.carrier.receives(480)
        assert edge.caller_audio.packets_heard == 0
        await edge.assert_clean()


async def test_a_caller_may_hang_up_during_the_busy_tone(new_edge: NewEdge) -> None:
    async with new_edge(number=a_number(on_failure=OnFailure.REJECT)) as edge:
        await edge.connects()
        edge.screening.decides(Undecided("the budget is spent"))
        await edge.agent.receives("BYE")
        await edge.time_passes(0.5)
        await edge.carrier.hangs_up()
        record = await edge.over()
        assert (summary(record)[0], record.ended_by) == (Result.UNANSWERED, "caller")
        await edge.assert_clean()


async def test_voicemail_plays_greeting_and_beep_and_keeps_sending_rtp_during_the_message(
    new_edge: NewEdge,
) -> None:
    async with new_edge(number=a_number(sound=Sound(greeting=GREETING))) as edge:
        await edge.connects()
        edge.screening.decides(TakeMessage("asks to be called back"))
        await edge.agent.receives("BYE")
        began = edge.now
        await edge.time_passes(1)
        assert edge.caller_audio.hears(GREETING_HZ, since=began)
        assert not edge.caller_audio.hears(BEEP_HZ)
        await edge.time_passes(0.7)
        assert edge.caller_audio.hears(BEEP_HZ)
        await edge.time_passes(30)
        assert edge.caller_audio.longest_gap_ms(began, edge.now) < 50
        await edge.carrier.hangs_up()
        record = await edge.over()
        assert record.voicemail_s == pytest.approx(29.8, abs=0.2)
        assert not edge.caller_audio.line_breaks
        await edge.assert_clean()


async def test_a_caller_held_by_the_phone_hears_music_on_hold(new_edge: NewEdge) -> None:
    sound = Sound(Sounds(tones_of("de"), hold=tone((AGENT_HZ,), (1.0,))))
    async with new_edge(number=a_number(sound=sound)) as edge:
        await edge.bridges()
        call = edge.phone.current
        assert (await call.reinvites(directed(revised(call.sdp, 1), "inactive"))).status == 200
        edge.phone_audio.stop()
        held = edge.now
        await edge.time_passes(10)
        assert edge.caller_audio.longest_gap_ms(held, edge.now) < 700
        assert edge.caller_audio.hears(AGENT_HZ, since=held + 1)
        assert (await call.reinvites(directed(revised(call.sdp, 1), "sendrecv"))).status == 200
        edge.phone_audio.start_towards(call.invite.body if call.invite.body else edge.carrier.current.sdp)
        await edge.carrier.hangs_up()
        assert not edge.caller_audio.line_breaks
        await edge.assert_clean()


async def test_an_agent_held_by_the_caller_gets_silent_rtp_without_tones(edge: Edge) -> None:
    await edge.connects()
    await edge.carrier.reinvites(hold=True)
    edge.caller_audio.stop()
    held = edge.now
    await edge.time_passes(10)
    assert edge.agent_audio.longest_gap_ms(held, edge.now) < 700
    assert set(edge.agent_audio.heard()) == {CALLER_HZ}
    await edge.carrier.hangs_up()
    await edge.assert_clean()


@pytest.mark.parametrize("by", ["refer", "verdict"])
@pytest.mark.parametrize("rings_s", [0.0, 5.0], ids=["at once", "after ringing"])
async def test_the_caller_hears_no_gap_when_the_phone_takes_over_from_the_agent(
    edge: Edge, by: str, rings_s: float
) -> None:
    await edge.connects()
    if by == "refer":
        await edge.agent.refers(f"tel:{PHONE_NUMBER}")
    else:
        edge.screening.decides(Connect("a friend"))
    await edge.phone.rings()
    await edge.time_passes(rings_s)
    before = edge.now
    await edge.phone.answers()
    await edge.agent.receives("BYE")
    await edge.time_passes(1)
    assert edge.caller_audio.hears(PHONE_HZ, since=before)
    assert edge.caller_audio.longest_gap_ms(before - 0.5, edge.now) <= MAX_GAP_MS
    await edge.carrier.hangs_up()
    edge.assert_never_silent()
    await edge.assert_clean()


@pytest.mark.parametrize("by", ["refer", "verdict"])
async def test_ringback_stops_at_once_when_the_phone_answers(edge: Edge, by: str) -> None:
    await edge.connects()
    if by == "refer":
        await edge.agent.refers(f"tel:{PHONE_NUMBER}")
    else:
        edge.screening.decides(Connect("a friend"))
    await edge.phone.rings()
    silence_the(edge, edge.agent_audio)
    await edge.time_passes(7)
    assert edge.caller_audio.hears(RINGBACK_HZ, since=edge.now - 1)
    before = edge.now
    await edge.phone.answers()
    await edge.time_passes(0.05)
    switched = edge.now
    await edge.time_passes(1)
    assert edge.caller_audio.longest_gap_ms(before, edge.now) <= MAX_GAP_MS
    assert not edge.caller_audio.hears(RINGBACK_HZ, since=switched)
    await edge.carrier.hangs_up()
    assert not edge.caller_audio.line_breaks
    await edge.assert_clean()


async def test_ringback_follows_the_configured_country(new_edge: NewEdge) -> None:
    async with new_edge(number=a_number(sound=Sound(Sounds(tones_of("de"))))) as edge:
        await edge.connects()
        silence_the(edge, edge.agent_audio)
        await edge.agent.refers(f"tel:{PHONE_NUMBER}")
        await edge.phone.rings()
        rang = edge.now
        await edge.time_passes(4.5)
        # 425 Hz, which this detector sometimes takes for 440: for one second in five, not for two in six
        assert edge.caller_audio.hears(RINGBACK_HZ, since=rang)
        assert not edge.caller_audio.hears(RINGBACK_HZ, since=rang + 1.7)
        assert edge.caller_audio.longest_gap_ms(rang + 1, edge.now) < 50
        await edge.carrier.hangs_up()
        await edge.assert_clean()
