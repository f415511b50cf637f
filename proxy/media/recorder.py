"""A WAV file of what one leg says: 8 kHz, mono, 16 bit, valid at every moment while it grows."""

from __future__ import annotations

import struct
from collections.abc import Callable
from os import SEEK_END
from pathlib import Path

import structlog

from proxy.media.formats import G711
from proxy.media.g711 import to_linear
from proxy.media.rtp import signed32

log = structlog.get_logger("screendoor")

RATE = 8000
_PATCH_EVERY = RATE
"""Samples between two corrections of the sizes in the header: one second."""
_AHEAD = 2 * RATE
"""How far a sender's timestamps may run ahead of the wall clock, in samples."""
_MOST = 4 * 3600 * RATE
"""Four hours: sizes stay inside the 32 bits of a WAV header."""


def wav_header(samples: int) -> bytes:
    """The 44 octets before the samples."""
    size = 2 * samples
    riff = struct.pack("<4sI4s", b"RIFF", 36 + size, b"WAVE")
    form = struct.pack("<4sIHHIIHH", b"fmt ", 16, 1, 1, RATE, 2 * RATE, 2, 16)
    return riff + form + struct.pack("<4sI", b"data", size)


class WavRecording:
    """Writes G.711 speech where its timestamps put it; what never came is silence.

    Other formats are not decoded: they leave silence. The disk failing ends the recording, never the call.
    """

    def __init__(self, path: Path, on_close: Callable[[WavRecording], None]) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.path = path
        path.write_bytes(wav_header(0))
        self._file = path.open("r+b")
        self._file.seek(0, SEEK_END)
        self._on_close = on_close
        self._closed = False
        self._samples = 0
        self._patched = 0
        self._began: float | None = None
        self._source: object = None
        self._base_timestamp = 0  # of the present source
        self._base_sample = 0  # where that lies in the file

    def heard(self, key: str, payload: bytes, timestamp: int, source: object, now: float) -> None:
        """Take one packet's payload. `source` is compared by identity: a new one starts new timestamps."""
        if self._closed or key not in G711 or not payload:
            return
        if self._began is None:
            self._began = now
        wall = round((now - self._began) * RATE)
        place = self._base_sample + signed32(timestamp - self._base_timestamp)
        if source is not self._source or place > wall + _AHEAD:
            place = max(self._samples, wall)
            self._source, self._base_timestamp, self._base_sample = source, timestamp, place
        end = place + len(payload)
        if place < self._samples or end > min(wall + 2 * _AHEAD, _MOST):
            return  # late or twice; or more than real time can hold
        self._write(bytes(2 * (place - self._samples)) + to_linear(key, payload), end)

    def close(self) -> float:
        """Finish the file; its length in seconds."""
        if not self._closed:
            self._closed = True
            try:
                with self._file:
                    self._patch()
            except OSError as error:
                log.warning("recording not finished", path=self.path.name, error=str(error))
            self._on_close(self)
        return self._samples / RATE

    def _write(self, samples: bytes, end: int) -> None:
        try:
            self._file.write(samples)
            self._samples = end
            if end - self._patched >= _PATCH_EVERY:
                self._patch()
        except OSError as error:
            log.warning("recording stopped", path=self.path.name, error=str(error))
            self.close()

    def _patch(self) -> None:
        self._patched = self._samples
        self._file.seek(0)
        self._file.write(wav_header(self._samples))
        self._file.seek(0, SEEK_END)
        self._file.flush()
