"""Telephone network tones by country (ITU-T E.180 and its Supplement 2), each generated once and cached."""

from __future__ import annotations

from array import array
from dataclasses import dataclass
from functools import cache
from math import pi, sin

from proxy.media.clip import FRAME_S, FRAME_SAMPLES, RATE, Clip
from proxy.media.formats import PCMA, PCMU
from proxy.media.g711 import to_pcmu

_PEAK = 6000
"""About -15 dBm0: clear, but not loud."""
_SOFT = 1500

Hertz = tuple[int, ...]
Cadence = tuple[float, ...]
"""Seconds on, off, on, off …"""


def frames(frequencies: Hertz, seconds: float) -> tuple[bytes, ...]:
    """PCMU frames of a sum of equally loud sine waves."""
    encoded = to_pcmu(_sines(frequencies, round(seconds / FRAME_S) * FRAME_SAMPLES, _PEAK))
    return tuple(encoded[n : n + FRAME_SAMPLES] for n in range(0, len(encoded), FRAME_SAMPLES))


def tone(frequencies: Hertz, cadence: Cadence, peak: int = _PEAK) -> Clip:
    """A tone that can be looped: its cadence once, or as often as it takes to fill whole frames."""
    once = array("h")
    for n, seconds in enumerate(cadence):
        count = round(seconds * RATE)
        once.extend(_sines(frequencies, count, peak) if n % 2 == 0 else array("h", bytes(2 * count)))
    whole = array("h", once)
    while len(whole) % FRAME_SAMPLES:
        whole.extend(once)
    return Clip(whole)


def _sines(frequencies: Hertz, count: int, peak: int) -> array[int]:
    steps = [2 * pi * frequency / RATE for frequency in frequencies]
    share = peak / len(steps)
    second = [round(share * sum(sin(step * n) for step in steps)) for n in range(min(count, RATE))]
    # whole frequencies repeat after one second
    return array("h", (second * (count // RATE + 1))[:count])


@dataclass(frozen=True, slots=True)
class Country:
    """The tones of one country's network."""

    ringback: tuple[Hertz, Cadence]
    busy: tuple[Hertz, Cadence]
    congestion: tuple[Hertz, Cadence]
    """Network congestion, also called reorder tone."""


def _single_tone(hertz: int, ringback: Cadence, busy: Cadence, congestion: Cadence) -> Country:
    """A country that uses a single frequency for all tones."""
    return Country(((hertz,), ringback), ((hertz,), busy), ((hertz,), congestion))


_BRITISH = (0.4, 0.2, 0.4, 2.0)

COUNTRIES = {
    "us": Country(((440, 480), (2.0, 4.0)), ((480, 620), (0.5, 0.5)), ((480, 620), (0.25, 0.25))),
    "eu": _single_tone(425, (1.0, 4.0), (0.5, 0.5), (0.25, 0.25)),
    "au": Country(((400, 425, 450), _BRITISH), ((425,), (0.375, 0.375)), ((425,), (0.375, 0.375))),
    "br": _single_tone(425, (1.0, 4.0), (0.25, 0.25), (0.25, 0.25, 0.75, 0.25)),
    "cn": _single_tone(450, (1.0, 4.0), (0.35, 0.35), (0.7, 0.7)),
    "de": _single_tone(425, (1.0, 4.0), (0.48, 0.48), (0.24, 0.24)),
    "es": _single_tone(425, (1.5, 3.0), (0.2, 0.2), (0.2, 0.2, 0.2, 0.2, 0.2, 0.6)),
    "fr": _single_tone(440, (1.5, 3.5), (0.5, 0.5), (0.25, 0.25)),
    "gb": Country(
        ((400, 450), _BRITISH), ((400,), (0.375, 0.375)), ((400,), (0.4, 0.35, 0.225, 0.525))
    ),
    "in": Country(((375, 400, 425), _BRITISH), ((400,), (0.75, 0.75)), ((400,), (0.25, 0.25))),
    "it": _single_tone(425, (1.0, 4.0), (0.5, 0.5), (0.2, 0.2)),
    "jp": Country(((384, 400, 416), (1.0, 2.0)), ((400,), (0.5, 0.5)), ((400,), (0.5, 0.5))),
    "mx": _single_tone(425, (1.0, 4.0), (0.25, 0.25), (0.25, 0.25)),
    "nl": _single_tone(425, (1.0, 4.0), (0.5, 0.5), (0.25, 0.25)),
    "nz": Country(((400, 450), _BRITISH), ((400,), (0.5, 0.5)), ((400,), (0.25, 0.25))),
}  # fmt: skip
"""By ISO 3166 code; ``eu`` is what E.180 recommends and most of Europe uses."""

SAME_AS = {"ca": "us", "ie": "gb"} | dict.fromkeys(
    ("at", "be", "bg", "ch", "cy", "cz", "dk", "ee", "fi", "gr", "hr", "hu", "is", "li", "lt", "lu", "lv",
     "mt", "no", "pl", "pt", "ro", "se", "si", "sk", "tr", "ua"), "eu"
)  # fmt: skip
"""Countries that use the tones of another."""


class Tones:
    """The tones of one country, each generated on first use."""

    __slots__ = ("_country", "name")

    def __init__(self, name: str) -> None:
        """`name`: a country of COUNTRIES or SAME_AS. Raises KeyError."""
        self.name = name
        self._country = COUNTRIES[SAME_AS.get(name, name)]

    def make(self) -> None:
        """Generate and encode them all now, in G.711, rather than during a call."""
        for clip in (self.ringback, self.busy, self.congestion, self.hold, beep(), quiet()):
            clip.frames(PCMU.key)
            clip.frames(PCMA.key)

    @property
    def ringback(self) -> Clip:
        """The called phone is ringing."""
        return _cached_tone(*self._country.ringback)

    @property
    def busy(self) -> Clip:
        """The called party is busy."""
        return _cached_tone(*self._country.busy)

    @property
    def congestion(self) -> Clip:
        """The call cannot be connected."""
        return _cached_tone(*self._country.congestion)

    @property
    def hold(self) -> Clip:
        """Two soft beeps every two seconds: you are on hold."""
        return _cached_tone(self._country.busy[0][:1], (0.1, 0.1, 0.1, 1.7), _SOFT)


@cache
def _cached_tone(frequencies: Hertz, cadence: Cadence, peak: int = _PEAK) -> Clip:
    return tone(frequencies, cadence, peak)


@cache
def tones_of(name: str) -> Tones:
    """The tones of a country by its code, in lower case; E.180's recommendation for an unknown one."""
    return Tones(name if name in COUNTRIES or name in SAME_AS else "eu")


@cache
def beep() -> Clip:
    """The beep before a recording: 1000 Hz for 0.4 s."""
    return tone((1000,), (0.4,))


@cache
def quiet() -> Clip:
    """A frame of silence, to be looped: shows the peer that the stream is alive."""
    return Clip([0] * FRAME_SAMPLES)
