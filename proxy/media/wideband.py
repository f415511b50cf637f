"""Encode our own audio as G.722 and Opus, for the few peers without G.711. Nothing from peers is decoded."""

from __future__ import annotations

import ctypes
from array import array
from ctypes.util import find_library
from functools import cache

_G722_BITS_S = 64000
_G722_FRAME_BYTES = 160
_OPUS_VOIP = 2048
"""``OPUS_APPLICATION_VOIP`` in opus_defines.h."""
_OPUS_MAX_BYTES = 1275
"""The maximum size of an Opus frame (RFC 6716 §3.2.1)."""


def to_g722(samples: array[int], rate: int) -> tuple[bytes, ...]:
    """Encode 16-bit samples at 8 or 16 kHz as 20 ms frames of G.722 (ITU-T) at 64 kbit/s."""
    from G722 import G722  # imported here, as few installations ever need it

    encoded: bytes = G722(rate, _G722_BITS_S).encode(samples)
    starts = range(0, len(encoded), _G722_FRAME_BYTES)
    return tuple(encoded[start : start + _G722_FRAME_BYTES] for start in starts)


def to_opus(samples: array[int], rate: int) -> tuple[bytes, ...]:
    """Encode 16-bit samples at 8 or 16 kHz as 20 ms frames of mono Opus (RFC 6716); none without libopus."""
    library = libopus()
    if library is None:
        return ()
    failed = ctypes.c_int()
    encoder = library.opus_encoder_create(rate, 1, _OPUS_VOIP, ctypes.byref(failed))
    if failed.value != 0:
        return ()
    try:
        return tuple(_opus_frames(library, encoder, samples, rate // 50))
    finally:
        library.opus_encoder_destroy(encoder)


def _opus_frames(library: ctypes.CDLL, encoder: int, samples: array[int], frame: int) -> list[bytes]:
    room = ctypes.create_string_buffer(_OPUS_MAX_BYTES)
    frames = []
    for start in range(0, len(samples), frame):
        pcm = (ctypes.c_int16 * frame).from_buffer_copy(samples[start : start + frame].tobytes())
        size = library.opus_encode(encoder, pcm, frame, room, _OPUS_MAX_BYTES)
        if size < 0:
            return []
        frames.append(room.raw[:size])
    return frames


@cache
def libopus() -> ctypes.CDLL | None:
    """The system's libopus (Debian: libopus0); None if it is not installed."""
    name = find_library("opus")
    if name is None:
        return None
    try:
        library = ctypes.CDLL(name)
    except OSError:
        return None
    library.opus_encoder_create.restype = ctypes.c_void_p
    library.opus_encode.argtypes = [
        ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int, ctypes.c_void_p, ctypes.c_int32,
    ]  # fmt: skip
    library.opus_encoder_destroy.argtypes = [ctypes.c_void_p]
    return library
