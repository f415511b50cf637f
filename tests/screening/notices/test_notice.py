"""Which notices a call produces, and their content."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from typing import Any

import pytest

from screening.notices.notice import Event, budget_notice, call_notices, shutdown_notice
from screening.openai.model_shutdowns import Shutdown
from tests.screening.notices.records import leg, record


def events(told: dict[str, Any]) -> list[str]:
    return [notice.event.value for notice in call_notices(told, with_transcript=False)]


RANG = (leg("caller"), leg("agent"), leg("phone", answered=False))
ELSEWHERE = {**leg("caller", answered=False), "peer_reason": "SIP;cause=200"}
NOT_ASKED = {"plan": "ring: contact: known", "decision": None, "why": None}


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        (record("bridged", trigger="refer"), ["call.screened"]),
        (record("declined", decision="REJECT"), ["call.screened"]),
        (record("voicemail", decision="VOICEMAIL", voicemail="v/1.wav"), ["call.screened", "voicemail.new"]),
        (record("voicemail", decision="VOICEMAIL"), ["call.screened", "call.missed"]),
        (record("voicemail", message={"text": "Call me"}), ["call.screened", "voicemail.new"]),
        (record("caller left", decision=None), ["call.screened", "call.missed"]),
        (record("caller left", *RANG, trigger="refer"), ["call.screened", "call.missed"]),
        (record("unanswered", *RANG, trigger="refer"), ["call.screened", "call.missed"]),
        (record("cut", decision=None), ["call.screened", "call.missed"]),
        # The agent never took the call, and the phone rang instead.
        (record("bridged", leg("agent", answered=False), decision=None, trigger="failure"), []),
        (record("caller left", leg("agent", answered=False), decision=None), ["call.missed"]),
        # No agent was asked: a contact, a blocked caller, out of hours.
        (record("bridged", leg("caller"), leg("phone"), **NOT_ASKED), []),
        (record("caller left", leg("caller"), **NOT_ASKED), ["call.missed"]),
        (record("unanswered", leg("caller"), **NOT_ASKED), ["call.missed"]),
        (record("cut", leg("caller"), **NOT_ASKED), ["call.missed"]),
        (record("refused", leg("caller"), **NOT_ASKED), []),
        # The carrier rang several endpoints, and another one answered.
        (record("caller left", ELSEWHERE, **NOT_ASKED, answered=None), []),
        (record("caller left", {**ELSEWHERE, "peer_reason": "Q.850;cause=16"}, **NOT_ASKED), ["call.missed"]),
        (record("voicemail", leg("caller"), **NOT_ASKED, voicemail="v/1.wav"), ["voicemail.new"]),
        # A challenge instead of an agent.
        (record("bridged", leg("caller"), plan="challenge: level", decision=None), ["call.screened"]),
        (record("declined", leg("caller"), plan="challenge", decision=None), ["call.screened"]),
        (record("declined", leg("caller"), **NOT_ASKED, challenge_passed=True), ["call.screened"]),
        (record("declined", leg("caller"), **NOT_ASKED, challenge_passed=False), []),
    ],
)
def test_each_call_outcome_gives_its_notices(told: dict[str, Any], expected: list[str]) -> None:
    assert events(told) == expected


@pytest.mark.parametrize(
    ("told", "stage"),
    [
        (record("caller left", leg("caller"), **NOT_ASKED), "door"),
        (record("caller left", leg("caller"), **NOT_ASKED, challenge_passed=False), "challenge"),
        (record("caller left", decision=None, challenge_passed=False), "challenge"),
        (record("voicemail", leg("caller"), **NOT_ASKED, challenge_passed=False), "challenge"),
        (record("caller left", leg("caller"), **NOT_ASKED, challenge_passed=True), "door"),
        (record("caller left", decision=None), "agent"),
        (record("caller left", *RANG, trigger="plan"), "phone"),
        (record("bridged", trigger="refer"), None),
    ],
)
def test_a_missed_call_names_the_stage_it_reached(told: dict[str, Any], stage: str | None) -> None:
    found = call_notices(told, with_transcript=False)
    assert [notice.data["stage"] for notice in found] == [stage] * len(found)


def test_transcripts_are_in_the_notice_only_if_wanted() -> None:
    told = record("bridged", voicemail_transcript="It is Anna once more", caller_name="Anna")
    without = json.dumps([notice.payload() for notice in call_notices(told, with_transcript=False)])
    assert "parcel" not in without
    assert "once more" not in without
    assert "Calls about the delivery" in without
    [notice] = call_notices(told, with_transcript=True)
    assert [line["text"] for line in notice.data["transcript"]] == [
        "Who is calling, please?",
        "It is Anna, about the parcel.",
    ]
    assert "“It is Anna, about the parcel.”" in notice.data["summary"]


def test_files_are_named_without_their_folder() -> None:
    [_, notice] = call_notices(record("voicemail", voicemail="/srv/private/9c3a.wav"), with_transcript=False)
    assert notice.data["voicemail"] == "9c3a.wav"


def test_a_message_taken_by_the_agent_has_the_call_back_number() -> None:
    message = {"text": "The roof leaks.", "caller_name": "Zoë", "call_back": "+14155550100", "urgent": True}
    notice = call_notices(record("voicemail", message=message), with_transcript=False)[-1]
    assert notice.data["message"] == "Urgent: The roof leaks. Call back: +14155550100"


def test_a_payload_is_valid_json_for_any_caller_name() -> None:
    [notice] = call_notices(
        record(caller_name="\udcff\0Bob", why="\ud800", transcript=[]), with_transcript=True
    )
    text = json.dumps(notice.payload(), ensure_ascii=False)
    assert json.loads(text.encode())["data"]["caller_name"] == "?Bob"


def test_a_very_long_transcript_is_cut() -> None:
    said = [{"speaker": "caller", "text": "x" * 1000, "at_s": 1.0}] * 1000
    [notice] = call_notices(record(transcript=said), with_transcript=True)
    assert len(notice.data["transcript"]) == 50
    assert len(notice.data["summary"]) < 1000


def test_a_minimal_record_gives_a_missed_call_notice() -> None:
    cut = {"call": "1f", "dialed": "*", "began": None, "outcome": {"result": "cut"}}
    [notice] = call_notices(cut, with_transcript=True)
    assert notice.event is Event.MISSED


@dataclass(frozen=True, slots=True)
class Warned:
    cap: str = "number_money"
    dialed: str | None = "+14155551234"
    caller: str | None = None
    spent: str = "4.02 of 5 USD"
    share: float = 0.804
    day: date = date(2026, 11, 22)
    reached: bool = False


def test_a_budget_notice_id_is_unique_per_cap_number_day_and_level() -> None:
    at = datetime(2026, 11, 22, 9, tzinfo=UTC)
    first, again = budget_notice(Warned(), at), budget_notice(Warned(spent="4.20 of 5 USD", share=0.84), at)
    assert first.id == again.id
    assert first.data["percent"] == 80
    others = [Warned(reached=True), Warned(day=date(2026, 11, 23)), Warned(dialed=None), Warned(cap="money")]
    assert len({first.id, *(budget_notice(each, at).id for each in others)}) == 5


ENDS = Shutdown("agent a: model", "gpt-realtime", date(2027, 1, 20), "gpt-realtime-2.1", date(2026, 12, 30))


def test_a_shutdown_is_one_notice_for_each_stage() -> None:
    at = datetime(2026, 12, 30, 9, tzinfo=UTC)
    days = [date(2026, 12, 30), date(2027, 1, 12), date(2027, 1, 13), date(2027, 1, 19), date(2027, 1, 20)]
    told = [shutdown_notice(replace(ENDS, today=day), at) for day in days]
    assert [each.data["over"] for each in told] == [False, False, False, False, True]
    assert told[0].id == told[1].id
    assert told[2].id == told[3].id
    assert len({each.id for each in told}) == 3
    other = replace(ENDS, at="agent b: model")
    assert shutdown_notice(other, at).id != told[0].id
    assert told[0].data["summary"] == str(ENDS)
    assert told[0].event is Event.MODEL
