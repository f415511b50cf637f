"""Record to a WAV file: 8 kHz, 16 bit, mono or stereo, with a valid header at all times while it grows."""

from __future__ import annotations

import os
import struct
from collections.abc import Callable
from pathlib import Path

import structlog

from proxy.media.disk_writer import Disk, at_once, write_whole
from proxy.media.formats import G711
from proxy.media.g711 import audible, planes
from proxy.media.rtp import payload_span, signed32

log = structlog.get_logger("screendoor")

RATE = 8000
HEADER_BYTES = 44
_WRITE_EVERY = RATE // 2
"""Samples between two writes. With `_MAX_LATE`, what is lost if the process is killed: less than a second."""
_MAX_LATE = RATE // 5
"""How late a packet may come, in samples; what is older has been written."""
_MAX_DRIFT = 2 * RATE
"""How far a sender's timestamps may drift from the wall clock, in samples."""
_MAX = 4 * 3600 * RATE
"""Longest recording, four hours: sizes stay within the 32 bits of a WAV header."""
_MAX_WAITING = 20
"""Writes that may wait for the disk: ten seconds' worth."""
_MAX_SAME_NAME = 100


def wav_header(samples: int, channels: int = 1) -> bytes:
    """The 44-octet WAV header for so many samples per channel."""
    block = 2 * channels
    size = block * samples
    riff = struct.pack("<4sI4s", b"RIFF", 36 + size, b"WAVE")
    form = struct.pack("<4sIHHIIHH", b"fmt ", 16, 1, channels, RATE, block * RATE, block, 16)
    return riff + form + struct.pack("<4sI", b"data", size)


class WavRecording:
    """Writes G.711 audio at the places its timestamps say; gaps are silence.

    Other formats are not decoded and leave silence. A disk failure ends the recording, never the call. The
    file is created at once, readable by its owner only, and grows through `disk`.
    """

    def __init__(
        self,
        path: Path,
        on_close: Callable[[WavRecording], None],
        *,
        channels: int = 1,
        disk: Disk = at_once,
    ) -> None:
        """Raises OSError if the file cannot be created. An existing file is kept: ours is then NAME-2."""
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.path, self._file = _create(path, wav_header(0, channels))
        self._on_close, self._disk = on_close, disk
        self._tracks = tuple(_Track() for _ in range(channels))
        self._closed = self._abandoned = False
        self._began: float | None = None
        self._samples = 0  # handed to the disk
        self._queued = 0  # writes handed to the disk
        self._done = 0  # writes the disk has finished
        self._stored = 0  # samples in the file; like _error, set by the disk's thread
        self._error: OSError | None = None
        self.voiced_at: float | None = None
        """When audible sound was last recorded; None before any."""

    @property
    def active(self) -> bool:
        """Still recording; false once closed, or after the disk has failed."""
        return not self._closed and self._error is None

    def heard(
        self, key: str, payload: bytes, timestamp: int, source: object, now: float, channel: int = 0
    ) -> None:
        """Take a packet's payload. `source` is compared by identity: a new one has timestamps of its own."""
        if self._closed or key not in G711 or not payload:
            return
        if self._error is not None:
            return self._stopped(str(self._error))
        if self._began is None:
            self._began = now
        if audible(key, payload):
            self.voiced_at = now
        wall = round((now - self._began) * RATE)
        if wall - self._samples >= _WRITE_EVERY + _MAX_LATE and self._samples < _MAX:
            self._store(min(wall - _MAX_LATE, _MAX))
        track = self._tracks[channel]
        place = track.place(timestamp, source, wall, self._samples)
        # Beyond that, it did not come in real time.
        if place + len(payload) <= min(wall + 2 * _MAX_DRIFT, _MAX):
            track.put(place, self._samples, key, payload)

    def close(self, *, keep: bool = True) -> float:
        """Finish the file, or remove it (even after closing); returns its length in seconds."""
        if not self._closed:
            self._closed = True
            if self._error is None and not self._abandoned:
                self._store(self._samples + max(track.length for track in self._tracks))
            self._disk(self._finish)
            self._on_close(self)
        if not keep:
            self._disk(self._remove)
        return (self._samples if self._error is None else self._stored) / RATE

    def _store(self, until: int) -> None:
        """Hand everything before this sample to the disk."""
        count, width = until - self._samples, 2 * len(self._tracks)
        held = min(count, max(track.length for track in self._tracks))
        octets = bytearray(width * held)
        for i, track in enumerate(self._tracks):
            octets[2 * i :: width], octets[2 * i + 1 :: width] = track.cut(held)
        if self._queued - self._done >= _MAX_WAITING:
            return self._stopped("the disk is too slow")
        place, self._samples = HEADER_BYTES + width * self._samples, until
        self._write(bytes(octets), place)

    def _write(self, octets: bytes, place: int) -> None:
        self._queued += 1
        samples, channels = self._samples, len(self._tracks)

        def write() -> None:
            try:
                if self._error is None:
                    write_whole(self._file, octets, place)
                    # The rest is silence, a hole in the file. The header is last, and never claims too much.
                    os.ftruncate(self._file, HEADER_BYTES + 2 * channels * samples)
                    write_whole(self._file, wav_header(samples, channels), 0)
                    self._stored = samples
            except OSError as error:
                self._error = error
            self._done += 1

        self._disk(write)

    def _stopped(self, why: str) -> None:
        log.warning("recording stopped", path=self.path.name, error=why)
        self._abandoned = True
        self.close()

    def _finish(self) -> None:
        if self._error is not None and not self._abandoned:
            log.warning("recording stopped", path=self.path.name, error=str(self._error))
        try:
            os.close(self._file)
        except OSError as error:
            log.warning("recording not finished", path=self.path.name, error=str(error))

    def _remove(self) -> None:
        try:
            self.path.unlink(missing_ok=True)
        except OSError as error:
            log.warning("recording not removed", path=self.path.name, error=str(error))


class Recordings:
    """The recordings in progress of one stream."""

    __slots__ = ("_heard", "_with_sent")

    def __init__(self) -> None:
        self._heard: tuple[WavRecording, ...] = ()
        self._with_sent: tuple[WavRecording, ...] = ()
        """Those that also record what the peer hears, as their second channel."""

    @property
    def active(self) -> bool:
        """Whether any is in progress."""
        return bool(self._heard)

    @property
    def active_both(self) -> bool:
        """Whether any records what the peer hears, too."""
        return bool(self._with_sent)

    def begin(self, path: Path, both: bool, disk: Disk) -> WavRecording:
        """Start one. Raises OSError if the file cannot be created."""
        recording = WavRecording(path, self._closed, channels=1 + both, disk=disk)
        self._heard += (recording,)
        self._with_sent += (recording,) * both
        return recording

    def heard(self, key: str, payload: bytes, timestamp: int, source: object, now: float) -> None:
        """Record audio from the peer."""
        for recording in self._heard:
            recording.heard(key, payload, timestamp, source, now)

    def sent(self, key: str, packet: bytes, timestamp: int, line: object, now: float) -> None:
        """Record a packet sent to the peer, tones included."""
        span = payload_span(packet) if self._with_sent else None
        if span is not None:
            for recording in self._with_sent:
                recording.heard(key, packet[span[0] : span[1]], timestamp, line, now, channel=1)

    def close(self) -> None:
        """Finish all of them."""
        for recording in self._heard:
            recording.close()

    def _closed(self, closed: WavRecording) -> None:
        self._heard = tuple(each for each in self._heard if each is not closed)
        self._with_sent = tuple(each for each in self._with_sent if each is not closed)


class _Track:
    """One channel's samples that are not written yet, as low and high octets."""

    __slots__ = ("_base_sample", "_base_timestamp", "_end", "_high", "_low", "_source")

    def __init__(self) -> None:
        self._low, self._high = bytearray(), bytearray()
        self._source: object = None
        self._base_timestamp = 0  # of the present source
        self._base_sample = 0  # its place in the file
        self._end = 0  # of the audio so far

    @property
    def length(self) -> int:
        """Samples waiting to be written."""
        return len(self._low)

    def place(self, timestamp: int, source: object, wall: int, written: int) -> int:
        """The sample a timestamp stands for; by the wall clock for a source that is new or has drifted off.

        A source that falls behind (its clock is slow, or stopped during a pause) continues after what is
        `written`; only a packet that others have overtaken is too late.
        """
        place = meant = self._base_sample + signed32(timestamp - self._base_timestamp)
        if source is not self._source or abs(meant - wall) > _MAX_DRIFT:
            place = max(self._end, wall)
        elif self._end <= meant < written:
            place = written
        if place != meant or source is not self._source:
            self._source, self._base_timestamp, self._base_sample = source, timestamp, place
        return place

    def put(self, place: int, written: int, key: str, payload: bytes) -> None:
        """Insert a payload there, without what lies before `written`, which is too late."""
        self._end = max(self._end, place + len(payload))
        at = place - written
        if at < 0:
            payload, at = payload[-at:], 0
        low, high = planes(key, payload)
        if (missing := at - len(self._low)) > 0:
            self._low += bytes(missing)
            self._high += bytes(missing)
        end = at + len(payload)
        self._low[at:end], self._high[at:end] = low, high

    def cut(self, count: int) -> tuple[bytes, bytes]:
        """Remove so many samples from the start, with silence for those that never came."""
        low, high = bytes(self._low[:count]), bytes(self._high[:count])
        del self._low[:count], self._high[:count]
        return low.ljust(count, b"\0"), high.ljust(count, b"\0")


def _create(path: Path, header: bytes) -> tuple[Path, int]:
    """Create a file of this name, or with a number added, and write the header."""
    for n in range(1, _MAX_SAME_NAME):
        name = path if n == 1 else path.with_stem(f"{path.stem}-{n}")
        try:
            file = os.open(name, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600)
        except FileExistsError:
            continue
        try:
            write_whole(file, header, 0)
        except OSError:
            os.close(file)
            name.unlink(missing_ok=True)
            raise
        return name, file
    raise FileExistsError(f"{path} exists already, and so do its numbered alternatives")
