"""The record file and the memory get the same form of a record."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.call.outcome import Outcome, Result
from proxy.call.record import CallRecord, LegRecord
from proxy.services.record_forms import RecordForms
from screening.contract import AgentCost, Tokens, TranscriptLine
from tests.kit.edge import BEGAN


def a_record(said: tuple[TranscriptLine, ...] = ()) -> CallRecord:
    outcome = Outcome(Result.BRIDGED, "the caller talked to the phone")
    record = CallRecord("7f3a", None, "+14155551234", BEGAN, "Zo\u00eb \udcff", ended=BEGAN, outcome=outcome)
    record.legs.append(LegRecord("caller", "sip:a@b", BEGAN))
    record.transcript = said
    return record


@pytest.mark.parametrize(
    "said", [(), (TranscriptLine("caller", 'a "parcel"', 1.5), TranscriptLine("agent", "Thanks.", None))]
)
def test_a_record_line_is_the_whole_record_in_the_order_of_its_fields(
    said: tuple[TranscriptLine, ...],
) -> None:
    record = a_record(said)
    line = RecordForms(record).line()
    assert json.loads(line) == record.as_dict()
    assert list(json.loads(line)) == list(record.as_dict())
    assert "\n" not in line


def test_the_json_is_the_record_without_the_transcript() -> None:
    record = a_record((TranscriptLine("caller", "a parcel", 1.5),))
    forms = json.loads(RecordForms(record).json())
    assert forms == {name: value for name, value in record.as_dict().items() if name != "transcript"}


def test_each_form_of_a_record_is_made_once(monkeypatch: pytest.MonkeyPatch) -> None:
    forms = RecordForms(a_record())
    first, text = forms(), forms.json()
    monkeypatch.setattr(CallRecord, "as_dict", None)
    assert forms() is first
    assert forms.json() is text


@given(
    st.text(st.characters(exclude_categories=())),
    st.none() | st.floats(allow_nan=False),
    st.none() | st.integers(-(2**70), 2**70),
)
def test_a_record_with_any_values_can_be_read_from_its_line(
    name: str, seconds: float | None, heard: int | None
) -> None:
    record = a_record()
    record.caller_name, record.voicemail_s = name, seconds
    record.cost = AgentCost("openai", name, 1.5, Tokens(heard or 0), None)
    line = RecordForms(record).line()
    assert json.loads(line) == record.as_dict()
    assert "\n" not in line
