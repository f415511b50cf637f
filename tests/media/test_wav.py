"""Reading WAV files: header variants, resampling to 8 kHz, and error messages."""

from __future__ import annotations

import struct
from array import array
from math import pi, sin

import pytest

from proxy.media.g711 import PCMU_SAMPLES
from proxy.media.wav import Sound, WavError, at_8_khz, read_wav, write_wav


def wav(form: bytes, sound: bytes, *, size: int | None = None, before: bytes = b"") -> bytes:
    """A WAV file with these format and data chunks."""
    chunks = before + struct.pack("<4sI", b"fmt ", len(form)) + form
    chunks += struct.pack("<4sI", b"data", len(sound) if size is None else size) + sound
    return struct.pack("<4sI4s", b"RIFF", 4 + len(chunks), b"WAVE") + chunks


def form(coding: int = 1, channels: int = 1, rate: int = 24000, bits: int = 16) -> bytes:
    return struct.pack(
        "<HHIIHH", coding, channels, rate, rate * channels * bits // 8, channels * bits // 8, bits
    )


def sine(rate: int, hz: int, peak: int = 10000) -> array[int]:
    return array("h", (round(peak * sin(2 * pi * hz * n / rate)) for n in range(rate)))


def level(samples: array[int]) -> float:
    middle = samples[1000:-1000]
    return (sum(each * each for each in middle) / len(middle)) ** 0.5 * 2**0.5


@pytest.mark.parametrize("size", [None, 0xFFFFFFFF, 0x7FFFF000])
def test_streamed_wav_with_a_wrong_length_is_read_to_its_end(size: int | None) -> None:
    sound = read_wav(wav(form(), struct.pack("<3h", 1, -2, 3), size=size))
    assert (sound.rate, list(sound.samples)) == (24000, [1, -2, 3])


def test_other_chunks_are_skipped_with_their_padding() -> None:
    before = struct.pack("<4sI", b"LIST", 3) + b"abc\0"
    assert list(read_wav(wav(form(), b"\1\0", before=before)).samples) == [1]


def test_incomplete_last_sample_is_ignored() -> None:
    assert list(read_wav(wav(form(), b"\1\0\2")).samples) == [1]


def test_written_mu_law_reads_back_equal() -> None:
    samples = array("h", (PCMU_SAMPLES[octet] for octet in range(256)))
    samples.append(0)
    sound = read_wav(write_wav(samples))
    assert (sound.rate, sound.samples) == (8000, samples)


EXTENSIBLE = struct.pack("<HHIIHHHHIH", 0xFFFE, 1, 8000, 16000, 2, 16, 22, 16, 4, 1) + bytes(14)


def test_extensible_pcm_wav_is_read() -> None:
    assert list(read_wav(wav(EXTENSIBLE, b"\5\0")).samples) == [5]


@pytest.mark.parametrize(
    "bad",
    [
        b"",
        b"RIFF",
        b"<!doctype html><html><body>Bad gateway</body></html>",
        b'{"error": {"code": "invalid_api_key"}}',
        b"ID3\x04" + bytes(100),
        wav(form(channels=2), bytes(8)),
        wav(form(bits=8), bytes(8)),
        wav(form(rate=4000), bytes(8)),
        wav(form(rate=2_000_000_000), bytes(8)),
        wav(form(rate=8001), bytes(8)),  # would take 8,000 filters
        wav(form(rate=47_999), bytes(8)),
        wav(form(coding=85), bytes(8)),
        wav(form()[:10], bytes(8)),
        wav(form(), b""),
        wav(form(), bytes(8))[:44],
        wav(form(), bytes(8))[:30],
        wav(b"", bytes(8)),
    ],
)
def test_unplayable_wav_raises_a_one_line_error(bad: bytes) -> None:
    with pytest.raises(WavError, match=r"^[a-z0-9 -]+$|^it|^format"):
        read_wav(bad)


@pytest.mark.parametrize("rate", [16000, 22050, 24000, 44100, 48000])
async def test_resampling_to_8_khz_keeps_the_speech_band_and_filters_above_it(rate: int) -> None:
    for hz in (300, 1000, 3000):
        made = await at_8_khz(Sound(rate, sine(rate, hz)))
        assert len(made) == 8000
        assert max(abs(a - b) for a, b in zip(made[1000:-1000], sine(8000, hz)[1000:-1000], strict=True)) < 60
    for hz in (4700, 6000):
        assert level(await at_8_khz(Sound(rate, sine(rate, hz)))) < 20  # 54 dB down


async def test_resampling_clips_peaks_and_leaves_8_khz_unchanged() -> None:
    square = array("h", [32767 if n // 24 % 2 else -32768 for n in range(24000)])
    made = await at_8_khz(Sound(24000, square))
    assert (max(made), min(made)) == (32767, -32768)
    assert await at_8_khz(Sound(8000, square)) is square
    assert list(await at_8_khz(Sound(24000, array("h", [5])))) == []
