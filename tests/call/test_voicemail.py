"""A message: a beep, and what the caller says, in a WAV file."""

from __future__ import annotations

import array
import wave
from pathlib import Path

import pytest

from proxy.call.outcome import Result
from proxy.lab.audio import BEEP_HZ, CALLER_HZ, KNOWN_HZ, frequencies_in
from screening.contract import TakeMessage
from tests.kit.edge import Edge, NewEdge, a_number, ends, story


def tones_in(path: str) -> tuple[float, set[int]]:
    """The length of a WAV in seconds, and what is heard throughout its middle."""
    with wave.open(path) as file:
        assert (file.getnchannels(), file.getsampwidth(), file.getframerate()) == (1, 2, 8000)
        samples = array.array("h", file.readframes(file.getnframes()))
    middle = len(samples) // 2
    return len(samples) / 8000, set(frequencies_in(samples[middle : middle + 160], KNOWN_HZ))


async def test_a_message_is_recorded_until_the_caller_hangs_up(edge: Edge) -> None:
    await edge.connects()
    edge.screening.decides(TakeMessage("asks to be called back"))
    await edge.agent.receives("BYE")
    await edge.passes(6)
    assert edge.caller_audio.hears(BEEP_HZ)
    await edge.carrier.hangs_up()
    record = await edge.over()
    assert story(record) == (Result.VOICEMAIL, "VOICEMAIL", None, "caller")
    assert record.outcome.reason == record.why == "asks to be called back"
    assert record.voicemail == str(edge.voicemail / f"{record.call}.wav")
    seconds, heard = tones_in(record.voicemail)
    assert seconds == pytest.approx(5.6, abs=0.1)
    assert record.voicemail_s == pytest.approx(seconds, abs=0.01)
    assert heard == {CALLER_HZ}
    assert not edge.caller_audio.line_breaks
    await edge.assert_clean()


async def test_a_message_ends_at_the_limit(new_edge: NewEdge) -> None:
    async with new_edge(number=a_number(voicemail_limit_s=10.0)) as edge:
        await edge.connects()
        edge.screening.decides(TakeMessage("asks to be called back"))
        await edge.agent.receives("BYE")
        await edge.carrier.receives("BYE")
        record = await edge.over()
        assert story(record) == (Result.VOICEMAIL, "VOICEMAIL", None, None)
        assert ends(record) == [("caller", "the call is over"), ("agent", "the call is over")]
        assert record.steps[-1] == "voicemail full: after 10 s"
        seconds, heard = tones_in(record.voicemail)
        assert seconds == pytest.approx(10, abs=0.1)
        assert heard == {CALLER_HZ}
        await edge.assert_clean()


async def test_a_caller_who_hangs_up_at_the_beep_leaves_no_file(edge: Edge) -> None:
    await edge.connects()
    edge.screening.decides(TakeMessage("asks to be called back"))
    await edge.agent.receives("BYE")
    await edge.passes(0.2)
    await edge.carrier.hangs_up()
    record = await edge.over()
    assert story(record) == (Result.CALLER_LEFT, "VOICEMAIL", None, "caller")
    assert record.voicemail is None
    assert not edge.voicemail.exists()
    await edge.assert_clean()


async def test_a_disk_that_takes_no_message_ends_the_call_and_no_more(edge: Edge, tmp_path: Path) -> None:
    (tmp_path / "voicemail").write_text("a file where a folder should be")
    await edge.connects()
    edge.screening.decides(TakeMessage("asks to be called back"))
    await edge.agent.receives("BYE")
    await edge.carrier.receives("BYE")
    record = await edge.over()
    assert story(record) == (Result.UNANSWERED, "VOICEMAIL", None, None)
    assert any(step.startswith("voicemail not possible: ") for step in record.steps)
    await edge.assert_clean()
