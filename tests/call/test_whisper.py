"""The whisper: before a phone is connected it hears who calls and must press 1 to take the call."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from proxy.call.outcome import OnFailure, Result
from proxy.call.routing import Confirmation, Destination, Number
from proxy.lab.audio import AGENT_HZ, CALLER_HZ, PHONE_HZ, RINGBACK_HZ, SPEECH_HZ, TonePeer
from proxy.media.clip import Clip
from proxy.media.formats import PCMU
from proxy.media.g711 import PCMU_SAMPLES
from proxy.media.rtp import HEADER_BYTES
from proxy.media.speech import RECORDED, RecordedPrompts, SpeechFailed
from proxy.media.tones import frames
from screening.contract import Connect, News, Ring, Wish
from tests.kit.edge import PHONE_NUMBER, Edge, NewEdge, a_number, leg_ends, summary

REFERRED = f"tel:{PHONE_NUMBER}"


class Voice:
    """A voice that says everything as a two-second tone after a delay, and records the texts."""

    def __init__(self, after_s: float = 0.0, failure: str | None = None) -> None:
        self.after_s, self.failure = after_s, failure
        self.texts: list[tuple[str, str]] = []

    async def speak(self, text: str, language: str) -> Clip:
        self.texts.append((text, language))
        await asyncio.sleep(self.after_s)
        if self.failure:
            raise SpeechFailed(self.failure)
        return Clip([PCMU_SAMPLES[octet] for frame in frames((SPEECH_HZ,), 2.0) for octet in frame])


def asking(confirm: Confirmation = Confirmation.PRESS_1, **changes: object) -> Number:
    """The default number, whose phone must confirm."""
    number = a_number(**changes)
    return replace(number, destinations=tuple(replace(each, confirm=confirm) for each in number.destinations))


def payloads_sent_to(edge: Edge, peer: TonePeer) -> bytearray:
    """The RTP payloads sent to this peer from now on, one after the other."""
    payloads = bytearray()

    def record(source: object, to: object, packet: bytes) -> bool:
        if to == peer.address:
            payloads.extend(packet[HEADER_BYTES:])
        return False

    edge.media.lose = record
    return payloads


async def recorded_prompts(text: str) -> bytes:
    """The recorded prompts for this English text, as RTP payloads."""
    return b"".join((await RecordedPrompts().speak(text, "en")).frames(PCMU.key))


async def picked_up(edge: Edge) -> None:
    """The agent refers, and the phone is picked up."""
    await edge.connects()
    edge.screening.decided = Connect("She brings the cake.", "Grace")
    await edge.agent.refers(REFERRED)
    await edge.phone.answers()


async def test_the_phone_presses_1_and_is_connected(new_edge: NewEdge) -> None:
    async with new_edge(number=asking(), speech=(voice := Voice())) as edge:
        await picked_up(edge)
        await edge.time_passes(3)
        assert edge.phone_audio.hears(SPEECH_HZ)
        assert not edge.phone_audio.hears(CALLER_HZ)
        assert not edge.caller_audio.hears(PHONE_HZ)
        assert edge.caller_audio.hears(AGENT_HZ, since=edge.now - 1)
        assert edge.notify_statuses() == [100, 183]
        edge.phone.presses("1")
        pressed = edge.now
        await edge.agent.receives("BYE")
        assert edge.now - pressed < 0.25
        await edge.time_passes(2)
        assert edge.notify_statuses() == [100, 183, 200]
        assert edge.caller_audio.hears(PHONE_HZ)
        assert edge.phone_audio.hears(CALLER_HZ)
        assert not edge.phone_audio.hears(SPEECH_HZ, since=pressed + 0.3)
        await edge.carrier.hangs_up()
        record = await edge.over()
        assert summary(record) == (Result.BRIDGED, "ALLOW", "refer", "caller")
        assert record.steps[3:5] == ["picked up: phone is told who calls", "phone answered"]
        text = "Call from Grace. She brings the cake. Press 1 to accept, 2 for voicemail."
        assert voice.texts == [(text, "en")]
        edge.assert_never_silent()
        await edge.assert_clean()


async def test_the_confirmation_key_is_not_relayed_to_the_caller_rfc4733_2_5_1_4(new_edge: NewEdge) -> None:
    async with new_edge(number=asking(), speech=Voice()) as edge:
        await picked_up(edge)
        events: list[bytes] = []
        edge.media.lose = lambda source, to, packet: (
            to == edge.caller_audio.address and packet[1] & 0x7F == 101 and events.append(packet)
        )
        await edge.time_passes(1)
        edge.phone.presses("1")
        await edge.agent.receives("BYE")
        await edge.time_passes(1)
        assert events == []
        await edge.carrier.hangs_up()
        await edge.assert_clean()


async def test_the_confirmation_key_is_accepted_by_sip_info(new_edge: NewEdge) -> None:
    async with new_edge(number=asking(), speech=Voice()) as edge:
        await picked_up(edge)
        await edge.time_passes(1)
        headers = [("Content-Type", "application/dtmf-relay")]
        await edge.phone.current.requests("INFO", headers=headers, body=b"Signal=1\r\nDuration=160\r\n")
        await edge.agent.receives("BYE")
        await edge.time_passes(1)
        await edge.carrier.hangs_up()
        assert summary(await edge.over())[0] is Result.BRIDGED
        await edge.assert_clean()


async def test_pressing_2_sends_the_caller_to_voicemail(new_edge: NewEdge) -> None:
    async with new_edge(number=asking(), speech=Voice()) as edge:
        await picked_up(edge)
        await edge.time_passes(1)
        edge.phone.presses("2")
        await edge.phone.receives("BYE")
        await edge.agent.receives("BYE")
        await edge.time_passes(5)
        assert edge.notify_statuses() == [100, 183, 603]
        assert not edge.caller_audio.hears(PHONE_HZ)
        await edge.carrier.hangs_up()
        record = await edge.over()
        assert summary(record) == (Result.VOICEMAIL, "ALLOW", "refer", "caller")
        assert record.voicemail_s > 3
        assert record.outcome.reason == "the caller was sent to voicemail"
        await edge.assert_clean()


async def test_keys_without_a_meaning_are_ignored(new_edge: NewEdge) -> None:
    async with new_edge(number=asking(), speech=Voice()) as edge:
        await picked_up(edge)
        for key in "3#0*":
            await edge.time_passes(1)
            edge.phone.presses(key)
        await edge.time_passes(1)
        assert edge.notify_statuses() == [100, 183]
        edge.phone.presses("1")
        await edge.agent.receives("BYE")
        await edge.carrier.hangs_up()
        assert summary(await edge.over())[0] is Result.BRIDGED
        await edge.assert_clean()


async def test_a_phone_that_presses_no_key_counts_as_no_answer(new_edge: NewEdge) -> None:
    async with new_edge(number=asking(ring_limit_s=25.0), speech=Voice()) as edge:
        await picked_up(edge)
        began = edge.now
        await edge.phone.receives("BYE")
        assert edge.now - began == pytest.approx(20, abs=0.1)
        assert edge.phone_audio.longest_gap_ms(began + 0.4, edge.now) < 2000
        await edge.time_passes(1)
        assert edge.notify_statuses() == [100, 183, 408]
        assert edge.screening.news[-1] is News.PHONE_NO_ANSWER
        assert edge.caller_audio.hears(AGENT_HZ, since=edge.now - 0.5)
        assert not edge.caller_audio.hears(PHONE_HZ)
        await edge.carrier.hangs_up()
        record = await edge.over()
        assert leg_ends(record)[2] == ("phone", "no answer in time")
        edge.assert_never_silent()
        await edge.assert_clean()


async def test_a_phone_that_answers_near_the_ring_limit_has_the_full_confirm_limit(new_edge: NewEdge) -> None:
    async with new_edge(number=asking(ring_limit_s=10.0), speech=Voice()) as edge:
        await edge.connects()
        await edge.agent.refers(REFERRED)
        await edge.phone.rings()
        await edge.time_passes(9.5)
        await edge.phone.answers()
        await edge.time_passes(15)
        edge.phone.presses("1")
        await edge.agent.receives("BYE")
        await edge.carrier.hangs_up()
        assert summary(await edge.over())[0] is Result.BRIDGED
        await edge.assert_clean()


async def test_a_phone_that_hangs_up_during_the_whisper_counts_as_no_answer(new_edge: NewEdge) -> None:
    async with new_edge(number=asking(), speech=Voice()) as edge:
        await picked_up(edge)
        await edge.time_passes(1)
        await edge.phone.current.hangs_up()
        await edge.time_passes(1)
        assert edge.notify_statuses() == [100, 183, 480]
        assert edge.screening.news[-1] is News.PHONE_NO_ANSWER
        await edge.carrier.hangs_up()
        record = await edge.over()
        assert summary(record) == (Result.CALLER_LEFT, "ALLOW", "refer", "caller")
        await edge.assert_clean()


async def test_a_caller_who_hangs_up_during_the_whisper_ends_the_phone_leg(new_edge: NewEdge) -> None:
    async with new_edge(number=asking(), speech=Voice()) as edge:
        await picked_up(edge)
        await edge.time_passes(1)
        await edge.carrier.hangs_up()
        bye = await edge.phone.receives("BYE")
        assert "the caller hung up" in (bye.headers.get("Reason") or "")
        await edge.assert_clean()


async def test_the_caller_hears_ringback_if_the_agent_hangs_up_during_the_whisper(new_edge: NewEdge) -> None:
    async with new_edge(number=asking(), speech=Voice()) as edge:
        await picked_up(edge)
        await edge.agent.current.hangs_up()
        left = edge.now
        await edge.time_passes(3)
        assert edge.caller_audio.hears(RINGBACK_HZ, since=left)
        edge.phone.presses("1")
        await edge.time_passes(2)
        assert edge.caller_audio.hears(PHONE_HZ)
        await edge.carrier.hangs_up()
        await edge.over()
        edge.assert_never_silent()
        await edge.assert_clean()


async def test_a_verdict_without_a_refer_asks_the_phone_to_press_1_too(new_edge: NewEdge) -> None:
    async with new_edge(number=asking(), speech=(voice := Voice())) as edge:
        await edge.connects()
        edge.screening.decided = Connect("About the cake")
        edge.screening.decides(edge.screening.decided)
        await edge.phone.answers()
        await edge.time_passes(1)
        assert edge.notify_statuses() == []
        edge.phone.presses("1")
        await edge.agent.receives("BYE")
        await edge.carrier.hangs_up()
        assert summary(await edge.over()) == (Result.BRIDGED, "ALLOW", "verdict", "caller")
        assert "About the cake. Press 1 to accept" in voice.texts[0][0]
        await edge.assert_clean()


async def test_an_unscreened_caller_is_announced_as_unscreened(new_edge: NewEdge) -> None:
    async with new_edge(number=asking(on_failure=OnFailure.RING), speech=(voice := Voice())) as edge:
        await edge.carrier.invites()
        await edge.agent.rejects(503)
        await edge.phone.answers()
        await edge.time_passes(1)
        edge.phone.presses("1")
        await edge.carrier.receives(200)
        await edge.time_passes(1)
        await edge.carrier.hangs_up()
        assert summary(await edge.over()) == (Result.BRIDGED, None, "failure", "caller")
        assert "The caller was not screened." in voice.texts[0][0]
        await edge.assert_clean()


async def test_an_unanswered_caller_gets_200_only_when_the_phone_presses_1(
    new_edge: NewEdge,
) -> None:
    async with new_edge(number=asking(), speech=Voice()) as edge:
        edge.screener.planned = Ring("a friend")
        await edge.carrier.invites()
        await edge.phone.answers()
        await edge.time_passes(5)
        assert not [each for each in edge.carrier.trace if getattr(each.message, "status", 0) == 200]
        edge.phone.presses("1")
        await edge.carrier.receives(200)
        await edge.carrier.hangs_up()
        await edge.assert_clean()


@pytest.mark.parametrize("voice", [Voice(after_s=60.0), Voice(failure="the account is empty")])
async def test_recorded_prompts_replace_late_or_failed_speech_and_the_phone_can_confirm(
    new_edge: NewEdge, voice: Voice
) -> None:
    async with new_edge(number=asking(), speech=voice) as edge:
        played = payloads_sent_to(edge, edge.phone_audio)
        await picked_up(edge)
        began = edge.now
        await edge.time_passes(12)
        assert not edge.phone_audio.hears(SPEECH_HZ)
        prompt = "Call from 1 3 4 7 5 5 5 0 1 4 8. Press 1 to accept, 2 for voicemail."
        assert await recorded_prompts(prompt) in played
        assert edge.phone_audio.longest_gap_ms(began + 0.4, edge.now) < 2000
        edge.phone.presses("1")
        await edge.agent.receives("BYE")
        await edge.carrier.hangs_up()
        assert summary(await edge.over())[0] is Result.BRIDGED
        await edge.assert_clean()


async def test_speech_synthesized_while_the_phone_rang_is_played_at_once(new_edge: NewEdge) -> None:
    async with new_edge(number=asking(), speech=Voice(after_s=4.0)) as edge:
        await edge.connects()
        await edge.agent.refers(REFERRED)
        await edge.phone.rings()
        await edge.time_passes(5)
        await edge.phone.answers()
        await edge.time_passes(0.2)
        assert edge.phone_audio.hears(SPEECH_HZ)
        edge.phone.presses("1")
        await edge.agent.receives("BYE")
        await edge.carrier.hangs_up()
        await edge.assert_clean()


async def test_the_whisper_setting_announces_the_caller_and_needs_no_key(new_edge: NewEdge) -> None:
    number = asking(Confirmation.WHISPER)
    async with new_edge(number=number, speech=(voice := Voice())) as edge:
        await picked_up(edge)
        await edge.agent.receives("BYE")
        await edge.time_passes(1)
        assert edge.phone_audio.hears(SPEECH_HZ)
        assert edge.caller_audio.hears(PHONE_HZ)
        assert voice.texts == [("Call from Grace. She brings the cake.", "en")]
        await edge.carrier.hangs_up()
        await edge.over()
        edge.assert_never_silent()
        await edge.assert_clean()


async def test_caller_and_phone_both_hear_that_the_call_is_recorded(new_edge: NewEdge) -> None:
    number = asking(Confirmation.OFF, record=True, announcement=RECORDED)
    async with new_edge(number=number, speech=(voice := Voice())) as edge:
        await edge.carrier.invites()
        await edge.carrier.receives(200)
        await edge.agent.answers()
        await edge.time_passes(3)
        await edge.agent.refers(REFERRED)
        await edge.phone.answers()
        await edge.agent.receives("BYE")
        await edge.time_passes(1)
        assert edge.phone_audio.hears(SPEECH_HZ)
        assert [text for text, _ in voice.texts] == [RECORDED, RECORDED]
        await edge.carrier.hangs_up()
        await edge.assert_clean()


async def test_nothing_is_synthesized_if_confirmation_is_off(new_edge: NewEdge) -> None:
    async with new_edge(speech=(voice := Voice())) as edge:
        await edge.bridges()
        await edge.carrier.hangs_up()
        await edge.assert_clean()
        assert voice.texts == []


async def test_the_next_destination_is_asked_after_the_first_does_not_confirm(new_edge: NewEdge) -> None:
    number = asking(confirm_limit_s=8.0)
    [first] = number.destinations
    second = replace(first, uri="sip:+14155559877@trunk.example.com", number="+14155559877")
    number = replace(number, destinations=(first, second))
    async with new_edge(number=number, speech=(voice := Voice())) as edge:
        await edge.connects()
        edge.screening.decides(Connect("the cake"))
        await edge.phone.answers()
        await edge.phone.receives("BYE")
        await edge.phone.answers()
        await edge.time_passes(1)
        edge.phone.presses("1")
        await edge.agent.receives("BYE")
        await edge.carrier.hangs_up()
        record = await edge.over()
        assert [leg for leg, _ in leg_ends(record)] == ["caller", "agent", "phone", "phone"]
        assert summary(record)[0] is Result.BRIDGED
        assert len(voice.texts) == 1
        await edge.assert_clean()


def together(**changes: object) -> Number:
    """A number with two mobile phones that ring at once."""
    trunk = a_number().destinations[0].trunk
    places = tuple(
        Destination(
            f"sip:+1415555987{n}@trunk.example.com", f"+1415555987{n}", trunk, confirm=Confirmation.PRESS_1
        )
        for n in (6, 7)
    )
    return a_number(destinations=places, at_once=True, **changes)


async def test_among_phones_rung_in_parallel_the_first_to_press_1_gets_the_call(new_edge: NewEdge) -> None:
    async with new_edge(number=together(), speech=Voice()) as edge:
        await edge.connects()
        edge.screening.decides(Connect("the cake"))
        mailbox = await edge.phone.answers()
        person = await edge.phone.answers()
        assert mailbox is not person
        await edge.time_passes(3)
        assert not mailbox.over
        assert not person.over
        edge.phone.presses("1")
        await edge.agent.receives("BYE")
        await edge.time_passes(1)
        assert (mailbox.over, person.over).count(True) == 1
        await edge.carrier.hangs_up()
        record = await edge.over()
        assert summary(record)[0] is Result.BRIDGED
        assert sorted(end for _, end in leg_ends(record)[2:]) == [
            "Call completed elsewhere",
            "the caller hung up",
        ]
        await edge.assert_clean()


async def test_a_phone_that_presses_no_key_is_hung_up_while_another_rings_on_rfc3261_15(
    new_edge: NewEdge,
) -> None:
    async with new_edge(number=together(confirm_limit_s=10.0), speech=Voice()) as edge:
        await edge.connects()
        edge.screening.decides(Connect("the cake"))
        mailbox = await edge.phone.answers()
        await edge.phone.rings()
        await edge.time_passes(11)
        assert mailbox.over
        await edge.phone.answers()
        await edge.time_passes(1)
        edge.phone.presses("1")
        await edge.agent.receives("BYE")
        await edge.carrier.hangs_up()
        assert summary(await edge.over())[0] is Result.BRIDGED
        await edge.assert_clean()


# Keys for decisions beyond this call.


def with_keys(**changes: object) -> Number:
    return asking(whisper_keys=True, **changes)


async def test_pressing_3_blocks_the_caller_with_607_rfc8197(new_edge: NewEdge) -> None:
    async with new_edge(number=with_keys(), speech=(voice := Voice())) as edge:
        await picked_up(edge)
        await edge.time_passes(1)
        assert voice.texts[0][0].endswith("Press 3 to block the caller, star to always let them through.")
        edge.phone.presses("3")
        await edge.phone.receives("BYE")
        bye = await edge.carrier.receives("BYE")
        assert bye.headers.get("Reason") == 'SIP;cause=607;text="Unwanted"'
        await edge.agent.receives("BYE")
        assert edge.notify_statuses() == [100, 183, 607]
        record = await edge.over()
        assert summary(record) == (Result.DECLINED, "ALLOW", "refer", None)
        assert record.outcome.reason == "the caller was blocked at the phone"
        assert "block wished: by a key, at the phone" in record.steps
        assert edge.screener.wishes == [("+13475550148", Wish.BLOCK)]
        await edge.assert_clean()


async def test_an_unanswered_caller_who_is_blocked_at_the_phone_gets_607(new_edge: NewEdge) -> None:
    async with new_edge(number=with_keys(), speech=Voice()) as edge:
        edge.screener.planned = Ring("level: nobody is screened (off)")
        await edge.carrier.invites()
        await edge.phone.answers()
        await edge.time_passes(1)
        edge.phone.presses("3")
        refusal = await edge.carrier.receives(607)
        assert refusal.headers.get("Reason") == 'Q.850;cause=21;text="the caller is not wanted"'
        assert summary(await edge.over()) == (Result.REFUSED, None, "plan", None)
        assert edge.screener.wishes == [("+13475550148", Wish.BLOCK)]
        await edge.assert_clean()


async def test_pressing_star_trusts_the_caller_and_accepts_the_call(new_edge: NewEdge) -> None:
    async with new_edge(number=with_keys(), speech=Voice()) as edge:
        await picked_up(edge)
        await edge.time_passes(1)
        edge.phone.presses("*")
        await edge.agent.receives("BYE")
        await edge.time_passes(1)
        assert edge.phone_audio.hears(CALLER_HZ)
        await edge.carrier.hangs_up()
        assert summary(await edge.over()) == (Result.BRIDGED, "ALLOW", "refer", "caller")
        assert edge.screener.wishes == [("+13475550148", Wish.TRUST)]
        await edge.assert_clean()


async def test_without_whisper_keys_3_and_star_are_ignored(new_edge: NewEdge) -> None:
    async with new_edge(number=asking(), speech=(voice := Voice())) as edge:
        await picked_up(edge)
        for key in "3*":
            await edge.time_passes(1)
            edge.phone.presses(key)
        await edge.time_passes(1)
        assert "block" not in voice.texts[0][0]
        assert edge.screener.wishes == []
        edge.phone.presses("1")
        await edge.agent.receives("BYE")
        await edge.carrier.hangs_up()
        assert summary(await edge.over())[0] is Result.BRIDGED
        await edge.assert_clean()


async def test_one_of_several_phones_rung_in_parallel_may_block_the_caller(new_edge: NewEdge) -> None:
    number = with_keys(at_once=True)
    other = replace(number.destinations[0], uri="sip:+14155559877@trunk.example.com", number="+14155559877")
    number = replace(number, destinations=(*number.destinations, other))
    async with new_edge(number=number, speech=Voice()) as edge:
        edge.screener.planned = Ring("level: nobody is screened (off)")
        await edge.carrier.invites()
        await edge.phone.answers()
        await edge.time_passes(1)
        edge.phone.presses("3")
        await edge.carrier.receives(607)
        assert summary(await edge.over())[0] is Result.REFUSED
        await edge.assert_clean()


# A phone without confirmation is still told about an unscreened caller.


@pytest.mark.parametrize("told", [Confirmation.UNSCREENED, Confirmation.OFF])
async def test_a_phone_that_confirms_nothing_hears_that_the_caller_was_not_screened_if_set(
    new_edge: NewEdge, told: Confirmation
) -> None:
    async with new_edge(number=asking(told), speech=(voice := Voice())) as edge:
        edge.down.add("agent:openai")
        await edge.carrier.invites()
        await edge.phone.answers()
        await edge.time_passes(1)
        warned = told is Confirmation.UNSCREENED
        assert bool(edge.phone_audio.hears(SPEECH_HZ)) == warned
        assert bool(edge.phone_audio.hears(CALLER_HZ)) != warned
        await edge.time_passes(2.5)
        assert edge.phone_audio.hears(CALLER_HZ)
        assert voice.texts == ([("The caller was not screened.", "en")] if warned else [])
        await edge.carrier.hangs_up()
        assert summary(await edge.over()) == (Result.BRIDGED, None, "failure", "caller")
        await edge.assert_clean()


async def test_a_phone_with_confirm_unscreened_hears_no_announcement_of_a_screened_caller(
    new_edge: NewEdge,
) -> None:
    async with new_edge(number=asking(Confirmation.UNSCREENED), speech=(voice := Voice())) as edge:
        await picked_up(edge)
        await edge.agent.receives("BYE")
        await edge.carrier.hangs_up()
        assert voice.texts == []
        await edge.assert_clean()
