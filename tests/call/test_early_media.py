"""Early media: what the caller hears before the call is answered, and what must not be heard."""

from __future__ import annotations

from dataclasses import replace

import pytest

from proxy.call.outcome import Result
from proxy.call.sound import EarlyMedia, Sound
from proxy.lab.audio import AGENT_HZ, CALLER_HZ, PHONE_HZ, RINGBACK_HZ
from proxy.lab.message_templates import OPENAI_SDP, PHONE_SDP, sdp
from proxy.lab.peer_sdp import moved_to
from screening.contract import Ring
from tests.kit.edge import PHONE_NUMBER, Edge, NewEdge, a_number, summary
from tests.kit.office import an_office

OURS = [EarlyMedia.TONE, EarlyMedia.PASS]


async def rings_early(edge: Edge) -> None:
    """A known caller rings the phone, which sends early media before it answers."""
    edge.screener.planned = Ring("a known caller")
    await edge.carrier.invites()
    call = await edge.phone.invited()
    call.sdp = moved_to(sdp(PHONE_SDP), edge.phone_audio)
    edge.phone._says(call, 183, call.sdp)
    edge.phone_audio.start_towards(call.invite.body)
    await edge.time_passes(5)


@pytest.mark.parametrize("early", list(EarlyMedia))
async def test_each_early_media_setting_gives_its_ringback(new_edge: NewEdge, early: EarlyMedia) -> None:
    async with new_edge(number=a_number(sound=Sound(early_media=early))) as edge:
        edge.screener.planned = Ring("a known caller")
        await edge.carrier.invites()
        ringing = await edge.carrier.receives(180 if early is EarlyMedia.RINGBACK else 183)
        assert bool(ringing.body) == (early in OURS)
        await edge.phone.rings()
        await edge.time_passes(5)
        assert edge.caller_audio.hears(RINGBACK_HZ) == (early in OURS)
        await edge.phone.answers()
        assert (await edge.carrier.receives(200)).body
        answered = edge.now
        await edge.time_passes(7)
        assert set(edge.caller_audio.heard()) - {RINGBACK_HZ} == {PHONE_HZ}
        assert not edge.caller_audio.hears(RINGBACK_HZ, since=answered + 0.05)
        await edge.carrier.hangs_up()
        assert summary(await edge.over())[0] is Result.BRIDGED
        assert not edge.caller_audio.line_breaks
        await edge.assert_clean()


@pytest.mark.parametrize("early", [EarlyMedia.RINGBACK, EarlyMedia.TONE])
async def test_early_media_of_the_phone_is_not_passed_unless_configured(
    new_edge: NewEdge, early: EarlyMedia
) -> None:
    async with new_edge(number=a_number(sound=Sound(early_media=early))) as edge:
        await rings_early(edge)
        assert not edge.caller_audio.hears(PHONE_HZ)
        await edge.phone.answers()
        await edge.carrier.receives(200)
        await edge.time_passes(1)
        assert edge.caller_audio.hears(PHONE_HZ)
        await edge.carrier.hangs_up()
        await edge.assert_clean()


async def test_early_media_of_the_phone_is_passed_if_configured(
    new_edge: NewEdge,
) -> None:
    async with new_edge(number=a_number(sound=Sound(early_media=EarlyMedia.PASS))) as edge:
        await rings_early(edge)
        since = edge.now
        await edge.time_passes(2)
        assert edge.caller_audio.hears(PHONE_HZ, since=since)
        assert not edge.caller_audio.hears(RINGBACK_HZ, since=since)
        await edge.phone.answers()
        await edge.carrier.receives(200)
        await edge.time_passes(1)
        assert edge.phone_audio.hears(CALLER_HZ)
        assert edge.caller_audio.longest_gap_ms(since, edge.now) < 40
        await edge.carrier.hangs_up()
        assert summary(await edge.over())[0] is Result.BRIDGED
        assert not edge.caller_audio.line_breaks
        await edge.assert_clean()


async def test_ringback_returns_if_the_phone_with_early_media_declines(
    new_edge: NewEdge,
) -> None:
    first = a_number().destinations[0]
    second = replace(first, uri=first.uri.replace(PHONE_NUMBER, "+14155559877"))
    number = a_number(sound=Sound(early_media=EarlyMedia.PASS), destinations=(first, second))
    async with new_edge(number=number) as edge:
        await rings_early(edge)
        assert edge.caller_audio.hears(PHONE_HZ)
        await edge.phone.rejects(486)
        await edge.phone.invited()
        again = edge.now
        await edge.time_passes(3)
        assert edge.caller_audio.hears(RINGBACK_HZ, since=again)
        assert not edge.caller_audio.hears(PHONE_HZ, since=again)
        await edge.phone.answers()
        await edge.carrier.receives(200)
        await edge.carrier.hangs_up()
        await edge.assert_clean()


async def test_ringback_returns_if_one_of_several_ringing_phones_ends_its_early_media(
    new_edge: NewEdge,
) -> None:
    """Otherwise the caller would hear silence for as long as they ring."""
    async with an_office(new_edge, sound=Sound(early_media=EarlyMedia.PASS)) as office:
        edge, voices = office.edge, office.voices
        one, two = await office.desk(), await office.desk("192.0.2.102")
        await edge.carrier.invites()
        call = await one.invited()
        assert call.invite is not None
        call.sdp = moved_to(sdp(PHONE_SDP), voices[0])
        one._says(call, 183, call.sdp)
        voices[0].start_towards(call.invite.body)
        await two.rings()
        await edge.time_passes(5)
        assert edge.caller_audio.hears(PHONE_HZ)
        await one.rejects(486)
        voices[0].close()
        busy = edge.now
        await edge.time_passes(7)
        assert edge.caller_audio.hears(RINGBACK_HZ, since=busy)
        await two.answers()
        await edge.carrier.receives(200)
        answered = edge.now
        await edge.time_passes(7)
        assert edge.caller_audio.hears(PHONE_HZ, since=answered)
        assert not edge.caller_audio.hears(RINGBACK_HZ, since=answered + 0.05)
        await edge.carrier.hangs_up()
        await office.assert_clean()


@pytest.mark.parametrize("early", list(EarlyMedia))
async def test_early_media_of_the_agent_is_never_passed(new_edge: NewEdge, early: EarlyMedia) -> None:
    async with new_edge(number=a_number(sound=Sound(early_media=early))) as edge:
        await edge.carrier.invites()
        call = await edge.agent.invited()
        call.responds(call.invite, 183, sdp=moved_to(sdp(OPENAI_SDP), edge.agent_audio))
        edge.agent_audio.start_towards(call.invite.body)
        await edge.time_passes(3)
        assert not edge.caller_audio.hears(AGENT_HZ)
        await edge.agent.answers()
        await edge.carrier.receives(200)
        await edge.time_passes(1)
        assert edge.caller_audio.hears(AGENT_HZ)
        await edge.carrier.hangs_up()
        await edge.assert_clean()


async def test_a_caller_without_an_offer_is_rung_and_hears_nothing_early(new_edge: NewEdge) -> None:
    async with new_edge(number=a_number(sound=Sound(early_media=EarlyMedia.TONE))) as edge:
        edge.screener.planned = Ring("a known caller")
        await edge.carrier.invites(body=b"")
        assert (await edge.carrier.receives(180)).body == b""
        await edge.phone.rings()
        await edge.time_passes(3)
        assert edge.caller_audio.packets_heard == 0
        await edge.carrier.cancels()
        await edge.carrier.receives(487)
        await edge.assert_clean()
