"""Generated audio in G.722 and Opus, checked by decoding it."""

import array
import ctypes
import math

import pytest
from G722 import G722

from proxy.lab.audio import frequencies_in
from proxy.media import wideband
from proxy.media.wideband import libopus, to_g722, to_opus


def sine(hertz: int, rate: int) -> array.array:
    return array.array("h", (round(8000 * math.sin(2 * math.pi * hertz * n / rate)) for n in range(rate)))


@pytest.mark.parametrize("rate", [8000, 16000])
def test_g722_frames_are_160_octets_and_decode_to_the_input_rfc3551_4_5_2(rate):
    frames = to_g722(sine(1000, rate), rate)
    assert [len(frame) for frame in frames] == [160] * 50
    heard = list(G722(8000, 64000).decode(b"".join(frames)))
    assert frequencies_in(heard[4000:4160], (600, 1000)) == (1000,)
    assert max(heard[4000:]) == pytest.approx(8000, rel=0.1)


@pytest.mark.parametrize("rate", [8000, 16000])
def test_opus_frames_of_20_ms_decode_to_the_input_rfc6716(rate):
    frames = to_opus(sine(1000, rate), rate)
    assert len(frames) == 50
    opus = libopus()
    opus.opus_decoder_create.restype = ctypes.c_void_p
    opus.opus_decode.argtypes = [
        ctypes.c_void_p, ctypes.c_char_p, ctypes.c_int32, ctypes.c_void_p, ctypes.c_int, ctypes.c_int
    ]  # fmt: skip
    opus.opus_decoder_destroy.argtypes = [ctypes.c_void_p]
    decoder = opus.opus_decoder_create(8000, 1, None)
    heard = []
    for frame in frames:
        room = (ctypes.c_int16 * 160)()
        assert opus.opus_decode(decoder, frame, len(frame), room, 160, 0) == 160
        heard += room
    opus.opus_decoder_destroy(decoder)
    assert frequencies_in(heard[4000:4160], (600, 1000)) == (1000,)


def test_without_libopus_no_opus_frames_are_made(monkeypatch):
    monkeypatch.setattr(wideband, "find_library", lambda name: None)
    libopus.cache_clear()
    try:
        assert to_opus(sine(1000, 8000), 8000) == ()
    finally:
        libopus.cache_clear()


def test_sample_rate_unsupported_by_opus_gives_no_frames():
    assert to_opus(sine(1000, 8000), 11025) == ()
