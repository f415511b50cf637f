"""WAV recording of received RTP: gaps, reordering, clock drift and growing files."""

import os
import resource
import stat
import struct
import subprocess
import sys
import wave
from pathlib import Path

import pytest

from proxy.media.disk_writer import Work, at_once
from proxy.media.recorder import Recordings, WavRecording

PCMU, PCMA = "pcmu/8000", "pcma/8000"
LOUD = b"\x80" * 160
QUIET = b"\xc0" * 160
PEER = object()


def _samples(path: Path, channels: int = 1) -> list[int]:
    with wave.open(str(path)) as file:
        assert (file.getnchannels(), file.getsampwidth(), file.getframerate()) == (channels, 2, 8000)
        frames = file.getnframes()
        assert path.stat().st_size >= 44 + 2 * channels * frames
        return [sample for (sample,) in struct.iter_unpack("<h", file.readframes(frames))]


@pytest.fixture
def recording(tmp_path):
    recording = WavRecording(tmp_path / "2026" / "message.wav", on_close=lambda recording: None)
    yield recording
    recording.close()


def test_pcmu_and_pcma_are_written_as_linear_samples(recording):
    recording.heard(PCMU, b"\x80" * 160, 5000, PEER, 1.0)
    recording.heard(PCMA, b"\xaa" * 160, 5160, PEER, 1.02)
    assert recording.close() == 0.04
    assert _samples(recording.path) == [32124] * 160 + [32256] * 160


def test_lost_packets_are_recorded_as_silence(recording):
    recording.heard(PCMU, LOUD, 5000, PEER, 1.0)
    recording.heard(PCMU, LOUD, 5480, PEER, 1.06)
    recording.close()
    assert _samples(recording.path) == [32124] * 160 + [0] * 320 + [32124] * 160


def test_reordered_and_duplicate_packets_are_written_once_in_order(recording):
    recording.heard(PCMU, LOUD, 5000, PEER, 1.0)
    recording.heard(PCMU, LOUD, 5320, PEER, 1.04)
    recording.heard(PCMU, QUIET, 5160, PEER, 1.041)
    recording.heard(PCMU, LOUD, 5320, PEER, 1.042)
    assert recording.close() == 0.06
    assert _samples(recording.path) == [32124] * 160 + [1884] * 160 + [32124] * 160


def test_packet_later_than_the_written_part_is_left_out(recording):
    for n in (*range(10), *range(11, 60), 10):
        recording.heard(PCMU, LOUD, 160 * n, PEER, 1.0 + 0.02 * n if n != 10 else 2.2)
    assert recording.close() == 1.2
    assert _samples(recording.path)[1600:1760] == [0] * 160


def test_packets_with_a_constant_timestamp_are_placed_by_arrival_time(recording):
    for n in range(200):
        recording.heard(PCMU, LOUD, 5000, PEER, 1.0 + 0.02 * n)
    assert recording.close() > 2.0
    assert 32124 in _samples(recording.path)[2 * 8000 :]


def _voiced(path: Path) -> int:
    return sum(sample != 0 for sample in _samples(path))


def test_speech_after_a_pause_without_timestamp_jump_is_recorded_in_full(recording):
    for n in range(500):
        recording.heard(PCMU, LOUD, 160 * n, PEER, 1.0 + 0.02 * n + (1.5 if n >= 100 else 0.0))
    assert recording.close() == pytest.approx(11.5, abs=0.7)
    assert _voiced(recording.path) == 500 * 160
    assert set(_samples(recording.path)[100 * 160 : 100 * 160 + 6000]) == {0}


def test_speech_from_a_slow_clock_is_recorded_in_full(recording):
    for n in range(60 * 50):
        recording.heard(PCMU, LOUD, 160 * n, PEER, 1.0 + 0.02 * n * 1.01)
    recording.close()
    assert _voiced(recording.path) == 60 * 50 * 160


def test_burst_after_a_network_stall_is_recorded_in_full(recording):
    for n in range(200):
        sent = 1.0 + 0.02 * n
        recording.heard(PCMU, LOUD, 160 * n, PEER, 3.0 if 2.0 <= sent < 3.0 else sent)
    assert recording.close() < 5.0
    assert _voiced(recording.path) == 200 * 160


def test_long_pause_is_a_sparse_file(recording):
    recording.heard(PCMU, LOUD, 0, PEER, 1.0)
    recording.heard(PCMU, LOUD, 160, object(), 3601.0)
    assert recording.close() == 3600.02
    file = recording.path.stat()
    assert file.st_size == 44 + 2 * 160 + 2 * 3600 * 8000
    assert 512 * file.st_blocks < 200_000


def test_new_source_continues_at_its_arrival_time(recording):
    recording.heard(PCMU, LOUD, 5000, PEER, 1.0)
    recording.heard(PCMU, LOUD, 4_000_000_000, object(), 1.1)
    recording.close()
    assert _samples(recording.path) == [32124] * 160 + [0] * 640 + [32124] * 160


def test_timestamp_jump_does_not_fill_the_disk(recording):
    recording.heard(PCMU, LOUD, 5000, PEER, 1.0)
    recording.heard(PCMU, LOUD, 5000 + 2_000_000_000, PEER, 1.02)
    assert recording.close() == pytest.approx(0.04)


def test_packets_faster_than_real_time_are_cut_off(recording):
    for n in range(1000):
        recording.heard(PCMU, LOUD, 5000 + 160 * n, PEER, 1.0)
    assert recording.close() <= 4.0


def test_file_is_a_valid_wav_while_it_grows(recording):
    for n in range(120):
        recording.heard(PCMU, LOUD, 160 * n, PEER, 1.0 + 0.02 * n)
        assert len(_samples(recording.path)) / 8000 > 0.02 * n - 1


def test_other_formats_and_empty_packets_record_nothing(recording):
    recording.heard("opus/48000/2", b"abc", 0, PEER, 1.0)
    recording.heard("telephone-event/8000", b"abcd", 0, PEER, 1.0)
    recording.heard(PCMU, b"", 0, PEER, 1.0)
    assert recording.close() == 0.0
    assert _samples(recording.path) == []


def test_closing_twice_returns_the_same_length_and_calls_back_once(tmp_path):
    closed = []
    recording = WavRecording(tmp_path / "a.wav", on_close=closed.append)
    recording.heard(PCMU, LOUD, 0, PEER, 1.0)
    assert (recording.close(), recording.close()) == (0.02, 0.02)
    recording.heard(PCMU, LOUD, 160, PEER, 1.02)
    assert recording.close() == 0.02
    assert closed == [recording]


def test_full_disk_ends_the_recording_without_an_exception(tmp_path):
    closed = []
    recording = WavRecording(tmp_path / "a.wav", on_close=closed.append)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, hard))
    try:
        for n in range(200):
            recording.heard(PCMU, LOUD, 160 * n, PEER, 1.0 + 0.02 * n)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert closed == [recording]
    assert recording.close() == pytest.approx(2.0, abs=1.0)


def test_file_that_cannot_be_created_raises_at_once(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match="file"):
        WavRecording(tmp_path / "file" / "a.wav", on_close=lambda recording: None)


def test_stereo_channels_are_placed_by_their_own_timestamps(tmp_path):
    recording = WavRecording(tmp_path / "a.wav", lambda recording: None, channels=2)
    other = object()
    for n in range(100):
        now = 1.0 + 0.02 * n
        recording.heard(PCMU, LOUD, 160 * n, PEER, now)
        if n >= 50:
            recording.heard(PCMU, QUIET, 777_777 + 160 * n, other, now, channel=1)
    assert recording.close() == 2.0
    samples = _samples(recording.path, channels=2)
    assert samples[::2] == [32124] * 16000
    assert samples[1::2] == [0] * 8000 + [1884] * 8000


def test_closing_one_recording_leaves_the_others_running(tmp_path):
    recordings = Recordings()
    first, second, third = (recordings.begin(tmp_path / f"{n}.wav", n == 2, at_once) for n in range(3))
    recordings.heard(PCMU, LOUD, 5000, PEER, 1.0)
    assert second.close() == 0.02
    recordings.heard(PCMU, LOUD, 5160, PEER, 1.02)
    assert (recordings.active, recordings.active_both) == (True, True)
    recordings.close()
    assert (recordings.active, recordings.active_both) == (False, False)
    assert (first.close(), third.close()) == (0.04, 0.04)


def test_voiced_at_is_the_time_of_the_last_audible_packet(recording):
    assert recording.voiced_at is None
    recording.heard(PCMU, LOUD, 0, PEER, 1.0)
    recording.heard(PCMU, b"\xff" * 160, 160, PEER, 1.02)
    assert recording.voiced_at == 1.0


def test_recording_is_readable_by_its_owner_only(recording):
    assert stat.S_IMODE(recording.path.stat().st_mode) == 0o600
    assert stat.S_IMODE(recording.path.parent.stat().st_mode) == 0o700


def test_existing_recording_is_not_overwritten(tmp_path):
    first, second = (WavRecording(tmp_path / "a.wav", lambda recording: None) for _ in range(2))
    first.heard(PCMU, LOUD, 0, PEER, 1.0)
    assert (first.close(), second.close()) == (0.02, 0.0)
    assert second.path.name == "a-2.wav"
    assert len(_samples(first.path)) == 160


def test_discarded_recording_leaves_no_file(recording):
    recording.heard(PCMU, LOUD, 0, PEER, 1.0)
    assert recording.close(keep=False) == 0.02
    assert not recording.path.exists()
    assert recording.close() == 0.02


def test_slow_disk_ends_the_recording_without_blocking(tmp_path):
    waiting: list[Work] = []
    recording = WavRecording(tmp_path / "a.wav", lambda recording: None, disk=waiting.append)
    for n in range(1000):
        recording.heard(PCMU, LOUD, 160 * n, PEER, 1.0 + 0.02 * n)
    assert not recording.active
    assert len(waiting) < 25
    assert _samples(recording.path) == []
    for work in waiting:
        work()
    assert len(_samples(recording.path)) / 8000 == recording.close() == pytest.approx(10, abs=0.5)


def test_failed_write_ends_the_recording_at_the_next_packet(tmp_path):
    waiting: list[Work] = []
    closed = []
    recording = WavRecording(tmp_path / "a.wav", closed.append, disk=waiting.append)
    for n in range(50):
        recording.heard(PCMU, LOUD, 160 * n, PEER, 1.0 + 0.02 * n)
    os.close(recording._file)
    for work in waiting:
        work()
    assert (recording.active, closed) == (False, [])
    recording.heard(PCMU, LOUD, 50 * 160, PEER, 2.0)
    assert closed == [recording]
    assert recording.close() == 0.0


CALL = """
import sys, time
from pathlib import Path
from proxy.media.disk_writer import DiskThread
from proxy.media.disk_writer import Work
from proxy.media.recorder import WavRecording

recording = WavRecording(Path(sys.argv[1]), lambda recording: None, channels=2, disk=DiskThread())
began = time.monotonic()
for n in range(1000):
    time.sleep(max(0.0, began + 0.02 * n - time.monotonic()))
    now = time.monotonic()
    recording.heard("pcmu/8000", bytes(160), 160 * n, "caller", now)
    recording.heard("pcmu/8000", bytes(160), 160 * n, "other", now, channel=1)
    print(round(now - began, 3), flush=True)
"""


@pytest.mark.parametrize("after_s", [1.1, 1.55])
def test_killed_process_loses_at_most_a_second_of_the_recording(tmp_path, after_s):
    path = tmp_path / "a.wav"
    with subprocess.Popen([sys.executable, "-c", CALL, str(path)], stdout=subprocess.PIPE, text=True) as call:
        reported_s = 0.0
        for line in call.stdout:
            reported_s = float(line)
            if reported_s >= after_s:
                call.kill()
                break
        reported_s = max(reported_s, *map(float, call.stdout.read().split() or [0]))
    samples = _samples(path, channels=2)
    assert reported_s - len(samples) / 2 / 8000 <= 1.0
    assert len(samples) / 2 / 8000 > 0.2
    assert set(samples) == {-32124}
