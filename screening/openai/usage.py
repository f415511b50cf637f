"""Usage reported by OpenAI's Realtime API, for responses and transcriptions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from screening.contract import Tokens
from screening.provider import TRANSCRIBER, UsageReported


def response_usage(usage: object) -> Iterator[UsageReported]:
    """Yield the ``usage`` of a ``response.done``; nothing if it cannot be read."""
    given, made = object_at(usage, "input_token_details"), object_at(usage, "output_token_details")
    cached = object_at(given, "cached_tokens_details")
    text, audio = count_at(cached, "text_tokens"), count_at(cached, "audio_tokens")
    tokens = Tokens(
        text_in=max(count_at(given, "text_tokens") - text, 0),
        text_cached=text,
        text_out=count_at(made, "text_tokens"),
        audio_in=max(count_at(given, "audio_tokens") - audio, 0),
        audio_cached=audio,
        audio_out=count_at(made, "audio_tokens"),
    )
    if tokens.total:
        yield UsageReported(tokens)


def transcript_usage(usage: object) -> Iterator[UsageReported]:
    """Yield the ``usage`` of a transcription, which is billed by tokens or by duration."""
    given = object_at(usage, "input_token_details")
    tokens = Tokens(
        text_in=count_at(given, "text_tokens"),
        text_out=count_at(usage, "output_tokens"),
        audio_in=count_at(given, "audio_tokens"),
    )
    seconds = usage.get("seconds") if isinstance(usage, Mapping) else None
    lasted = float(seconds) if isinstance(seconds, int | float) and 0 < seconds < 86400 else 0.0
    if tokens.total or lasted:
        yield UsageReported(tokens, lasted, TRANSCRIBER)


def object_at(of: object, name: str) -> Mapping[str, Any]:
    """Return the object under `name`; an empty one if there is none."""
    found = of.get(name) if isinstance(of, Mapping) else None
    return found if isinstance(found, Mapping) else {}


def count_at(of: object, name: str) -> int:
    """Return the count under `name`; 0 if it is not a valid one."""
    found = of.get(name) if isinstance(of, Mapping) else None
    return found if type(found) is int and 0 <= found < 10**9 else 0
