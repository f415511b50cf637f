"""Usage reported by OpenAI's Live API: duration of the voice, tokens of the delegate."""

from __future__ import annotations

from collections.abc import Iterator

from screening.contract import Tokens
from screening.openai.usage import count_at, object_at
from screening.provider import UsageReported

LONGEST_S = 86_400.0
"""No session lasts longer; a greater value is ignored."""


class SessionDuration:
    """The billed duration of one session, of which the vendor always reports the total."""

    def __init__(self) -> None:
        self._seconds = 0.0

    def increase(self, usage: object) -> Iterator[UsageReported]:
        """Yield the increase since the last ``usage`` of the session; nothing if it cannot be read."""
        told = usage.get("seconds") if isinstance(usage, dict) else None
        if isinstance(told, int | float) and self._seconds < told <= LONGEST_S and told is not True:
            before, self._seconds = self._seconds, float(told)
            yield UsageReported(seconds=self._seconds - before)


def delegate_usage(response: object, model: str) -> Iterator[UsageReported]:
    """Yield the ``usage`` of a response by the delegate `model`; nothing if it cannot be read."""
    usage = object_at(response, "usage")
    given, cached = (
        count_at(usage, "input_tokens"),
        count_at(object_at(usage, "input_tokens_details"), "cached_tokens"),
    )
    tokens = Tokens(
        text_in=max(given - cached, 0), text_cached=cached, text_out=count_at(usage, "output_tokens")
    )
    if tokens.total:
        yield UsageReported(tokens, model=model)
