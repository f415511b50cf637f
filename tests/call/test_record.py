"""The call record as plain values."""

from __future__ import annotations

import json
from dataclasses import fields
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs

from proxy.call.record import CallRecord, LegRecord
from proxy.sip.message import Request
from screening.contract import Connect, TranscriptLine
from tests.kit import edge as kit
from tests.kit.edge import BEGAN, PHONE_NUMBER, Edge


async def test_a_record_has_outcome_decision_legs_transcript_and_steps_as_json(edge: Edge) -> None:
    edge.screening.transcript = [TranscriptLine("caller", "I have a parcel", 1.5)]
    edge.screening.decided = Connect("a courier")
    await edge.bridges()
    await edge.carrier.hangs_up()
    record = json.loads(json.dumps((await edge.over()).as_dict()))
    assert record["outcome"] == {"result": "bridged", "reason": "the caller talked to the phone"}
    assert (record["decision"], record["trigger"], record["why"]) == ("ALLOW", "refer", "a courier")
    assert (record["caller"], record["dialed"]) == ("+13475550148", "+14155551234")
    assert record["ended_by"] == "caller"
    assert record["began"].startswith("2026-11-22T09:00:00.001")
    assert record["began"] < record["answered"] < record["ended"]
    assert record["transcript"] == [{"speaker": "caller", "text": "I have a parcel", "at_s": 1.5}]
    assert [leg["name"] for leg in record["legs"]] == ["caller", "agent", "phone"]
    assert record["legs"][1]["peer"] == "sip:proj_X@sip.api.openai.com:5061;transport=tls"
    assert record["legs"][2]["peer"] == f"sip:{PHONE_NUMBER}@trunk.example.com"
    assert all(leg["began"] <= leg["answered"] <= leg["ended"] for leg in record["legs"])
    assert [leg["peer_reason"] for leg in record["legs"]] == [None, None, None]
    assert record["steps"] == [
        "agent answered",
        "caller answered",
        "decision ALLOW by refer",
        "phone answered",
        "bridged",
    ]
    assert (record["voicemail"], record["voicemail_s"]) == (None, None)
    await edge.assert_clean()


async def test_a_record_has_the_call_id_of_each_leg(edge: Edge) -> None:
    await edge.bridges()
    await edge.carrier.hangs_up()
    record = await edge.over()
    peers = (edge.carrier, edge.agent, edge.phone)
    assert [leg.call_ids for leg in record.legs] == [(peer.current.call_id,) for peer in peers]
    await edge.assert_clean()


def test_a_record_of_a_call_in_progress_can_be_read() -> None:
    record = CallRecord("7f3a", None, "+14155551234", BEGAN).as_dict()
    assert (record["outcome"], record["ended"], record["legs"]) == (None, None, [])


def test_a_records_dict_has_every_field_in_order() -> None:
    record = CallRecord("7f3a", None, "+14155551234", BEGAN)
    leg = LegRecord("caller", "sip:a@b", BEGAN)
    for each in (record, leg):
        assert list(each.as_dict()) == [field.name for field in fields(each)]


@given(st.datetimes(datetime(1970, 1, 1), timezones=st.sampled_from([UTC, timezone(timedelta(hours=-5))])))
def test_timestamps_are_iso_8601_with_milliseconds_in_any_zone(at: datetime) -> None:
    told = CallRecord("7f3a", None, "+14155551234", at).as_dict()["began"]
    assert told == at.isoformat(timespec="milliseconds")


async def test_the_log_has_the_end_reason_of_each_leg(edge: Edge) -> None:
    edge.screening.decided = Connect("a courier")
    with capture_logs() as logs:
        await edge.bridges()
        await edge.carrier.hangs_up()
        await edge.over()
    ended = [(line["log_level"], line["leg"], line["why"]) for line in logs if line["event"] == "ended"]
    assert ended == [
        ("info", "agent", "the caller is with the phone"),
        ("info", "caller", "the peer hung up"),
        ("debug", "phone", "the caller hung up"),
    ]
    await edge.assert_clean()


async def test_the_log_contains_no_complete_number_reason_or_transcript(edge: Edge, capsys) -> None:
    edge.screening.transcript = [TranscriptLine("caller", "I have a parcel", 1.5)]
    edge.screening.decided = Connect("a courier")
    await edge.bridges()
    await edge.carrier.hangs_up()
    await edge.over()
    printed = capsys.readouterr()
    told = printed.out + printed.err
    assert "decided" in told
    secret = ("courier", "parcel", "3475550148", "4155551234", "4155559876")
    assert not [word for word in secret if word in told]
    await edge.assert_clean()


async def test_a_peers_reason_header_is_recorded_without_its_text_and_not_forwarded_rfc3326_2(
    edge: Edge, capsys: pytest.CaptureFixture[str]
) -> None:
    await edge.bridges()
    call = edge.phone.current
    call.finish()
    await call.requests("BYE", headers=[("Reason", 'Q.850;cause=31;text="line of Grace +14155550199"')])
    bye = await edge.carrier.receives("BYE")
    assert bye.headers.get_all("Reason") == ['Q.850;cause=16;text="the call is over"']
    phone = (await edge.over()).legs[-1]
    assert (phone.end, phone.peer_reason) == ("the peer hung up", "Q.850;cause=31")
    told = "".join(capsys.readouterr())
    assert "Q.850;cause=31" in told
    assert "Grace" not in told
    await edge.assert_clean()


async def test_the_reason_header_of_a_rejection_is_recorded_rfc6432(edge: Edge) -> None:
    await edge.connects()
    await edge.agent.refers(f"tel:{PHONE_NUMBER}")
    await edge.phone.rejects(486, headers=(("Reason", "Q.850;cause=17"),))
    await edge.time_passes(1)
    await edge.carrier.hangs_up()
    legs = (await edge.over()).legs
    assert (legs[-1].end, legs[-1].peer_reason) == ("486 Busy Here", "Q.850;cause=17")
    await edge.assert_clean()


async def test_our_bye_and_cancel_have_a_reason_header_rfc3326_2(edge: Edge) -> None:
    await edge.connects()
    await edge.agent.refers(f"tel:{PHONE_NUMBER}")
    await edge.phone.rings()
    await edge.carrier.hangs_up()
    await edge.over()
    await edge.time_passes(1)
    for peer, method in ((edge.agent, "BYE"), (edge.phone, "CANCEL")):
        [ours] = [
            each.message for each in peer.current.trace
            if each.direction == "<" and isinstance(each.message, Request) and each.message.method == method
        ]  # fmt: skip
        assert ours.headers.get_all("Reason") == ['Q.850;cause=16;text="the caller hung up"']
    await edge.assert_clean()


@pytest.mark.parametrize("leap", [timedelta(days=-400), timedelta(hours=-1), timedelta(days=20_000)])
async def test_setting_the_system_clock_during_a_call_does_not_change_its_duration(
    edge: Edge, monkeypatch: pytest.MonkeyPatch, leap: timedelta
) -> None:
    await edge.connects()
    monkeypatch.setattr(kit, "BEGAN", kit.BEGAN + leap)
    await edge.agent.refers(f"tel:{PHONE_NUMBER}")
    await edge.phone.answers()
    await edge.time_passes(20)
    await edge.carrier.hangs_up()
    record = await edge.over()
    assert record.answered is not None
    assert record.ended is not None
    assert timedelta(seconds=20) < record.ended - record.began < timedelta(seconds=40)
    for leg in record.legs:
        assert leg.answered is not None
        assert leg.ended is not None
        assert record.began <= leg.began <= leg.answered <= leg.ended <= record.ended
