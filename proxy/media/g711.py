"""G.711 u-law (PCMU) and A-law (PCMA): tables made at import, applied with `bytes.translate`."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterable
from functools import cache

PCMU_SILENCE = 0xFF

_BIAS = 0x84
_CLIP = 32635


def _ulaw_to_linear(code: int) -> int:
    code = ~code & 0xFF
    magnitude = (((code & 0x0F) << 3) + _BIAS) << ((code & 0x70) >> 4)
    return _BIAS - magnitude if code & 0x80 else magnitude - _BIAS


def _linear_to_ulaw(sample: int) -> int:
    sign = 0x80 if sample < 0 else 0
    magnitude = min(abs(sample), _CLIP) + _BIAS
    segment = magnitude.bit_length() - 8
    return ~(sign | (segment << 4) | ((magnitude >> (segment + 3)) & 0x0F)) & 0xFF


def _alaw_to_linear(code: int) -> int:
    code ^= 0x55
    segment = (code & 0x70) >> 4
    magnitude = ((code & 0x0F) << 4) + 8
    if segment:
        magnitude = (magnitude + 0x100) << (segment - 1)
    return magnitude if code & 0x80 else -magnitude


def _linear_to_alaw(sample: int) -> int:
    sign = 0x80 if sample >= 0 else 0
    magnitude = min(sample if sample >= 0 else -sample - 1, 32767) >> 3
    segment = max(magnitude.bit_length() - 5, 0)
    step = (magnitude >> max(segment, 1)) & 0x0F
    return (sign | (segment << 4) | step) ^ 0x55


PCMU_SAMPLES = tuple(_ulaw_to_linear(code) for code in range(256))
"""16-bit linear sample of each u-law octet."""
PCMA_SAMPLES = tuple(_alaw_to_linear(code) for code in range(256))
"""16-bit linear sample of each A-law octet."""

PCMU_TO_PCMA = bytes(_linear_to_alaw(sample) for sample in PCMU_SAMPLES)
PCMA_TO_PCMU = bytes(_linear_to_ulaw(sample) for sample in PCMA_SAMPLES)

_PLANES = {
    key: tuple(bytes(sample >> shift & 0xFF for sample in samples) for shift in (0, 8))
    for key, samples in (("pcmu/8000", PCMU_SAMPLES), ("pcma/8000", PCMA_SAMPLES))
}
"""Per law: the low and the high octet of the 16-bit sample for each code."""

TRANSLATIONS = {
    ("pcmu/8000", "pcma/8000"): PCMU_TO_PCMA,
    ("pcma/8000", "pcmu/8000"): PCMA_TO_PCMU,
}
"""Transcoding tables between the two laws, by format keys."""


def planes(key: str, payload: bytes) -> tuple[bytes, bytes]:
    """The low and the high octets of a payload's 16-bit samples; `key` is `pcmu/8000` or `pcma/8000`."""
    low, high = _PLANES[key]
    return payload.translate(low), payload.translate(high)


def to_linear(key: str, payload: bytes) -> bytes:
    """A G.711 payload as little-endian 16-bit samples."""
    samples = bytearray(2 * len(payload))
    samples[::2], samples[1::2] = planes(key, payload)
    return bytes(samples)


def to_pcmu(samples: Iterable[int]) -> bytes:
    """Encode 16-bit samples as u-law, clipping what is too loud. Fast for an `array("h")`."""
    return _encoded(samples, _linear_to_ulaw)


def to_pcma(samples: Iterable[int]) -> bytes:
    """Encode 16-bit samples as A-law, clipping what is too loud. Fast for an `array("h")`."""
    return _encoded(samples, _linear_to_alaw)


def _encoded(samples: Iterable[int], law: Callable[[int], int]) -> bytes:
    if isinstance(samples, array) and samples.typecode == "h":
        return bytes(map(_codes(law).__getitem__, samples))
    return bytes(map(law, samples))


@cache
def _codes(law: Callable[[int], int]) -> bytes:
    """The code of every 16-bit sample, for indexing by the sample: negative ones count from the end."""
    return bytes(map(law, (*range(32768), *range(-32768, 0))))


_AUDIBLE_LEVEL = 256
"""Linear samples below this (-42 dBFS) are line noise."""
_AUDIBLE_SHARE = 1 / 20

_LOUD = {
    "pcmu/8000": bytes(abs(sample) >= _AUDIBLE_LEVEL for sample in PCMU_SAMPLES),
    "pcma/8000": bytes(abs(sample) >= _AUDIBLE_LEVEL for sample in PCMA_SAMPLES),
}


def audible(key: str, payload: bytes) -> bool:
    """Whether a payload has audible sound; assumed of formats other than G.711."""
    loud = _LOUD.get(key)
    return loud is None or sum(payload.translate(loud)) > _AUDIBLE_SHARE * len(payload)
