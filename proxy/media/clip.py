"""Audio clips to play: loaded or generated once, and kept as encoded 20 ms frames."""

from __future__ import annotations

import struct
import sys
from array import array
from collections.abc import Callable, Iterable
from functools import cache
from math import cos, pi, sin
from operator import mul
from pathlib import Path

from proxy.media.formats import G711, G722, OPUS, PCMA, PCMU
from proxy.media.g711 import to_linear, to_pcma, to_pcmu
from proxy.media.wideband import to_g722, to_opus

RATE = 8000
FRAME_S = 0.02
FRAME_SAMPLES = 160

LONGEST_S = 600.0
"""Longest WAV file accepted, as it stays in memory for good."""

_PCM, _ALAW, _ULAW, _EXTENSIBLE = 1, 6, 7, 0xFFFE
_TAPS = 47
"""Taps of the low-pass filter for halving 16 kHz."""


class ClipError(Exception):
    """A file cannot be played; the message says why, in one line."""


class Clip:
    """Audio to play to a leg. Immutable; compared by identity."""

    __slots__ = ("_frames", "_samples", "_wide")

    def __init__(self, samples: Iterable[int], wide: array[int] | None = None) -> None:
        """`samples`: 16-bit at 8 kHz, padded with silence to whole frames. `wide`: the same at 16 kHz."""
        self._samples = _whole(samples, FRAME_SAMPLES)
        self._wide = None if wide is None else _whole(wide, 2 * FRAME_SAMPLES)
        self._frames: dict[str, tuple[bytes, ...]] = {}

    @property
    def seconds(self) -> float:
        """Duration."""
        return len(self._samples) / RATE

    def __len__(self) -> int:
        """Number of frames."""
        return len(self._samples) // FRAME_SAMPLES

    def frames(self, key: str) -> tuple[bytes, ...]:
        """The frames in this format, encoded on first use; empty if we cannot encode it."""
        frames = self._frames.get(key)
        if frames is None:
            frames = self._frames[key] = self._encoded(key)
        return frames

    def _encoded(self, key: str) -> tuple[bytes, ...]:
        if key in G711:
            return _g711(self._samples, to_pcmu if key == PCMU.key else to_pcma)
        samples, rate = (self._samples, RATE) if self._wide is None else (self._wide, 2 * RATE)
        if key == G722.key:
            return to_g722(samples, rate)
        return to_opus(samples, rate) if key == OPUS.key else ()


def clip_from_wav(path: Path) -> Clip:
    """Load a WAV file: mono, 16-bit PCM at 8 or 16 kHz, or u-law or A-law at 8 kHz. Raises ClipError."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ClipError(f"it cannot be read: {error.strerror}") from error
    coding, rate, sound = _chunks(data)
    if len(sound) > LONGEST_S * rate * (1 if coding in (_ULAW, _ALAW) else 2):
        raise ClipError(f"it is longer than {LONGEST_S:g} s")
    if coding in (_ULAW, _ALAW):
        sound = to_linear(PCMU.key if coding == _ULAW else PCMA.key, sound)
    samples = array("h")
    samples.frombytes(sound[: len(sound) // 2 * 2])
    if sys.byteorder == "big":
        samples.byteswap()
    if not samples:
        raise ClipError("there is no sound in it")
    return Clip(samples) if rate == RATE else Clip(_halved(samples), samples)


def _chunks(data: bytes) -> tuple[int, int, bytes]:
    """Coding, rate and audio of a RIFF file; a chunk length beyond the end of the file is cut there."""
    if len(data) < 12 or data[:4] != b"RIFF" or data[8:12] != b"WAVE":
        raise ClipError("it is not a WAV file")
    form: tuple[int, int] | None = None
    place = 12
    while place + 8 <= len(data):
        name, size = data[place : place + 4], int.from_bytes(data[place + 4 : place + 8], "little")
        body = data[place + 8 : place + 8 + size]
        if name == b"fmt ":
            form = _form(body)
        elif name == b"data" and form is not None:
            return *form, body
        place += 8 + size + size % 2
    raise ClipError("it is a WAV file without sound" if form else "it is a WAV file without a format")


def _form(body: bytes) -> tuple[int, int]:
    """Coding and rate of a format chunk. Raises ClipError if we cannot play it."""
    if len(body) < 16:
        raise ClipError("its format is cut short")
    coding, channels, rate, _, _, bits = struct.unpack_from("<HHIIHH", body)
    if coding == _EXTENSIBLE and len(body) >= 26:
        coding = int.from_bytes(body[24:26], "little")
    if channels != 1:
        raise ClipError(f"it has {channels} channels, not one")
    if coding == _PCM and bits == 16 and rate in (RATE, 2 * RATE):
        return coding, rate
    if coding in (_ALAW, _ULAW) and bits == 8 and rate == RATE:
        return coding, rate
    named = {_PCM: "PCM", _ALAW: "A-law", _ULAW: "u-law"}.get(coding, f"format {coding}")
    raise ClipError(f"it is {named} of {bits} bits at {rate} Hz; 16-bit PCM at 8000 or 16000 Hz is needed")


def _whole(samples: Iterable[int], frame: int) -> array[int]:
    whole = array("h", samples)
    whole.extend([0] * (-len(whole) % frame))
    return whole


def _g711(samples: array[int], law: Callable[[Iterable[int]], bytes]) -> tuple[bytes, ...]:
    """Encode, sharing equal frames: a tone has few different ones, and its pauses one."""
    known: dict[bytes, bytes] = {}
    frames = []
    for start in range(0, len(samples), FRAME_SAMPLES):
        linear = samples[start : start + FRAME_SAMPLES]
        raw = linear.tobytes()
        if raw not in known:
            known[raw] = law(linear)
        frames.append(known[raw])
    return tuple(frames)


def _halved(samples: array[int]) -> array[int]:
    """Resample 16 kHz to 8 kHz, with a low-pass filter."""
    taps, half = _low_pass(), _TAPS // 2
    padded = array("h", [0] * half) + samples + array("h", [0] * half)
    found = (round(sum(map(mul, taps, padded[at : at + _TAPS]))) for at in range(0, len(samples), 2))
    return array("h", (min(32767, max(-32768, each)) for each in found))


@cache
def _low_pass() -> tuple[float, ...]:
    """Windowed-sinc taps, -6 dB at 3.8 kHz (for 16 kHz)."""
    middle, cut = _TAPS // 2, 3800 / (2 * RATE)
    taps = []
    for n in range(_TAPS):
        x = n - middle
        ideal = 2 * cut if x == 0 else sin(2 * pi * cut * x) / (pi * x)
        taps.append(ideal * (0.54 - 0.46 * cos(2 * pi * n / (_TAPS - 1))))
    whole = sum(taps)
    return tuple(tap / whole for tap in taps)
