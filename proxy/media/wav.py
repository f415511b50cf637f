"""Read WAV files as text-to-speech produces them, and resample them to 8 kHz."""

from __future__ import annotations

import asyncio
import struct
import sys
from array import array
from dataclasses import dataclass
from functools import cache
from math import cos, gcd, pi, sin
from operator import mul

from proxy.media.g711 import PCMU_SAMPLES, to_pcmu

RATE = 8000
_PCM, _ULAW, _EXTENSIBLE = 1, 7, 0xFFFE
_RATES = (RATE, 11_025, 12_000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000)
"""Usual rates. One that shares no factor with 8 kHz would take seconds of filter design, and much cache."""
_LOBES = 12
"""Zero crossings of the filter on each side; more make it steeper, and slower."""
_CUT_HZ = 3600.0
_AT_A_TIME = 400
"""Samples resampled before other tasks get a turn: about a millisecond."""


class WavError(Exception):
    """The data is not a WAV we can read; the message says why, in one line."""


@dataclass(frozen=True, slots=True)
class Sound:
    """Mono 16-bit samples."""

    rate: int
    samples: array[int]


def read_wav(data: bytes) -> Sound:
    """Read a WAV file: mono, 16-bit PCM of a usual rate, or u-law at 8 kHz. Raises WavError.

    A chunk length beyond the end of the data is cut there: streamed files are begun before their length is
    known.
    """
    coding, rate, bits, octets = _chunks(data)
    if coding == _ULAW and bits == 8 and rate == RATE:
        return Sound(rate, array("h", map(PCMU_SAMPLES.__getitem__, octets)))
    if coding != _PCM or bits != 16 or rate not in _RATES:
        raise WavError(f"format {coding} of {bits} bits at {rate} Hz is not known")
    samples = array("h")
    samples.frombytes(octets[: len(octets) // 2 * 2])
    if sys.byteorder == "big":
        samples.byteswap()
    return Sound(rate, samples)


def _chunks(data: bytes) -> tuple[int, int, int, bytes]:
    """Coding, sample rate, bits per sample and audio data."""
    if len(data) < 12 or data[:4] != b"RIFF" or data[8:12] != b"WAVE":
        raise WavError("it is not a WAV file")
    form: tuple[int, int, int] | None = None
    at = 12
    while at + 8 <= len(data):
        name, size = data[at : at + 4], int.from_bytes(data[at + 4 : at + 8], "little")
        body = data[at + 8 : at + 8 + size]
        if name == b"fmt " and len(body) >= 16:
            coding, channels, rate, _, _, bits = struct.unpack_from("<HHIIHH", body)
            if coding == _EXTENSIBLE and len(body) >= 26:
                coding = int.from_bytes(body[24:26], "little")
            if channels != 1:
                raise WavError(f"it has {channels} channels")
            form = coding, rate, bits
        elif name == b"data" and form is not None:
            if len(body) < 2:
                raise WavError("there is no sound in it")
            return *form, body
        at += 8 + size + size % 2
    raise WavError("there is no sound in it")


def write_wav(samples: array[int]) -> bytes:
    """A WAV file of samples at 8 kHz, in u-law."""
    octets = to_pcmu(samples)
    form = struct.pack("<4sIHHIIHHH", b"fmt ", 18, _ULAW, 1, RATE, RATE, 1, 8, 0)
    fact = struct.pack("<4sII", b"fact", 4, len(octets))
    body = b"WAVE" + form + fact + struct.pack("<4sI", b"data", len(octets)) + octets
    body += b"\0" * (len(octets) % 2)
    return struct.pack("<4sI", b"RIFF", len(body)) + body


async def at_8_khz(sound: Sound) -> array[int]:
    """Resample to 8 kHz with a low-pass filter, giving other tasks a turn every millisecond."""
    if sound.rate == RATE:
        return sound.samples
    up = RATE // gcd(RATE, sound.rate)
    down = sound.rate // gcd(RATE, sound.rate)
    filters, width = _filters(sound.rate, up)
    padded = array("h", bytes(2 * width)) + sound.samples + array("h", bytes(2 * width))
    count, made = len(sound.samples) * up // down, array("h")
    for begin in range(0, count, _AT_A_TIME):
        for n in range(begin, min(begin + _AT_A_TIME, count)):
            whole, phase = divmod(n * down, up)
            window = padded[whole + 1 : whole + 1 + 2 * width]
            made.append(max(-32768, min(32767, round(sum(map(mul, filters[phase], window))))))
        await asyncio.sleep(0)
    return made


@cache
def _filters(rate: int, phases: int) -> tuple[tuple[tuple[float, ...], ...], int]:
    """Windowed-sinc taps for each phase between two source samples, and half their number."""
    width = round(_LOBES * rate / (2 * _CUT_HZ))
    cut = 2 * _CUT_HZ / rate
    filters = []
    for phase in range(phases):
        taps = []
        for n in range(2 * width):
            x = n - width + 1 - phase / phases
            ideal = cut if x == 0 else sin(pi * cut * x) / (pi * x)
            taps.append(ideal * (0.54 + 0.46 * cos(pi * x / width)))
        whole = sum(taps)
        filters.append(tuple(tap / whole for tap in taps))
    return tuple(filters), width
