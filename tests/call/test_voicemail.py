"""Voicemail: a beep, then the caller's message in a WAV file."""

from __future__ import annotations

import array
import errno
import os
import wave
from pathlib import Path

import pytest

from proxy.call.outcome import OnFailure, Result
from proxy.call.voicemail import VoicemailSettings
from proxy.lab.audio import BEEP_HZ, CALLER_HZ, KNOWN_HZ, frequencies_in
from proxy.media.clip import Clip
from proxy.media.speech import LEAVE_MESSAGE
from proxy.ua.latch import Latch, MessageTurn
from screening.contract import TakeMessage
from tests.call.test_call_recording import OPUS
from tests.kit.edge import Edge, NewEdge, a_number, leg_ends, summary


def tones_in(path: str) -> tuple[float, set[int]]:
    """The length of a WAV file in seconds, and the tones heard throughout its middle."""
    with wave.open(path) as file:
        assert (file.getnchannels(), file.getsampwidth(), file.getframerate()) == (1, 2, 8000)
        samples = array.array("h", file.readframes(file.getnframes()))
    middle = len(samples) // 2
    return len(samples) / 8000, set(frequencies_in(samples[middle : middle + 160], KNOWN_HZ))


async def test_a_message_is_recorded_until_the_caller_hangs_up(edge: Edge) -> None:
    await edge.connects()
    edge.screening.decides(TakeMessage("asks to be called back"))
    await edge.agent.receives("BYE")
    await edge.time_passes(6)
    assert edge.caller_audio.hears(BEEP_HZ)
    await edge.carrier.hangs_up()
    record = await edge.over()
    assert summary(record) == (Result.VOICEMAIL, "VOICEMAIL", None, "caller")
    assert record.outcome.reason == record.why == "asks to be called back"
    assert record.voicemail == str(edge.voicemail / f"{record.call}.wav")
    seconds, heard = tones_in(record.voicemail)
    assert seconds == pytest.approx(5.6, abs=0.1)
    assert record.voicemail_s == pytest.approx(seconds, abs=0.01)
    assert heard == {CALLER_HZ}
    edge.assert_one_rtp_stream(edge.caller_audio)
    await edge.assert_clean()


async def test_a_message_ends_at_the_limit(new_edge: NewEdge) -> None:
    async with new_edge(number=a_number(voicemail=VoicemailSettings(limit_s=10.0))) as edge:
        await edge.connects()
        edge.screening.decides(TakeMessage("asks to be called back"))
        await edge.agent.receives("BYE")
        await edge.carrier.receives("BYE")
        record = await edge.over()
        assert summary(record) == (Result.VOICEMAIL, "VOICEMAIL", None, None)
        assert leg_ends(record) == [("caller", "the call is over"), ("agent", "the call is over")]
        assert record.steps[-1] == "voicemail full: after 10 s"
        seconds, heard = tones_in(record.voicemail)
        assert seconds == pytest.approx(10, abs=0.1)
        assert heard == {CALLER_HZ}
        await edge.assert_clean()


async def test_a_caller_who_hangs_up_at_the_beep_leaves_no_file(edge: Edge) -> None:
    await edge.connects()
    edge.screening.decides(TakeMessage("asks to be called back"))
    await edge.agent.receives("BYE")
    await edge.time_passes(0.2)
    await edge.carrier.hangs_up()
    record = await edge.over()
    assert summary(record) == (Result.CALLER_LEFT, "VOICEMAIL", None, "caller")
    assert record.voicemail is None
    assert not edge.voicemail.exists()
    await edge.assert_clean()


async def test_an_unwritable_voicemail_folder_ends_the_call_cleanly(edge: Edge, tmp_path: Path) -> None:
    (tmp_path / "voicemail").write_text("a file where a folder should be")
    await edge.connects()
    edge.screening.decides(TakeMessage("asks to be called back"))
    await edge.agent.receives("BYE")
    await edge.carrier.receives("BYE")
    record = await edge.over()
    assert summary(record) == (Result.UNANSWERED, "VOICEMAIL", None, None)
    assert any(step.startswith("voicemail not possible: ") for step in record.steps)
    await edge.assert_clean()


async def test_a_caller_without_g711_gets_no_voicemail(new_edge: NewEdge) -> None:
    async with new_edge(number=a_number(on_failure=OnFailure.VOICEMAIL), audio=False) as edge:
        await edge.carrier.invites(body=OPUS)
        await edge.agent.rejects(503)
        await edge.carrier.receives(200)
        await edge.carrier.receives("BYE")
        record = await edge.over()
        assert summary(record) == (Result.UNANSWERED, None, None, None)
        assert "voicemail not possible: opus/48000/2 cannot be recorded, only G.711" in record.steps
        assert any(step.startswith("caller told: ") for step in record.steps)
        assert (record.ended - record.answered).total_seconds() < 5
        assert not edge.voicemail.exists()
        await edge.assert_clean()


async def test_a_message_ends_after_silence_s_of_silence_which_is_cut_off(new_edge: NewEdge) -> None:
    async with new_edge(number=a_number(voicemail=VoicemailSettings(silence_s=8.0))) as edge:
        edge.excused_silence = lambda silence: silence.peer == "carrier"  # trailing silence is cut
        await edge.connects()
        edge.screening.decides(TakeMessage("asks to be called back"))
        await edge.agent.receives("BYE")
        await edge.time_passes(5.4)
        edge.caller_audio.stop()
        await edge.carrier.receives("BYE")
        record = await edge.over()
        assert summary(record) == (Result.VOICEMAIL, "VOICEMAIL", None, None)
        assert record.steps[-1] == "voicemail over: after 8 s of silence"
        seconds, heard = tones_in(record.voicemail)
        assert (seconds, heard) == (pytest.approx(5, abs=0.1), {CALLER_HZ})
        assert (record.ended - record.answered).total_seconds() == pytest.approx(1 + 0.4 + 5 + 8, abs=0.1)
        await edge.assert_clean()


@pytest.mark.parametrize("said_s", [0.0, 0.6])
async def test_a_message_with_almost_no_speech_is_not_kept(edge: Edge, said_s: float) -> None:
    await edge.connects()
    edge.screening.decides(TakeMessage("asks to be called back"))
    await edge.agent.receives("BYE")
    await edge.time_passes(0.4 + said_s)
    edge.caller_audio.stop()
    await edge.time_passes(3)
    await edge.carrier.hangs_up()
    record = await edge.over()
    assert summary(record) == (Result.VOICEMAIL, "VOICEMAIL", None, "caller")
    assert record.steps[-1] == "no message: nothing was said, or next to nothing"
    assert (record.voicemail, list(edge.voicemail.iterdir())) == (None, [])
    await edge.assert_clean()


async def test_a_greeting_comes_before_the_beep(new_edge: NewEdge) -> None:
    async with new_edge(number=a_number(voicemail=VoicemailSettings(greeting=LEAVE_MESSAGE))) as edge:
        await edge.connects()
        edge.screening.decides(TakeMessage("asks to be called back"))
        await edge.agent.receives("BYE")
        began = edge.now
        await edge.time_passes(2.1)
        assert not edge.caller_audio.hears(BEEP_HZ, since=began)
        await edge.time_passes(5)
        assert edge.caller_audio.hears(BEEP_HZ)
        await edge.carrier.hangs_up()
        record = await edge.over()
        assert record.voicemail_s == pytest.approx(7.1 - 0.4 - 2.28, abs=0.1)
        edge.assert_never_silent(until=began + 2.6)
        await edge.assert_clean()


class Mute:
    """A text-to-speech voice that never delivers."""

    async def speak(self, text: str, language: str) -> Clip:
        await Latch[None](MessageTurn())
        raise AssertionError


async def test_a_greeting_not_synthesized_in_time_is_replaced_by_the_recorded_one(new_edge: NewEdge) -> None:
    number = a_number(voicemail=VoicemailSettings(greeting="Grace is out. Speak."))
    async with new_edge(number=number, speech=Mute()) as edge:
        await edge.connects()
        edge.screening.decides(TakeMessage("asks to be called back"))
        await edge.agent.receives("BYE")
        await edge.time_passes(6)
        assert edge.caller_audio.hears(BEEP_HZ)
        await edge.carrier.hangs_up()
        record = await edge.over()
        assert "greeting not spoken: nothing was spoken within 1 s" in record.steps
        assert record.voicemail is not None
        await edge.assert_clean()


async def test_a_full_disk_ends_the_message_and_keeps_what_was_recorded(
    edge: Edge, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(file: int, octets: bytes, at: int) -> int:
        if at > 32_000:
            raise OSError(errno.ENOSPC, "No space left on device")
        return pwrite(file, octets, at)

    pwrite = os.pwrite
    monkeypatch.setattr(os, "pwrite", full)
    await edge.connects()
    edge.screening.decides(TakeMessage("asks to be called back"))
    await edge.agent.receives("BYE")
    await edge.carrier.receives("BYE")
    record = await edge.over()
    assert summary(record) == (Result.VOICEMAIL, "VOICEMAIL", None, None)
    assert record.steps[-1] == "voicemail cut short: the disk failed"
    seconds, heard = tones_in(record.voicemail)
    assert (seconds, heard) == (pytest.approx(2, abs=0.6), {CALLER_HZ})
    await edge.assert_clean()
