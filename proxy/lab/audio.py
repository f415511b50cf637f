"""The audio of a simulated peer: sends real RTP with a sine tone, and detects the tones of other peers."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from math import cos, pi, sin
from operator import mul

from proxy.lab.keys import SrtpContext, srtp_context
from proxy.lab.ports import any_pair
from proxy.media.clip import FRAME_S, FRAME_SAMPLES, RATE
from proxy.media.formats import PCMA, PCMU, TELEPHONE_EVENT, AudioFormat
from proxy.media.g711 import PCMA_SAMPLES, PCMU_SAMPLES, PCMU_TO_PCMA, audible
from proxy.media.local_sdp import describe
from proxy.media.rtp import HEADER, PLAIN, is_rtcp, payload_span, signed16, signed32
from proxy.media.sdp import Direction, parse_sdp
from proxy.media.tones import frames
from proxy.media.udp import Address, MediaNetwork

RINGBACK_HZ = 440
"""One of the two frequencies of the ringback tone, which is enough to recognise it."""
BEEP_HZ = 1000
CALLER_HZ = 600
AGENT_HZ = 800
PHONE_HZ = 1200
SPEECH_HZ = 1500
"""Of the simulated OpenAI's ``/audio/speech``."""
KNOWN_HZ = (RINGBACK_HZ, CALLER_HZ, AGENT_HZ, BEEP_HZ, PHONE_HZ, SPEECH_HZ)
"""Far enough apart to be distinguished within 20 ms (bins of 50 Hz)."""

_EVERY = 3
"""Only every third packet is analysed: enough to detect a tone, and cheap."""
_SHARE = 0.25
"""A frequency counts as heard if it makes up this share of a packet's energy (half the ringback: about 0.5).
"""
_FAINT = 100.0**2
"""Mean square below which a packet counts as silence."""
_TONE_S = 1.0
_KEY_FRAMES = 5
_KEPT = 9000
"""Number of packet arrival times kept: three minutes."""


@dataclass(frozen=True, slots=True)
class StreamBreaks:
    """Discontinuities of an RTP stream, beyond losses in the network; the edge should cause none."""

    ssrc_changes: int = 0
    sequence_jumps: int = 0
    """Packets whose sequence number does not follow the previous one."""
    timestamps_backwards: int = 0
    """Timestamps lower than the previous packet's, telephone-events aside."""

    def __bool__(self) -> bool:
        return bool(self.ssrc_changes or self.sequence_jumps or self.timestamps_backwards)


class TonePeer:
    """A port pair that sends a tone and listens, on any `MediaNetwork`; needs a running event loop."""

    def __init__(
        self, network: MediaNetwork, host: str, frequency_hz: int, *, known_hz: Sequence[int] = KNOWN_HZ
    ) -> None:
        """`frequency_hz` should be one of `known_hz`, or at least 120 Hz away from all of them."""
        self.frequency_hz = frequency_hz
        self._known = tuple(dict.fromkeys((*known_hz, frequency_hz)))
        self.address, self._pair = any_pair(network, host, self._received)
        self._detector = _ToneDetector(self._known)
        self._line = _StreamChecker()
        self._arrivals: list[float] = []
        self._audible: list[float] = []
        self.packets_sent = 0
        self.packets_unopened = 0
        """SRTP packets that failed authentication."""
        self._srtp: SrtpContext | None = None
        self._remote: Address | None = None
        self._payload_type = PCMU.pt
        self._tone: tuple[bytes, ...] = ()
        self._timer: asyncio.TimerHandle | None = None
        self._started = 0.0
        self._index = 0
        self._pressed: tuple[int, int] | None = None
        """The key that is held down, and the packet index at which it was pressed."""
        self._base = frequency_hz * 1000  # sequence numbers and timestamps start anywhere but at zero

    def secure(self, ours: bytes, theirs: bytes) -> None:
        """Use SRTP if both SDPs have keys; with unchanged keys, the SRTP context is kept."""
        agreed = srtp_context(ours, theirs)
        if agreed is None or self._srtp is None or agreed.keys != self._srtp.keys:
            self._srtp = agreed

    @property
    def suite(self) -> str | None:
        """The crypto suite in use; None: plain RTP."""
        return None if self._srtp is None else self._srtp.keys[0]

    def start(self, remote: Address, payload_type: int = PCMU.pt) -> None:
        """Start sending the tone to `remote`; if already sending, only switch the address."""
        self._remote = remote
        if payload_type != self._payload_type or not self._tone:
            self._payload_type = payload_type
            self._tone = _voice(self.frequency_hz, payload_type)
        if self._timer is None:
            self._started = asyncio.get_running_loop().time() - self._index * FRAME_S
            self._tick()

    def press(self, key: str) -> None:
        """Press a key for 0.1 s, sent in place of the tone (RFC 4733 §2.5.1)."""
        self._pressed = ("0123456789*#ABCD".index(key), self._index)

    def start_towards(self, sdp: bytes) -> None:
        """Start sending the tone to the address in this SDP, in its first format."""
        section = next(each for each in parse_sdp(sdp).media if each.kind == "audio")
        voices = [each for each in section.audio_formats() if each.key in (PCMU.key, PCMA.key)]
        self.start(rtp_address(sdp), voices[0].pt)

    def stop(self) -> None:
        """Stop sending; `start` resumes."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def close(self) -> None:
        """Stop and free the ports."""
        self.stop()
        self._pair.close()

    @property
    def packets_heard(self) -> int:
        """The number of RTP packets received."""
        return self._line.packets

    @property
    def arrivals(self) -> Sequence[float]:
        """Arrival times of the latest packets (loop times)."""
        return self._arrivals

    @property
    def audible(self) -> Sequence[float]:
        """Arrival times of the packets that were not silent, among those analysed."""
        return self._audible

    @property
    def line_breaks(self) -> StreamBreaks:
        """SSRC changes, sequence jumps and backward timestamps so far."""
        return self._line.breaks

    def heard(self) -> dict[int, float]:
        """Seconds of each known frequency heard so far; frequencies never heard are left out."""
        found: dict[int, float] = {}
        for _, frequencies in self._detector.listen():
            for frequency in frequencies:
                found[frequency] = found.get(frequency, 0.0) + _EVERY * FRAME_S
        return found

    def hears(self, frequency_hz: int, since: float | None = None) -> bool:
        """Whether the frequency was heard in packets that arrived at or after `since` (loop time)."""
        return any(
            frequency_hz in frequencies and (since is None or at >= since)
            for at, frequencies in reversed(self._detector.listen())
        )

    def longest_gap_ms(self, start: float, end: float) -> float:
        """The longest time without a packet that overlaps the span from start to end (loop times)."""
        before = [at for at in self._arrivals if at <= start][-1:]
        between = [at for at in self._arrivals if start < at <= end]
        after = [at for at in self._arrivals if at > end][:1]
        times = [*(before or [start]), *between, *(after or [end])]
        return max((1000 * (later - at) for at, later in pairwise(times)), default=0.0)

    def sdp(
        self,
        *,
        formats: Sequence[AudioFormat] = (PCMU, PCMA, TELEPHONE_EVENT),
        direction: Direction = Direction.SENDRECV,
        version: int = 1,
    ) -> bytes:
        """A plain offer or answer with its port."""
        return describe((self.address[1], version), self.address, formats, direction)

    def _tick(self) -> None:
        loop = asyncio.get_running_loop()
        if self._remote is not None:
            sequence = (self._base + self._index) & 0xFFFF
            timestamp = (self._base + self._index * FRAME_SAMPLES) & 0xFFFFFFFF
            second = self._payload_type | (0x80 if self._index == 0 else 0)
            said = self._tone[self._index % len(self._tone)]
            if self._pressed is not None:
                second, timestamp, said = self._key(*self._pressed)
            header = HEADER.pack(PLAIN, second, sequence, timestamp, 0x10000 + self.address[1])
            packet = header + said
            self._pair.send(self._srtp.protect(packet) if self._srtp else packet, self._remote)
            self.packets_sent += 1
        self._index += 1
        self._timer = loop.call_at(self._started + self._index * FRAME_S, self._tick)

    def _key(self, event: int, since: int) -> tuple[int, int, bytes]:
        """Build one packet of a key press: five while it is down, then the end packet three times."""
        said = self._index - since
        ends = said >= _KEY_FRAMES
        if said == _KEY_FRAMES + 2:
            self._pressed = None
        payload = bytes((event, 0x8A if ends else 0x0A))
        payload += (FRAME_SAMPLES * min(said + 1, _KEY_FRAMES)).to_bytes(2, "big")
        second = TELEPHONE_EVENT.pt | (0x80 if said == 0 else 0)
        return second, (self._base + since * FRAME_SAMPLES) & 0xFFFFFFFF, payload

    def _received(self, borrowed: memoryview, source: Address) -> None:
        packet = bytes(borrowed)
        if self._srtp is not None:
            opened = self._srtp.unprotect(packet)
            if opened is None:
                self.packets_unopened += 1
                return
            packet = opened
        span = None if is_rtcp(packet) else payload_span(packet)
        if span is None:
            return
        now = asyncio.get_running_loop().time()
        self._arrivals.append(now)
        if len(self._arrivals) > _KEPT:
            del self._arrivals[: _KEPT // 2]
        self._line.saw(packet)
        if self._line.packets % _EVERY == 0:
            payload_type, payload = packet[1] & 0x7F, bytes(packet[span[0] : span[1]])
            self._detector.hear(now, payload_type, payload)
            if audible(PCMU.key if payload_type == PCMU.pt else PCMA.key, payload):
                self._audible.append(now)


class _ToneDetector:
    """Collects packets and detects their frequencies on demand; each packet is analysed once."""

    def __init__(self, known: tuple[int, ...]) -> None:
        self._known = known
        self._waiting: list[tuple[float, int, bytes]] = []
        self._judged: list[tuple[float, tuple[int, ...]]] = []

    def hear(self, at: float, payload_type: int, payload: bytes) -> None:
        if payload_type in (PCMU.pt, PCMA.pt):
            self._waiting.append((at, payload_type, payload))
            del self._waiting[:-_KEPT]

    def listen(self) -> list[tuple[float, tuple[int, ...]]]:
        for at, payload_type, payload in self._waiting:
            table = PCMU_SAMPLES if payload_type == PCMU.pt else PCMA_SAMPLES
            self._judged.append((at, frequencies_in([table[octet] for octet in payload], self._known)))
        self._waiting.clear()
        return self._judged


class _StreamChecker:
    """Counts discontinuities in the RTP headers of received packets."""

    def __init__(self) -> None:
        self.packets = 0
        self.breaks = StreamBreaks()
        self._last: tuple[int, int, int] | None = None

    def saw(self, packet: bytes) -> None:
        _, second, sequence, timestamp, ssrc = HEADER.unpack_from(packet)
        self.packets += 1
        event = second & 0x7F == TELEPHONE_EVENT.pt
        if self._last is not None:
            last_sequence, last_timestamp, last_ssrc = self._last
            backwards = not event and signed32(timestamp - last_timestamp) < 0
            seen = self.breaks
            self.breaks = StreamBreaks(
                seen.ssrc_changes + (ssrc != last_ssrc),
                seen.sequence_jumps + (signed16(sequence - last_sequence) != 1),
                seen.timestamps_backwards + backwards,
            )
            if event:
                timestamp = last_timestamp
        self._last = sequence, timestamp, ssrc


def rtp_address(sdp: bytes) -> Address:
    """The address for RTP in the first audio section of an SDP."""
    description = parse_sdp(sdp)
    section = next(each for each in description.media if each.kind == "audio")
    return description.connection(section), section.port


def frequencies_in(samples: Sequence[int], known: Sequence[int]) -> tuple[int, ...]:
    """The known frequencies with a good share of the samples' energy (the Goertzel algorithm)."""
    energy = float(sum(map(mul, samples, samples)))
    if not samples or energy / len(samples) < _FAINT:
        return ()
    least = _SHARE * energy * len(samples) / 2
    found = []
    for frequency in known:
        cosines, sines = _waves(frequency, len(samples))
        real, imaginary = sum(map(mul, samples, cosines)), sum(map(mul, samples, sines))
        if real * real + imaginary * imaginary >= least:
            found.append(frequency)
    return tuple(found)


@cache
def _voice(frequency_hz: int, payload_type: int) -> tuple[bytes, ...]:
    tone = frames((frequency_hz,), _TONE_S)
    return tuple(frame.translate(PCMU_TO_PCMA) for frame in tone) if payload_type == PCMA.pt else tone


@cache
def _waves(frequency: int, count: int) -> tuple[tuple[float, ...], tuple[float, ...]]:
    steps = [2 * pi * frequency * n / RATE for n in range(count)]
    return tuple(map(cos, steps)), tuple(map(sin, steps))
