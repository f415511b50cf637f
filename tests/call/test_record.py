"""The record of a call as plain values."""

from __future__ import annotations

import json

from proxy.call.record import CallRecord
from screening.contract import Connect, Said
from tests.kit.edge import BEGAN, PHONE_NUMBER, Edge


async def test_a_record_tells_the_whole_story_as_json(edge: Edge) -> None:
    edge.screening.transcript = [Said("caller", "I have a parcel", 1.5)]
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
    assert record["steps"] == [
        "agent answered",
        "caller answered",
        "decision ALLOW by refer",
        "phone answered",
        "bridged",
    ]
    assert (record["voicemail"], record["voicemail_s"]) == (None, None)
    await edge.assert_clean()


def test_a_record_that_has_only_begun_can_be_read_too() -> None:
    record = CallRecord("7f3a", None, "+14155551234", BEGAN).as_dict()
    assert (record["outcome"], record["ended"], record["legs"]) == (None, None, [])


async def test_the_story_in_the_log_names_no_number_and_no_word_said(edge: Edge, capsys) -> None:
    edge.screening.transcript = [Said("caller", "I have a parcel", 1.5)]
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
