"""Call recording: both sides, from the answer to the end, after an announcement to the caller."""

from __future__ import annotations

import array
import json
import wave

import pytest

from proxy.call.outcome import OnFailure, Result
from proxy.lab.audio import AGENT_HZ, CALLER_HZ, KNOWN_HZ, PHONE_HZ, frequencies_in
from proxy.media.clip import Clip
from proxy.media.speech import RECORDED, SpeechFailed
from screening.contract import Ring
from tests.kit.edge import PHONE_NUMBER, Edge, NewEdge, a_number, summary

OPUS = b"""\
v=0
o=- 1 1 IN IP4 198.51.100.114
s=-
c=IN IP4 198.51.100.114
t=0 0
m=audio 4000 RTP/AVP 107
a=rtpmap:107 opus/48000/2
""".replace(b"\n", b"\r\n")
ANNOUNCED_S = 1.52
"""Length of the announcement."""


def tape(path: str) -> tuple[array.array[int], array.array[int]]:
    """Left and right channel."""
    with wave.open(path) as file:
        assert (file.getnchannels(), file.getsampwidth(), file.getframerate()) == (2, 2, 8000)
        samples = array.array("h", file.readframes(file.getnframes()))
    return samples[::2], samples[1::2]


def tones(channel: array.array[int], at_s: float) -> set[int]:
    at = round(8000 * at_s)
    return set(frequencies_in(channel[at : at + 160], KNOWN_HZ))


def recorded(**changes: object):
    return a_number(record=True, announcement=RECORDED, **changes)


async def test_a_recording_has_the_caller_on_the_left_and_the_other_side_on_the_right(
    new_edge: NewEdge,
) -> None:
    async with new_edge(number=recorded()) as edge:
        await edge.carrier.invites()
        await edge.carrier.receives(200)
        await edge.agent.answers()
        await edge.time_passes(3)
        await edge.agent.refers(f"tel:{PHONE_NUMBER}")
        await edge.phone.answers()
        await edge.agent.receives("BYE")
        await edge.time_passes(5)
        await edge.carrier.hangs_up()
        record = await edge.over()
        assert summary(record) == (Result.BRIDGED, "ALLOW", "refer", "caller")
        assert record.recording == str(edge.recordings / f"{record.call}.wav")
        left, right = tape(record.recording)
        length_s = (record.ended - record.answered).total_seconds()
        assert len(left) / 8000 == record.recording_s == pytest.approx(length_s, abs=0.1)
        assert {frozenset(tones(left, n / 2)) for n in range(1, round(2 * length_s) - 1)} == {
            frozenset({CALLER_HZ})
        }
        assert tones(right, ANNOUNCED_S + 1.5) == {AGENT_HZ}
        assert tones(right, length_s - 2) == {PHONE_HZ}
        assert (record.announced - record.answered).total_seconds() == pytest.approx(ANNOUNCED_S, abs=0.03)
        assert json.loads(json.dumps(record.as_dict()))["announced"].startswith("2026-11-22T09:00:")
        edge.assert_never_silent()
        await edge.assert_clean()


async def test_the_agent_is_called_and_timed_only_after_the_announcement(new_edge: NewEdge) -> None:
    async with new_edge(number=recorded()) as edge:
        await edge.carrier.invites()
        answered = await edge.carrier.receives(200)
        assert answered is not None
        began = edge.now
        await edge.agent.answers()
        assert edge.screening.agent_called is not None
        assert edge.screening.agent_called - began == pytest.approx(ANNOUNCED_S, abs=0.05)
        await edge.carrier.hangs_up()
        await edge.assert_clean()


async def test_the_agent_gets_no_message_before_the_announcement_has_ended(new_edge: NewEdge) -> None:
    async with new_edge(number=recorded()) as edge:
        await edge.carrier.invites()
        await edge.carrier.receives(200)
        await edge.time_passes(ANNOUNCED_S - 0.1)
        assert edge.agent.trace == []
        await edge.agent.answers()
        await edge.carrier.hangs_up()
        record = await edge.over()
        assert record.announced is not None
        await edge.assert_clean()


async def test_without_an_announcement_set_the_call_is_recorded_silently(new_edge: NewEdge) -> None:
    async with new_edge(number=a_number(record=True)) as edge:
        await edge.bridges()
        await edge.carrier.hangs_up()
        record = await edge.over()
        assert (record.announced, record.recording is None) == (None, False)
        assert tones(tape(record.recording)[1], 0.5) == {AGENT_HZ}
        await edge.assert_clean()


async def test_nothing_is_recorded_by_default(edge: Edge) -> None:
    await edge.bridges()
    await edge.carrier.hangs_up()
    record = await edge.over()
    assert (record.recording, record.recording_s, record.announced) == (None, None, None)
    assert not edge.recordings.exists()
    await edge.assert_clean()


async def test_an_unscreened_call_is_announced_and_recorded_too(new_edge: NewEdge) -> None:
    async with new_edge(number=recorded()) as edge:
        edge.screener.planned = Ring("a friend")
        await edge.carrier.invites()
        await edge.carrier.receives(200)
        await edge.phone.answers()
        await edge.time_passes(5)
        await edge.carrier.hangs_up()
        record = await edge.over()
        _left, right = tape(record.recording)
        assert tones(right, len(right) / 8000 - 0.5) == {PHONE_HZ}
        assert record.announced <= next(leg.began for leg in record.legs if leg.name == "phone")
        edge.assert_never_silent()
        await edge.assert_clean()


async def test_a_caller_without_g711_is_connected_and_not_recorded(new_edge: NewEdge) -> None:
    async with new_edge(number=recorded(), audio=False) as edge:
        await edge.carrier.invites(body=OPUS)
        await edge.carrier.receives(200)
        await edge.agent.receives("INVITE")
        await edge.carrier.hangs_up()
        record = await edge.over()
        assert "not recorded: opus/48000/2 cannot be recorded, only G.711" in record.steps
        assert (record.recording, record.announced) == (None, None)
        await edge.assert_clean()


async def test_an_unwritable_recordings_folder_does_not_disturb_the_call(new_edge: NewEdge) -> None:
    async with new_edge(number=recorded()) as edge:
        edge.recordings.write_text("a file where a folder should be")
        await edge.bridges()
        await edge.carrier.hangs_up()
        record = await edge.over()
        assert summary(record) == (Result.BRIDGED, "ALLOW", "refer", "caller")
        assert any(step.startswith("not recorded: ") for step in record.steps)
        assert (record.recording, record.announced) == (None, None)
        await edge.assert_clean()


class Hoarse:
    """A text-to-speech voice that fails."""

    async def speak(self, text: str, language: str) -> Clip:
        raise SpeechFailed("the voice is gone")


async def test_an_announcement_that_cannot_be_synthesized_is_replaced_by_the_recorded_one(
    new_edge: NewEdge,
) -> None:
    async with new_edge(number=recorded(), speech=Hoarse()) as edge:
        await edge.carrier.invites()
        await edge.carrier.receives(200)
        await edge.agent.answers()
        await edge.time_passes(2)
        await edge.carrier.hangs_up()
        record = await edge.over()
        assert "announcement not spoken: the voice is gone" in record.steps
        assert record.announced is not None
        await edge.assert_clean()


async def test_a_recorded_call_gets_voicemail_if_the_agent_does_not_answer(
    new_edge: NewEdge,
) -> None:
    async with new_edge(number=recorded(on_failure=OnFailure.VOICEMAIL)) as edge:
        await edge.carrier.invites()
        await edge.carrier.receives(200)
        await edge.time_passes(15)
        await edge.carrier.hangs_up()
        record = await edge.over()
        assert record.outcome.result is Result.VOICEMAIL
        assert record.voicemail is not None
        edge.assert_never_silent(until=edge.time_of(record.answered) + 9)
        await edge.assert_clean()


async def test_a_caller_may_hang_up_during_the_announcement(new_edge: NewEdge) -> None:
    async with new_edge(number=recorded()) as edge:
        await edge.carrier.invites()
        await edge.carrier.receives(200)
        await edge.time_passes(0.5)
        await edge.carrier.hangs_up()
        record = await edge.over()
        assert summary(record) == (Result.CALLER_LEFT, None, None, "caller")
        assert record.announced is None
        await edge.assert_clean()
