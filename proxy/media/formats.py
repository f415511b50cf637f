"""The audio formats the relay carries, by encoding name (RFC 3551 §6, RFC 4733)."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from typing import NamedTuple


class _Fields(NamedTuple):
    name: str
    """Encoding name as written; compared case-insensitively (RFC 8866 §6.6)."""
    rate: int
    """RTP clock rate in Hz; 8000 for G.722 too (RFC 3551 §4.5.2)."""
    pt: int
    """Payload type in the SDP that lists it, under which its author wants to receive (RFC 3264 §5.1)."""
    channels: int
    fmtp: str | None
    """Format parameters, unparsed."""
    key: str
    """Identifies equal formats on two legs, whatever their payload types: `pcmu/8000`, `opus/48000/2`."""


class AudioFormat(_Fields):
    """One payload type of an m=audio line and its meaning.

    A tuple, so that it is cheap to hash: results per list of formats are cached, and looked up in every call.
    """

    __slots__ = ()

    def __new__(
        cls, name: str, rate: int, pt: int, channels: int = 1, fmtp: str | None = None
    ) -> AudioFormat:
        tail = "" if channels == 1 else f"/{channels}"
        return super().__new__(cls, name, rate, pt, channels, fmtp, f"{name.lower()}/{rate}{tail}")

    @property
    def encoding(self) -> str:
        """The encoding of an a=rtpmap: `PCMU/8000`."""
        return f"{self.name}/{self.rate}" + ("" if self.channels == 1 else f"/{self.channels}")

    def with_pt(self, pt: int) -> AudioFormat:
        """The same format under another payload type, without parameters."""
        return AudioFormat(self.name, self.rate, pt, self.channels)


PCMU = AudioFormat("PCMU", 8000, 0)
PCMA = AudioFormat("PCMA", 8000, 8)
G722 = AudioFormat("G722", 8000, 9)
OPUS = AudioFormat("opus", 48000, 107, 2)
TELEPHONE_EVENT = AudioFormat("telephone-event", 8000, 101, fmtp="0-16")
TELEPHONE_EVENT_48 = AudioFormat("telephone-event", 48000, 110, fmtp="0-16")
"""For use with Opus: events share the timestamps, and so the clock, of the audio (RFC 4733 §2.1)."""

STATIC = {format.pt: format for format in (PCMU, PCMA, G722)}
"""The payload types we carry that need no rtpmap (RFC 3551 §6)."""

VOICES = {format.key: format for format in (PCMU, PCMA, G722, OPUS)}
"""Voice formats by key. G.722 and Opus are only passed on; G.711 is transcoded, played and recorded."""

G711 = frozenset((PCMU.key, PCMA.key))
EVENTS = {format.key: format for format in (TELEPHONE_EVENT, TELEPHONE_EVENT_48)}
EVENT_KEY = TELEPHONE_EVENT.key
"""The key for telephone-events of any clock rate, once the rate is agreed."""


def carries(a: str, b: str) -> bool:
    """Whether speech in format a can be sent to a peer that speaks b: they are equal, or both G.711."""
    return a == b or (a in G711 and b in G711)


def events_beside(voice: AudioFormat, formats: Iterable[AudioFormat]) -> AudioFormat | None:
    """The telephone-events with the voice's clock rate, or else 8000 Hz, which some peers use always."""
    found = {format.key: format for format in reversed(tuple(formats)) if format.key in EVENTS}
    return found.get(f"{TELEPHONE_EVENT.name}/{voice.rate}") or found.get(EVENT_KEY)


@lru_cache(maxsize=64)
def clock_rate(key: str) -> int:
    """RTP clock rate in Hz, from a format's key."""
    return int(key.split("/")[1])
