"""Notices as people read them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from screening.notices.notice import call_notices
from screening.notices.text import message, number, sanitized
from tests.screening.notices.records import leg, record

THEN = datetime(2026, 11, 22, 9, 1, tzinfo=UTC)
NAMED = {"caller_name": "Anna Smith"}
RANG = (leg("agent"), leg("phone", answered=False))


def read(told: dict[str, Any], *, with_transcript: bool = False, later: float = 1.0) -> tuple[str, str]:
    notice = call_notices(told, with_transcript=with_transcript)[-1]
    now = THEN + timedelta(seconds=later)
    return message(notice.event.value, notice.data, notice.at, now, ZoneInfo("Europe/Berlin"))


@pytest.mark.parametrize(
    ("told", "title", "first"),
    [
        (
            record("bridged", **NAMED),
            "Put through: Anna Smith, +1 415-555-0148",
            "Put through to the phone. Calls about the delivery.",
        ),
        (
            record("declined", decision="REJECT", why="Sells windows."),
            "Turned away: +1 415-555-0148",
            "Turned away by the assistant. Sells windows.",
        ),
        (
            record("caller left", decision=None, why=None, caller=None),
            "Missed call: a withheld number",
            "Hung up while the assistant was asking.",
        ),
        (
            record("caller left", *RANG, trigger="refer", **NAMED),
            "Missed call: Anna Smith, +1 415-555-0148",
            "Hung up while the phone was ringing. Calls about the delivery.",
        ),
        (
            record("unanswered", *RANG, why=None),
            "Missed call: +1 415-555-0148",
            "Nobody took the call.",
        ),
        (
            record("voicemail", voicemail="v.wav", voicemail_s=67.2, **NAMED),
            "Voicemail from Anna Smith, +1 415-555-0148 (1:07)",
            "Left a message. Calls about the delivery.",
        ),
        (
            record("voicemail", why=None),
            "Missed call: +1 415-555-0148",
            "Was sent to voicemail, and left no message.",
        ),
        (
            record("voicemail", message="The roof leaks", why=None),
            "Message from +1 415-555-0148",
            "Left a message. Message: The roof leaks.",
        ),
    ],
)
def test_the_title_names_the_caller_and_the_body_the_reason(
    told: dict[str, Any], title: str, first: str
) -> None:
    shown, body = read(told)
    assert shown == title
    assert body == f"{first}\nCalled: +1 415-555-1234"


def test_transcripts_are_quoted_if_wanted() -> None:
    _, body = read(
        record("voicemail", voicemail="v.wav", voicemail_transcript="Call me back"), with_transcript=True
    )
    assert body.startswith("“Call me back”\nLeft a message. Calls about the delivery. Said: “It is Anna,")


def test_a_late_notice_contains_the_time_of_the_call() -> None:
    _, body = read(record("unanswered"), later=7200)
    assert body.endswith("\nOn Sunday 22 November at 10:01 CET")


def test_a_budget_warning_is_a_sentence() -> None:
    data = {
        "cap": "day_money", "dialed": None, "caller": None, "spent": "5 of 5 USD", "percent": 100,
        "day": "2026-11-22", "reached": True,
    }  # fmt: skip
    title, body = message("budget.warning", data, THEN.isoformat(), THEN, UTC)
    assert title == "Budget spent"
    assert body == "100 % of day_money is spent: 5 of 5 USD. Callers are no longer asked by the assistant."


def test_a_model_shutdown_notice_is_a_sentence() -> None:
    told = {"over": False, "summary": 'agent a: model "m" is switched off on 2027-01-20: use "n"'}
    title, body = message("model.warning", told, THEN.isoformat(), THEN, UTC)
    assert (title, body) == ("Model ends soon", told["summary"])
    assert (
        message("model.warning", told | {"over": True}, THEN.isoformat(), THEN, UTC)[0] == "Model shut down"
    )


def test_mentions_links_and_control_characters_are_defused_and_text_is_cut() -> None:
    assert sanitized("<!channel> @everyone\nHi\u202e @here", 100) == "‹!channel› @ everyone Hi @ here"
    assert sanitized("[Your bank](https://evil.example)", 100) == "[Your bank] (https://evil.example)"
    assert sanitized("x" * 100, 10) == "xxxxxxxxx…"
    assert sanitized(None, 10) == ""


def test_a_value_that_is_not_a_number_is_shown_unchanged() -> None:
    assert number("reception") == "reception"
    assert number("+49301234567") == "+49 30 1234567"
