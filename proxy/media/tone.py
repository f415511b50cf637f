"""Tones as PCMU frames of 20 ms: ringback and beep, computed once and kept."""

from __future__ import annotations

from functools import cache
from math import pi, sin

from proxy.media.g711 import PCMU_SILENCE, to_pcmu

RATE = 8000
FRAME_S = 0.02
FRAME_SAMPLES = 160

SILENCE = bytes([PCMU_SILENCE]) * FRAME_SAMPLES

_PEAK = 6000
"""About -15 dBm0: heard well, hurts nobody."""


def frames(frequencies: tuple[int, ...], seconds: float) -> tuple[bytes, ...]:
    """PCMU frames of equally loud sines, added up."""
    steps = [2 * pi * frequency / RATE for frequency in frequencies]
    peak = _PEAK / len(steps)
    count = round(seconds / FRAME_S)
    samples = [round(peak * sum(sin(step * n) for step in steps)) for n in range(count * FRAME_SAMPLES)]
    encoded = to_pcmu(samples)
    return tuple(encoded[n : n + FRAME_SAMPLES] for n in range(0, len(encoded), FRAME_SAMPLES))


@cache
def ringback() -> tuple[bytes, ...]:
    """One period of the North American audible ringing tone: 440 + 480 Hz, 2 s on, 4 s off."""
    return frames((440, 480), 2.0) + (SILENCE,) * round(4.0 / FRAME_S)


@cache
def beep() -> tuple[bytes, ...]:
    """The recorder's beep: 1000 Hz for 0.4 s."""
    return frames((1000,), 0.4)
