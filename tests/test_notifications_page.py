"""docs/notifications.md matches the code: fields, schedule, URLs and signature check."""

from __future__ import annotations

import base64
import json
import re
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from screening.notices import signing
from screening.notices.apprise_channel import problem
from screening.notices.notice import Event, budget_notice, call_notices, shutdown_notice
from screening.notices.retry_schedule import MAX_TRIES, RETRY_DELAYS_S
from tests.screening.notices.records import record
from tests.screening.notices.test_notice import ENDS, Warned

PAGE = (Path(__file__).parents[1] / "docs" / "notifications.md").read_text(encoding="utf-8")
SECRET = "whsec_" + base64.b64encode(b"s" * 32).decode()


def fields(after: str) -> set[str]:
    """The fields of the first field table after the text ``after``."""
    rows = PAGE.split(after, 1)[1].split("| field | meaning |\n|---|---|\n", 1)[1].split("\n\n", 1)[0]
    return {name for row in rows.splitlines() for name in re.findall(r"`(\w+)`", row.split("|")[1])}


def block(language: str) -> str:
    [found] = re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)
    return str(found)


def test_the_fields_of_a_call_are_those_of_the_table_and_of_the_example() -> None:
    data = call_notices(record("voicemail", voicemail="v.wav"), with_transcript=True)[-1].data
    assert set(data) | {"link"} == fields("All fields of a call")
    example = json.loads(block("json"))
    assert set(example) == {"type", "timestamp", "data"}
    assert list(example["data"]) == [*data, "link"]
    without = call_notices(record(), with_transcript=False)[0].data
    assert set(data) - set(without) == {"transcript", "voicemail_transcript"}


def test_the_fields_of_a_limit_are_those_of_the_table() -> None:
    data = budget_notice(Warned(), datetime(2026, 11, 22, tzinfo=UTC)).data
    assert set(data) == fields("Fields of a `budget.warning`")


def test_the_fields_of_a_shutdown_notice_match_the_table() -> None:
    data = shutdown_notice(ENDS, datetime(2026, 12, 30, tzinfo=UTC)).data
    assert set(data) == fields("Fields of a `model.warning`")


def test_every_event_is_explained() -> None:
    assert set(re.findall(r"^\| `(\w+\.\w+)` \|", PAGE, re.MULTILINE)) == {
        event.value for event in Event if event is not Event.TEST
    }


def test_the_schedule_is_that_of_the_code() -> None:
    assert "5 seconds, 5 minutes, half an hour, 2, 5, 10, 14, 20 and 24 hours" in PAGE
    assert (5, 300, 1800, *(3600.0 * hours for hours in (2, 5, 10, 14, 20, 24))) == RETRY_DELAYS_S
    assert "ten tries" in PAGE
    assert MAX_TRIES == 10


def test_the_documented_signature_check_accepts_only_our_recent_notices() -> None:
    page: dict[str, Any] = {}
    exec(block("python"), page)
    body, now = b'{"type":"test"}', int(time.time())
    headers = signing.signature_headers([signing.key(SECRET)], "msg", now, body)
    assert page["verified"](SECRET, headers, body)
    assert not page["verified"](SECRET, headers, body + b" ")
    assert not page["verified"]("whsec_" + base64.b64encode(b"o" * 32).decode(), headers, body)
    late = signing.signature_headers([signing.key(SECRET)], "msg", now - 600, body)
    assert not page["verified"](SECRET, late, body)


@pytest.mark.parametrize("url", re.findall(r"^\| [^|]+ \| `(\w+://[^`]+)` \|", PAGE, re.MULTILINE))
def test_every_documented_apprise_url_is_valid(url: str) -> None:
    assert problem(url) is None
