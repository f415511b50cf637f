"""Loading WAV files as clips, and the errors for files that cannot be played."""

import array
import math
import struct
import wave
from pathlib import Path

import pytest

from proxy.lab.audio import frequencies_in
from proxy.media.clip import Clip, ClipError, clip_from_wav
from proxy.media.g711 import PCMA_SAMPLES, PCMU_SAMPLES, to_pcma, to_pcmu

PCMU, PCMA, G722, OPUS = "pcmu/8000", "pcma/8000", "g722/8000", "opus/48000/2"
KNOWN = (600, 1000, 3000)


def sines(hertz: int, rate: int, seconds: float = 0.5) -> array.array:
    count = round(rate * seconds)
    return array.array("h", (round(8000 * math.sin(2 * math.pi * hertz * n / rate)) for n in range(count)))


def written(path: Path, samples: array.array, rate: int = 8000, channels: int = 1, width: int = 2) -> Path:
    with wave.open(str(path), "wb") as file:
        file.setnchannels(channels)
        file.setsampwidth(width)
        file.setframerate(rate)
        file.writeframes(samples.tobytes())
    return path


def chunked(coding: int, bits: int, sound: bytes, *, before: bytes = b"", more: bytes = b"") -> bytes:
    """A hand-built WAV file of that coding; `more` is appended to its format chunk."""
    form = struct.pack("<HHIIHH", coding, 1, 8000, 8000 * bits // 8, bits // 8, bits) + more
    chunks = before + b"fmt " + struct.pack("<I", len(form)) + form
    chunks += b"data" + struct.pack("<I", len(sound)) + sound
    return b"RIFF" + struct.pack("<I", 4 + len(chunks)) + b"WAVE" + chunks


def heard(frame: bytes, table: tuple[int, ...] = PCMU_SAMPLES) -> tuple[int, ...]:
    return frequencies_in([table[octet] for octet in frame], KNOWN)


def test_wav_at_8_khz_is_split_into_20_ms_frames_of_pcmu_or_pcma(tmp_path):
    clip = clip_from_wav(written(tmp_path / "a.wav", sines(1000, 8000)))
    assert (clip.seconds, len(clip)) == (0.5, 25)
    assert [heard(frame) for frame in clip.frames(PCMU)] == [(1000,)] * 25
    assert [heard(frame, PCMA_SAMPLES) for frame in clip.frames(PCMA)] == [(1000,)] * 25
    assert clip.frames(PCMU) is clip.frames(PCMU)


def test_wav_at_16_khz_is_downsampled_without_aliasing(tmp_path):
    low = clip_from_wav(written(tmp_path / "a.wav", sines(1000, 16000), 16000))
    high = clip_from_wav(written(tmp_path / "b.wav", sines(5000, 16000), 16000))  # would alias to 3000 Hz
    assert low.seconds == 0.5
    assert [heard(frame) for frame in low.frames(PCMU)[1:-1]] == [(1000,)] * 23
    assert [heard(frame) for frame in high.frames(PCMU)[1:-1]] == [()] * 23


@pytest.mark.parametrize(("coding", "law"), [(7, to_pcmu), (6, to_pcma)])
def test_wav_coded_in_g711_is_played_unchanged(tmp_path, coding, law):
    path = tmp_path / "a.wav"
    octets = law(sines(1000, 8000))
    path.write_bytes(chunked(coding, 8, octets))
    assert b"".join(clip_from_wav(path).frames(PCMU if coding == 7 else PCMA)) == octets


def test_last_frame_is_padded_with_silence():
    frames = Clip([8000] * 161).frames(PCMU)
    assert [len(frame) for frame in frames] == [160, 160]
    assert frames[1][1:] == b"\xff" * 159


def test_unknown_chunks_are_skipped_and_a_truncated_file_plays_to_its_end(tmp_path):
    path = tmp_path / "a.wav"
    sound = sines(600, 8000, 0.1).tobytes()
    path.write_bytes(chunked(1, 16, sound, before=b"LIST" + struct.pack("<I", 3) + b"abc\0")[:-101])
    assert len(clip_from_wav(path)) == 5


def test_coding_of_an_extensible_wav_is_read_from_its_sub_format(tmp_path):
    path = tmp_path / "a.wav"
    more = struct.pack("<HHIH", 22, 16, 4, 1) + bytes(14)
    path.write_bytes(chunked(0xFFFE, 16, sines(600, 8000).tobytes(), more=more))
    assert len(clip_from_wav(path)) == 25


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", "it is not a WAV file"),
        (b"ID3 and some mp3 after it", "it is not a WAV file"),
        (b"RIFF\0\0\0\0WAVE", "it is a WAV file without a format"),
        (chunked(1, 16, b"")[:-8], "it is a WAV file without sound"),
        (chunked(1, 16, b""), "there is no sound in it"),
        (chunked(1, 8, b"abcd"), "it is PCM of 8 bits at 8000 Hz; 16-bit PCM .* is needed"),
        (chunked(3, 32, b"abcd"), "it is format 3 of 32 bits at 8000 Hz; .* needed"),
        (b"RIFF\0\0\0\0WAVEfmt \x04\0\0\0\1\0\1\0", "its format is cut short"),
        (chunked(7, 8, b"\xff" * 4_800_160), "it is longer than 600 s"),
    ],
)  # fmt: skip
def test_unplayable_file_raises_an_error_with_the_reason(tmp_path, data, why):
    path = tmp_path / "bad.wav"
    path.write_bytes(data)
    with pytest.raises(ClipError, match=f"^{why}$"):
        clip_from_wav(path)


@pytest.mark.parametrize(
    ("rate", "channels", "why"),
    [(44100, 1, "it is PCM of 16 bits at 44100 Hz; "), (8000, 2, "it has 2 channels, not one")],
)
def test_unsupported_rate_or_channel_count_is_refused(tmp_path, rate, channels, why):
    path = written(tmp_path / "a.wav", array.array("h", [0] * 800), rate, channels)
    with pytest.raises(ClipError, match=why):
        clip_from_wav(path)


def test_missing_file_raises_clip_error(tmp_path):
    with pytest.raises(ClipError, match="it cannot be read: No such file"):
        clip_from_wav(tmp_path / "none.wav")


def test_format_without_encoder_has_no_frames():
    assert Clip([0] * 160).frames("g729/8000") == ()
