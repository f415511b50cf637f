"""Hostile media from phones, callers and voices while a call is put through does no harm."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from proxy.call.outcome import OnFailure, Result
from proxy.call.sound import EarlyMedia, Sound
from proxy.call.voicemail import VoicemailSettings
from proxy.lab.audio import AGENT_HZ, CALLER_HZ, PHONE_HZ, RINGBACK_HZ, SPEECH_HZ
from proxy.lab.peer_sdp import directed, revised
from proxy.media import speech
from proxy.media.ports import PortPool
from proxy.media.speech import RECORDED
from screening.contract import Connect, Ring, TakeMessage
from tests.call.test_early_media import rings_early
from tests.call.test_whisper import Voice, asking, picked_up
from tests.kit.edge import PHONE_NUMBER, NewEdge, a_number, leg_ends, summary

CROWD = 100


async def test_early_media_of_the_phone_stops_while_it_is_asked_to_press_1(new_edge: NewEdge) -> None:
    """A voicemail that plays its greeting as early media must not be heard once it has answered."""
    number = asking(sound=Sound(early_media=EarlyMedia.PASS))
    async with new_edge(number=number, speech=Voice()) as edge:
        await rings_early(edge)
        assert edge.caller_audio.hears(PHONE_HZ)
        await edge.phone.answers()
        await edge.time_passes(0.5)
        asked = edge.now
        await edge.time_passes(6)
        assert not edge.caller_audio.hears(PHONE_HZ, since=asked)
        assert not edge.phone_audio.hears(CALLER_HZ, since=asked)
        assert edge.caller_audio.hears(RINGBACK_HZ, since=asked)
        edge.phone.presses("1")
        await edge.carrier.receives(200)
        await edge.time_passes(1)
        assert edge.caller_audio.hears(PHONE_HZ, since=edge.now - 0.5)
        await edge.carrier.hangs_up()
        assert summary(await edge.over())[0] is Result.BRIDGED
        await edge.assert_clean()


@pytest.mark.parametrize("when", ["announcement", "whisper"])
async def test_a_shutdown_during_an_announcement_or_whisper_ends_every_leg(
    new_edge: NewEdge, when: str
) -> None:
    number = asking(record=when == "announcement", announcement=RECORDED)
    async with new_edge(number=number, speech=Voice()) as edge:
        if when == "whisper":
            await picked_up(edge)
        else:
            await edge.carrier.invites()
            await edge.carrier.receives(200)
        await edge.time_passes(0.5)
        await edge.registry.drain(0.0)
        record = await edge.over()
        assert record.outcome.result is Result.CUT
        assert [end for _, end in leg_ends(record)] == ["the server is shutting down"] * len(record.legs)
        await edge.assert_clean()


async def test_a_phone_that_holds_while_it_is_asked_is_given_up_at_the_confirm_limit(
    new_edge: NewEdge,
) -> None:
    async with new_edge(number=asking(confirm_limit_s=8.0), speech=Voice()) as edge:
        await picked_up(edge)
        await edge.time_passes(1)
        call = edge.phone.current
        assert (await call.reinvites(directed(revised(call.sdp, 1), "inactive"))).status == 200
        held = edge.now
        await edge.phone.receives("BYE")
        assert not edge.phone_audio.hears(SPEECH_HZ, since=held + 0.1)
        edge.screening.decides(TakeMessage("nobody"))
        await edge.agent.receives("BYE")
        await edge.time_passes(5)
        await edge.carrier.hangs_up()
        assert summary(await edge.over())[0] is Result.VOICEMAIL
        edge.assert_never_silent()
        await edge.assert_clean()


async def test_keys_pressed_by_the_caller_do_not_confirm_for_the_phone(new_edge: NewEdge) -> None:
    async with new_edge(number=asking(confirm_limit_s=8.0), speech=Voice()) as edge:
        await picked_up(edge)
        headers = [("Content-Type", "application/dtmf-relay")]
        for _ in range(40):
            edge.caller_audio.press("1")
            await edge.carrier.current.requests(
                "INFO", headers=headers, body=b"Signal=1\r\nDuration=99999\r\n"
            )
        await edge.phone.receives("BYE")
        assert edge.notify_statuses()[:2] == [100, 183]
        await edge.time_passes(1)
        assert edge.notify_statuses() == [100, 183, 408]
        assert edge.caller_audio.hears(AGENT_HZ, since=edge.now - 0.5)
        await edge.carrier.hangs_up()
        await edge.assert_clean()


async def test_the_agent_may_refer_again_to_a_phone_that_did_not_press_1(
    new_edge: NewEdge,
) -> None:
    async with new_edge(number=asking(confirm_limit_s=8.0), speech=Voice()) as edge:
        await picked_up(edge)
        edge.phone_audio.stop()  # and sends no audio either
        await edge.phone.receives("BYE")
        await edge.time_passes(1)
        await edge.agent.refers(f"tel:{PHONE_NUMBER}")
        await edge.phone.answers()
        await edge.time_passes(1)
        edge.phone.presses("1")
        await edge.agent.receives("BYE")
        await edge.time_passes(1)
        assert edge.caller_audio.hears(PHONE_HZ, since=edge.now - 0.5)
        await edge.carrier.hangs_up()
        assert summary(await edge.over())[0] is Result.BRIDGED
        edge.assert_never_silent()
        await edge.assert_clean()


async def test_a_phone_that_presses_2_sends_the_caller_to_voicemail_while_others_still_ring(
    new_edge: NewEdge,
) -> None:
    [first] = asking().destinations
    other = replace(first, uri="sip:+14155559877@trunk.example.com", number="+14155559877")
    number = asking(at_once=True, destinations=(first, other))
    async with new_edge(number=number, speech=Voice()) as edge:
        await edge.connects()
        edge.screening.decides(Connect("the cake"))
        await edge.phone.answers()
        await edge.phone.rings()
        ringing = edge.phone.current
        [asked] = [call for call in edge.phone.calls.values() if call is not ringing]
        headers = [("Content-Type", "application/dtmf")]
        await asked.requests("INFO", headers=headers, body=b"2")
        await edge.agent.receives("BYE")
        await edge.time_passes(5)
        assert (asked.over, ringing.over) == (True, True)
        await edge.carrier.hangs_up()
        assert summary(await edge.over())[0] is Result.VOICEMAIL
        await edge.assert_clean()


async def test_without_readable_prompt_files_voicemail_works_and_an_unconfirmed_phone_is_given_up(
    new_edge: NewEdge, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The shipped prompts were deleted, and text-to-speech fails as well."""
    monkeypatch.setattr(speech, "PROMPTS", tmp_path / "nowhere")
    speech._recorded.cache_clear()
    number = asking(voicemail=VoicemailSettings(greeting="Hello."))
    async with new_edge(number=number, speech=Voice(failure="the voice is gone")) as edge:
        await picked_up(edge)
        await edge.phone.receives("BYE")
        edge.screening.decides(TakeMessage("nobody"))
        await edge.agent.receives("BYE")
        await edge.time_passes(5)
        await edge.carrier.hangs_up()
        record = await edge.over()
        assert summary(record)[0] is Result.VOICEMAIL
        assert [step for step in record.steps if step.startswith("no greeting: prompt leave-message")]
        await edge.assert_clean()


async def test_deleting_the_recordings_folder_during_a_call_does_not_end_the_call(new_edge: NewEdge) -> None:
    async with new_edge(number=a_number(record=True)) as edge:
        await edge.connects()
        shutil.rmtree(edge.recordings)
        await edge.time_passes(5)
        edge.screening.decides(TakeMessage("later"))
        await edge.agent.receives("BYE")
        await edge.time_passes(5)
        await edge.carrier.hangs_up()
        assert summary(await edge.over())[0] is Result.VOICEMAIL
        await edge.assert_clean()


async def test_many_phones_that_never_press_1_are_all_given_up_and_nothing_is_left(
    new_edge: NewEdge,
) -> None:
    number = asking(confirm_limit_s=10.0, on_failure=OnFailure.REJECT)
    async with new_edge(
        number=number, speech=Voice(), audio=False, max_calls=CROWD, ports=PortPool(20000, 20000 + 8 * CROWD)
    ) as edge:
        edge.screener.planned = Ring("known")
        edge.phone.auto.add("INVITE")
        for _ in range(CROWD):
            await edge.carrier.invites()
            await edge.time_passes(0.01)
        await edge.time_passes(5)
        assert len(edge.registry) == CROWD
        await edge.over(CROWD)
        assert {record.outcome.result for record in edge.records} == {Result.UNANSWERED}
        await edge.assert_clean(calls=CROWD)
