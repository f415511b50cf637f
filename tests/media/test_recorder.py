import resource
import struct
import wave
from pathlib import Path

import pytest

from proxy.media.recorder import WavRecording

PCMU, PCMA = "pcmu/8000", "pcma/8000"
LOUD = b"\x80" * 160
PEER = object()


def _samples(path: Path) -> list[int]:
    with wave.open(str(path)) as file:
        assert (file.getnchannels(), file.getsampwidth(), file.getframerate()) == (1, 2, 8000)
        return [sample for (sample,) in struct.iter_unpack("<h", file.readframes(file.getnframes()))]


@pytest.fixture
def recording(tmp_path):
    recording = WavRecording(tmp_path / "2026" / "message.wav", on_close=lambda recording: None)
    yield recording
    recording.close()


def test_speech_of_either_law_is_written_as_linear_samples(recording):
    recording.heard(PCMU, b"\x80" * 160, 5000, PEER, 1.0)
    recording.heard(PCMA, b"\xaa" * 160, 5160, PEER, 1.02)
    assert recording.close() == 0.04
    assert _samples(recording.path) == [32124] * 160 + [32256] * 160


def test_what_never_came_is_silence(recording):
    recording.heard(PCMU, LOUD, 5000, PEER, 1.0)
    recording.heard(PCMU, LOUD, 5480, PEER, 1.06)
    recording.close()
    assert _samples(recording.path) == [32124] * 160 + [0] * 320 + [32124] * 160


def test_what_comes_late_or_twice_is_left_out(recording):
    recording.heard(PCMU, LOUD, 5000, PEER, 1.0)
    recording.heard(PCMU, LOUD, 5320, PEER, 1.04)
    recording.heard(PCMU, LOUD, 5160, PEER, 1.041)
    recording.heard(PCMU, LOUD, 5320, PEER, 1.042)
    assert recording.close() == 0.06


def test_a_new_source_goes_on_where_time_stands(recording):
    recording.heard(PCMU, LOUD, 5000, PEER, 1.0)
    recording.heard(PCMU, LOUD, 4_000_000_000, object(), 1.1)
    recording.close()
    assert _samples(recording.path) == [32124] * 160 + [0] * 640 + [32124] * 160


def test_a_timestamp_from_the_far_future_does_not_fill_the_disk(recording):
    recording.heard(PCMU, LOUD, 5000, PEER, 1.0)
    recording.heard(PCMU, LOUD, 5000 + 2_000_000_000, PEER, 1.02)
    assert recording.close() == pytest.approx(0.04)


def test_a_sender_faster_than_time_is_cut_off(recording):
    for n in range(1000):
        recording.heard(PCMU, LOUD, 5000 + 160 * n, PEER, 1.0)
    assert recording.close() <= 4.0


def test_the_file_is_valid_while_it_grows(recording):
    for n in range(120):
        recording.heard(PCMU, LOUD, 160 * n, PEER, 1.0 + 0.02 * n)
    assert len(_samples(recording.path)) == 2 * 8000


def test_other_formats_and_empty_packets_leave_nothing(recording):
    recording.heard("opus/48000/2", b"abc", 0, PEER, 1.0)
    recording.heard("telephone-event/8000", b"abcd", 0, PEER, 1.0)
    recording.heard(PCMU, b"", 0, PEER, 1.0)
    assert recording.close() == 0.0
    assert _samples(recording.path) == []


def test_closing_twice_gives_the_same_length_and_tells_once(tmp_path):
    told = []
    recording = WavRecording(tmp_path / "a.wav", on_close=told.append)
    recording.heard(PCMU, LOUD, 0, PEER, 1.0)
    assert (recording.close(), recording.close()) == (0.02, 0.02)
    recording.heard(PCMU, LOUD, 160, PEER, 1.02)
    assert recording.close() == 0.02
    assert told == [recording]


def test_a_full_disk_ends_the_recording_and_raises_nothing(tmp_path):
    told = []
    recording = WavRecording(tmp_path / "a.wav", on_close=told.append)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, hard))
    try:
        for n in range(200):
            recording.heard(PCMU, LOUD, 160 * n, PEER, 1.0 + 0.02 * n)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert told == [recording]
    assert recording.close() == pytest.approx(2.0, abs=1.0)


def test_a_file_that_cannot_be_made_is_said_at_once(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match="file"):
        WavRecording(tmp_path / "file" / "a.wav", on_close=lambda recording: None)
