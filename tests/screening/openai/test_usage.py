"""Usage reported by the Realtime API; malformed reports are not counted."""

from __future__ import annotations

import pytest

from proxy.lab.openai_events import Usage
from screening.contract import Tokens
from screening.openai.realtime import parse_event
from screening.openai.usage import response_usage, transcript_usage
from screening.provider import TRANSCRIBER, CallerSaid, ResponseEnded, UsageReported

TOKENS = {"type": "tokens", "total_tokens": 22, "input_tokens": 13, "output_tokens": 9}
DETAILS = {"input_token_details": {"text_tokens": 0, "audio_tokens": 13}}


def test_a_completed_response_reports_usage_with_cached_tokens_apart() -> None:
    response = {"id": "r1", "status": "completed", "output": [], "usage": Usage().as_json()}
    assert parse_event({"type": "response.done", "response": response}) == [
        ResponseEnded("r1", "completed"),
        UsageReported(Tokens(text_in=55, text_cached=64, text_out=30, audio_in=13, audio_out=91)),
    ]


@pytest.mark.parametrize(
    ("usage", "used"),
    [
        (TOKENS | DETAILS, UsageReported(Tokens(audio_in=13, text_out=9), 0.0, TRANSCRIBER)),
        ({"type": "duration", "seconds": 4.5}, UsageReported(seconds=4.5, model=TRANSCRIBER)),
    ],
)
def test_a_transcription_is_billed_by_tokens_or_by_time(
    usage: dict[str, object], used: UsageReported
) -> None:
    kind = "conversation.item.input_audio_transcription.completed"
    assert parse_event({"type": kind, "transcript": " Hi ", "usage": usage}) == [CallerSaid("Hi"), used]


@pytest.mark.parametrize(
    "usage",
    [
        None, 7, "many", [], {}, {"input_token_details": []}, {"input_token_details": {"text_tokens": "9"}},
        {"output_token_details": {"audio_tokens": -5}}, {"output_tokens": True, "seconds": float("nan")},
        {"input_token_details": {"text_tokens": 10**12}, "seconds": -1}, {"seconds": "4"},
    ],
)  # fmt: skip
def test_invalid_usage_is_not_counted(usage: object) -> None:
    assert list(response_usage(usage)) == []
    assert list(transcript_usage(usage)) == []


def test_more_cached_than_total_tokens_gives_no_negative_count() -> None:
    cached = {"text_tokens": 5, "cached_tokens_details": {"text_tokens": 9}}
    assert list(response_usage({"input_token_details": cached})) == [UsageReported(Tokens(text_cached=9))]
