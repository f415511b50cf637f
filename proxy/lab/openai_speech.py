"""The simulated ``POST /audio/speech``: returns a tone as long as the text would take."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from math import pi, sin

from starlette.responses import Response

from proxy.lab.audio import SPEECH_HZ
from proxy.lab.openai_errors import ApiError

MAX_INPUT = 4096
_RATE = 24000
_A_CHARACTER_S = 0.06
_PEAK = 8000
_KNOWN = frozenset(("model", "input", "voice", "response_format", "instructions", "speed", "stream_format"))


def speech(fields: Mapping[str, object]) -> Response:
    """Return the WAV of a text, as OpenAI streams it: the header does not know its size."""
    for name in ("model", "input", "voice"):
        if not isinstance(fields.get(name), str) or not fields[name]:
            raise ApiError(400, "missing_required_parameter", f"Missing required parameter: '{name}'.", name)
    if unknown := sorted(fields.keys() - _KNOWN):
        raise ApiError(400, "unknown_parameter", f"Unknown parameter: '{unknown[0]}'.", unknown[0])
    text = str(fields["input"])
    if len(text) > MAX_INPUT:
        raise ApiError(400, "string_above_max_length", "Invalid 'input': string too long.", "input")
    if fields.get("response_format") != "wav":
        raise ApiError(400, "unsupported_value", "The lab speaks 'wav' alone.", "response_format")
    return Response(_wav(len(text)), media_type="audio/wav")


def _wav(characters: int) -> bytes:
    period = _RATE // SPEECH_HZ
    waves = round(_RATE * _A_CHARACTER_S * characters / period)
    wave = struct.pack(f"<{period}h", *(round(_PEAK * sin(2 * pi * n / period)) for n in range(period)))
    form = struct.pack("<4sIHHIIHH", b"fmt ", 16, 1, 1, _RATE, 2 * _RATE, 2, 16)
    data = struct.pack("<4sI", b"data", 0xFFFFFFFF) + waves * wave
    return struct.pack("<4sI4s", b"RIFF", 0xFFFFFFFF, b"WAVE") + form + data
