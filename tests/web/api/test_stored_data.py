"""Stored calls, messages, lists and callers, over HTTP."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, get_args

import pytest
from sqlalchemy import func, select

from proxy.observe.pcapng import pcapng
from proxy.observe.trace import TracedMessage
from proxy.services.dry_run import VERIFICATIONS
from proxy.web.api.models import Trial
from screening.memory import history, lists, sip_trace
from screening.memory.schema import entries
from tests.screening.memory.records import finish
from tests.web.api.sample_memory import ANNA, BEGAN, BOB, TAKEN, a_memory, a_record
from tests.web.api.served import READS, Served, a_client, serving, settings

JSON = {"Content-Type": "application/json"}

pytestmark = pytest.mark.network


@asynccontextmanager
async def serving_sample_memory(tmp: Path) -> AsyncIterator[Served]:
    with a_memory(tmp) as memory:
        async with serving(tmp, memory) as served:
            yield served


async def names(served: Served, query: str) -> list[str]:
    answer = await served.get(f"/calls{query}")
    assert answer.status_code == 200, answer.text
    return [item["id"] for item in answer.json()["items"]]


async def test_calls_lists_the_latest_call_first(tmp_path: Path) -> None:
    async with serving_sample_memory(tmp_path) as served:
        assert await names(served, "") == ["call4", "call3", "call2", "call1", "call0"]
        [item] = (await served.get("/calls?limit=1")).json()["items"]
        assert item["why"] == "Anna, about the boiler"
        assert (item["state"], item["result"], item["began"]) == ("over", "voicemail", "2026-11-22T09:04:00Z")


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("?caller=%2B14155550199", ["call4"]),
        ("?caller=4155550199", ["call4"]),
        ("?dialed=14155551234&caller=14155550199", ["call4"]),
        ("?since=2026-11-22T09:03:00Z", ["call4", "call3"]),
        ("?until=2026-11-22T10:01:00%2B01:00", ["call0"]),
        ("?result=bridged", []),
        ("?decision=voicemail&limit=2", ["call4", "call3"]),
        ("?dialed=%2B14155551234&caller=%2B14155550199", ["call4"]),
        ("?dialed=nobody", []),
    ],
)
async def test_calls_are_filtered_by_caller_dialed_time_result_and_decision(
    tmp_path: Path, query: str, expected: list[str]
) -> None:
    async with serving_sample_memory(tmp_path) as served:
        assert await names(served, query) == expected


@pytest.mark.parametrize(
    ("begin", "name", "whole"),
    [
        ("calls?limit=2&decision=VOICEMAIL", "id", ["call4", "call3", "call2", "call1", "call0"]),
        ("voicemails?limit=1", "call", ["call3", "call2", "call1"]),
        ("voicemails?limit=2&heard=false", "call", ["call3", "call2", "call1"]),
    ],
)
async def test_next_links_lead_through_all_pages(
    tmp_path: Path, begin: str, name: str, whole: list[str]
) -> None:
    async with serving_sample_memory(tmp_path) as served:
        found: list[str] = []
        path: str | None = f"/api/v1/{begin}"
        while path is not None:
            answer = await served.client.get(path)
            found += [item[name] for item in answer.json()["items"]]
            following = answer.links.get("next")
            assert (following is None) == (answer.json()["next"] is None)
            path = following and following["url"]
        assert found == whole


@pytest.mark.parametrize(
    "cursor",
    ["x", "W10=", "WyJhIl0=", "WyJhIiwiYiJd", "MQ==", "Ö", "WyIwMDAxLTAxLTAxVDAwOjAwKzEwOjAwIiwieCJd"],
)
async def test_an_invalid_cursor_is_422(tmp_path: Path, cursor: str) -> None:
    async with serving_sample_memory(tmp_path) as served:
        for path in ("/calls", "/voicemails", "/lists/block"):
            answer = await served.get(path, params={"cursor": cursor})
            assert answer.status_code == 422, (path, answer.text)


async def test_a_call_has_its_story_and_transcript(tmp_path: Path) -> None:
    async with serving_sample_memory(tmp_path) as served:
        call = (await served.get("/calls/call1")).json()
        assert call["story"] == ["caller answered", "voicemail"]
        assert call["transcript"] == [{"speaker": "caller", "text": "It is Anna.", "at_s": 1.5}]
        assert call["voicemail"] is True
        assert (await served.get("/calls/call9")).status_code == 404


QUALITY = {
    "heard": {
        "packets": 263, "lost": 0, "jitter_ms": 0.05, "reordered": 0, "duplicates": 0, "longest_gap_ms": 21.3,
        "mos": 4.39,
    },
    "sent": {
        "packets": 262, "lost": 0, "jitter_ms": None, "reordered": 0, "duplicates": 0, "longest_gap_ms": 0.0,
        "mos": None,
    },
    "round_trip_ms": None, "dropped": 0, "unauthentic": 0, "rtcp_in": 0,
}  # fmt: skip
LEG = {
    "name": "caller", "peer": "sip:+14155550100@carrier.example", "began": "2026-11-22T09:09:00Z",
    "answered": "2026-11-22T09:09:01Z", "ended": "2026-11-22T09:09:30Z", "end": "the peer hung up",
    "peer_reason": "Q.850;cause=16", "silent": None,
}  # fmt: skip


async def test_a_call_has_its_legs_with_call_ids_and_quality(tmp_path: Path) -> None:
    legs = [
        LEG | {"call_ids": ["7b1e"], "quality": QUALITY},
        LEG | {"name": "agent", "quality": None},  # as earlier versions stored it
    ]
    with a_memory(tmp_path) as memory:
        finish(memory, a_record("call9", 9, legs=legs))
        async with serving(tmp_path, memory) as served:
            told = (await served.get("/calls/call9")).json()["legs"]
            assert told == [legs[0], legs[1] | {"call_ids": []}]
            assert (await served.get("/calls/call1")).json()["legs"] == []


async def test_the_sip_trace_of_a_call_is_served_as_json_and_pcapng(tmp_path: Path) -> None:
    bye = b"BYE sip:a@b SIP/2.0\r\nUser-Agent: \xff\r\n\r\n"
    ends = ("203.0.113.10", 5061), ("2001:db8::1", 5061)
    seen = [
        TracedMessage(BEGAN.timestamp() + 0.25 * n, "agent", n == 0, "tls", *ends, octets)
        for n, octets in enumerate((bye, b"\x07"))
    ]
    with a_memory(tmp_path) as memory:
        memory.enqueue(
            lambda connection: sip_trace.store(connection, "call1", [one.as_dict() for one in seen])
        )
        async with serving(tmp_path, memory) as served:
            first, second = (await served.get("/calls/call1/trace")).json()["items"]
            assert first == {
                "at": "2026-11-22T09:00:00Z", "leg": "agent", "sent": True, "transport": "tls",
                "local": "203.0.113.10:5061", "remote": "[2001:db8::1]:5061",
                "message": "BYE sip:a@b SIP/2.0\r\nUser-Agent: \ufffd\r\n\r\n",
            }  # fmt: skip
            assert (second["at"], second["sent"], second["message"]) == (
                "2026-11-22T09:00:00.250000Z",
                False,
                "\x07",
            )
            file = await served.get("/calls/call1/trace.pcapng")
            assert file.headers["content-type"] == "application/x-pcapng"
            assert file.headers["content-disposition"] == 'attachment; filename="call1.pcapng"'
            assert file.content == pcapng(seen)
            for path in ("call2/trace", "call2/trace.pcapng", "call99/trace"):
                assert (await served.get(f"/calls/{path}")).status_code == 404


async def test_a_text_message_taken_by_the_agent_is_listed_without_audio(tmp_path: Path) -> None:
    with a_memory(tmp_path) as memory:
        finish(memory, a_record("call5", 5, BOB, **TAKEN))
        async with serving(tmp_path, memory) as served:
            first = (await served.get("/voicemails?heard=false")).json()["items"][0]
            assert (first["call"], first["seconds"], first["transcript"]) == (
                "call5",
                None,
                "The cake is ready.",
            )
            assert first["message"] == TAKEN["message"]
            assert (await served.get("/voicemails/call5")).json() == first
            assert (await served.get("/voicemails/call5/audio")).status_code == 404
            assert (await served.client.put("/api/v1/voicemails/call5/heard")).status_code == 204
            call = (await served.get("/calls/call5")).json()
            assert (call["voicemail"], call["message"]) == (True, TAKEN["message"])
            assert call["verification"] == TAKEN["verification"]
            assert call["cost"] == {key: value for key, value in TAKEN["cost"].items() if key != "of_kind"}
            assert (await served.client.delete("/api/v1/voicemails/call5")).status_code == 204
            assert (await served.get("/voicemails/call5")).status_code == 404


async def test_a_call_has_the_transcript_of_its_voicemail(tmp_path: Path) -> None:
    with a_memory(tmp_path) as memory:
        memory.enqueue(lambda c: history.set_transcript(c, "call1", "It is Anna."))
        async with serving(tmp_path, memory) as served:
            call = (await served.get("/calls/call1")).json()
            assert (call["voicemail_transcript"], call["message"], call["cost"]) == (
                "It is Anna.",
                None,
                None,
            )


async def test_costs_are_given_per_number_and_in_total(tmp_path: Path) -> None:
    minutes = int((datetime.now(UTC) - BEGAN) / timedelta(minutes=1))
    with a_memory(tmp_path) as memory:
        finish(memory, a_record("call5", minutes, **TAKEN))
        async with serving(tmp_path, memory) as served:
            items = (await served.get("/costs")).json()["items"]
    assert [item["dialed"] for item in items] == ["+14155551234", None]
    for item in items:
        assert item["currency"] == "USD"
        assert item["month"] == {"calls": 1, "minutes": 0.5, "tokens": 210, "money": 0.0123}


async def test_costs_without_a_database_are_503(tmp_path: Path) -> None:
    async with serving(tmp_path) as served:
        assert (await served.get("/costs")).status_code == 503


async def test_try_takes_the_same_options_as_the_command(tmp_path: Path) -> None:
    async with serving(tmp_path) as served:
        asked = {"number": "+13475550148", "verification": "failed", "callback": True, "calls": 3}
        tried = (await served.post("/try", json=asked)).json()
        assert (tried["action"], tried["rules"][-1]["rule"]) == ("ring", "emergency")
        assert (await served.post("/try", json=asked | {"verification": "Z"})).status_code == 422
        assert get_args(get_args(Trial.model_fields["verification"].annotation)[0]) == (*VERIFICATIONS,)


async def test_a_voicemail_is_served_marked_heard_and_deleted(tmp_path: Path) -> None:
    async with serving_sample_memory(tmp_path) as served:
        listed = (await served.get("/voicemails?heard=false")).json()["items"]
        assert [item["call"] for item in listed] == ["call3", "call2", "call1"]
        sound = await served.get("/voicemails/call1/audio")
        assert (sound.headers["content-type"], sound.content[:4]) == ("audio/wav", b"RIFF")
        assert (await served.client.put("/api/v1/voicemails/call1/heard")).status_code == 204
        at = (await served.get("/voicemails/call1")).json()["heard_at"]
        assert (await served.client.put("/api/v1/voicemails/call1/heard")).status_code == 204
        assert (await served.get("/voicemails/call1")).json()["heard_at"] == at
        assert len((await served.get("/voicemails?heard=true")).json()["items"]) == 1
        assert (await served.client.delete("/api/v1/voicemails/call1/heard")).status_code == 204
        assert (await served.client.delete("/api/v1/voicemails/call1")).status_code == 204
        assert not (tmp_path / "voicemail" / "call1.wav").exists()
        assert (await served.get("/calls/call1")).json()["voicemail"] is False
        for verb, path in (("GET", ""), ("GET", "/audio"), ("PUT", "/heard"), ("DELETE", "")):
            gone = await served.client.request(verb, f"/api/v1/voicemails/call1{path}")
            assert gone.status_code == 404


@pytest.mark.parametrize(
    "name", ["call2", "call3", "../secret", "..%2Fsecret.wav", "%2e%2e/secret.wav", "call0"]
)
async def test_only_files_in_the_voicemail_folder_are_served(tmp_path: Path, name: str) -> None:
    async with serving_sample_memory(tmp_path) as served:
        answer = await served.get(f"/voicemails/{name}/audio")
        assert answer.status_code == 404
        assert b"secret" not in answer.content


async def test_a_symlink_out_of_the_voicemail_folder_is_not_followed(tmp_path: Path) -> None:
    async with serving_sample_memory(tmp_path) as served:
        message = tmp_path / "voicemail" / "call1.wav"
        message.unlink()
        message.symlink_to(tmp_path / "secret.wav")
        assert (await served.get("/voicemails/call1/audio")).status_code == 404


async def test_a_list_entry_is_created_changed_and_deleted(tmp_path: Path) -> None:
    async with serving_sample_memory(tmp_path) as served:
        made = await served.post("/lists/block", json={"number": "(415) 555-0123", "note": "fraud"})
        assert (made.status_code, made.json()["number"]) == (201, "+14155550123")
        where = made.headers["location"]
        assert (await served.client.get(where)).json() == made.json()
        again = await served.post("/lists/block", json={"number": "+14155550123", "name": "Eve"})
        assert (again.status_code, again.json()["id"], again.json()["note"]) == (200, made.json()["id"], None)
        found = (await served.get("/lists/block?number=415-555-0123")).json()["items"]
        assert [item["name"] for item in found] == ["Eve"]
        change = {"number": "+1415555*", "until": "2037-01-01T00:00:00+01:00", "dialed": "+14155551234"}
        changed = await served.client.put(where, json=change)
        assert changed.status_code == 200
        assert (changed.json()["number"], changed.json()["until"]) == ("+1415555*", "2036-12-31T23:00:00Z")
        assert (await served.client.delete(where)).status_code == 204
        for verb in ("GET", "DELETE"):
            assert (await served.client.request(verb, where)).status_code == 404
        assert (await served.client.put(where, json=change)).status_code == 404


@pytest.mark.parametrize(
    "entry",
    [
        {"number": "nobody"},
        {"number": ""},
        {"number": "+14155550100\n"},
        {"number": "+14155550100", "dialed": "+1999"},
        {"number": "+14155550100", "until": "2027-01-01T00:00:00"},
        {"number": "+14155550100", "list": "vip"},
        {"number": "\ud800"},
        [],
        None,
    ],
)
async def test_an_invalid_list_entry_is_422(tmp_path: Path, entry: Any) -> None:
    async with serving_sample_memory(tmp_path) as served:
        answer = await served.post("/lists/allow", content=json.dumps(entry), headers=JSON)
        good = entry == {"number": "+14155550100\n"}  # surrounding white space is ignored
        assert answer.status_code == (201 if good else 422)


async def test_only_entries_of_the_expected_list_may_limit_calls(tmp_path: Path) -> None:
    async with serving_sample_memory(tmp_path) as served:
        entry = {"number": "*", "until": "2036-01-01T00:00:00Z", "calls": 2}
        made = await served.post("/lists/expected", json=entry)
        assert made.status_code == 201
        assert {name: made.json()[name] for name in entry} == entry
        place = made.json()["id"]
        again = await served.client.put(f"/api/v1/lists/expected/{place}", json={"number": "4155550100"})
        assert (again.json()["number"], again.json()["calls"], again.json()["until"]) == (ANNA, None, None)
        wrong = await served.post("/lists/block", json={"number": ANNA, "calls": 2})
        assert (wrong.status_code, "only expected ones" in wrong.text) == (422, True)
        assert (await served.post("/lists/expected", json={"number": "*", "calls": 0})).status_code == 422


async def test_an_entry_that_has_already_expired_is_422(tmp_path: Path) -> None:
    async with serving_sample_memory(tmp_path) as served:
        made = await served.post("/lists/block", json={"number": ANNA, "note": "fraud"})
        past = {"number": ANNA, "until": "2026-01-01T00:00:00Z"}
        where = made.headers["location"]
        for answer in (
            await served.post("/lists/block", json=past),
            await served.client.put(where, json=past),
        ):
            assert (answer.status_code, answer.headers["content-type"]) == (422, "application/problem+json")
            assert answer.json()["errors"] == [{"at": "request", "why": "until: it is over"}]
        assert (await served.client.get(where)).json() == made.json()


async def test_a_list_is_paged_and_an_unknown_list_is_422(tmp_path: Path) -> None:
    async with serving_sample_memory(tmp_path) as served:
        for n in range(3):
            await served.post("/lists/vip", json={"number": f"+1415555010{n}"})
        first = (await served.get("/lists/vip?limit=2")).json()
        assert [item["number"] for item in first["items"]] == ["+14155550102", "+14155550101"]
        second = (await served.get(f"/lists/vip?limit=2&cursor={first['next']}")).json()
        assert ([item["number"] for item in second["items"]], second["next"]) == (["+14155550100"], None)
        assert (await served.get("/lists/friends")).status_code == 422
        assert (await served.get("/lists/fri%0Aends")).status_code == 422


async def test_importing_a_contact_file_adds_its_entries_and_lists_bad_rows(tmp_path: Path) -> None:
    async with serving_sample_memory(tmp_path) as served:
        rows = ["Name,Phone"] + [f"Person {n},+1415555{n:04d}" for n in range(99)] + ["Nobody,12"]
        answer = await served.post("/lists/contacts/import", content="\n".join(rows).encode("utf-16"))
        came = answer.json()
        assert (answer.status_code, came["rows"], came["bad"]) == (200, 99, 1)
        assert came["remarks"] == ["line 101: not a possible telephone number (US)"]
        again = await served.post("/lists/contacts/import", content="\n".join(rows).encode())
        assert (again.json()["new"], again.json()["renamed"]) == (0, 0)
        listed = (await served.get("/lists/contacts?limit=200")).json()["items"]
        assert len(listed) == 100


@pytest.mark.parametrize("body", [b"", b"\0\0\0", b"\xff\xfe\x00", b"RIFF" + bytes(range(256)) * 9])
async def test_importing_a_file_without_contacts_is_422(tmp_path: Path, body: bytes) -> None:
    async with serving_sample_memory(tmp_path) as served:
        answer = await served.post("/lists/contacts/import", content=body)
        assert (answer.status_code, answer.headers["content-type"]) == (422, "application/problem+json")


def broken(path: Path, caller: str, same_caller: object) -> int:
    raise PermissionError(13, "Permission denied", path.name)


async def test_a_caller_is_exported_and_erased(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "calls.jsonl").write_text(f'{{"caller": "{ANNA}"}}\n')
    async with serving_sample_memory(tmp_path) as served:
        told = (await served.get(f"/callers/{ANNA}/export")).json()
        assert [call["id"] for call in told["calls"]] == ["call0", "call1", "call2", "call3"]
        gone = await served.client.delete("/api/v1/callers/14155550100")
        assert gone.json() == {"calls": 4, "files": 2, "records": 1, "spoken": 0, "going_on": 0}
        assert (tmp_path / "calls.jsonl").read_bytes() == b""
        assert await names(served, "") == ["call4"]
        assert (await served.get(f"/callers/{ANNA}/export")).json()["calls"] == []
        assert (await served.client.delete(f"/api/v1/callers/{BOB}")).json()["calls"] == 1
        monkeypatch.setattr("proxy.services.erasure.remove_caller", broken)
        answer = await served.client.delete(f"/api/v1/callers/{BOB}")
        assert (answer.status_code, answer.headers["content-type"]) == (503, "application/problem+json")


async def test_a_read_token_cannot_change_stored_data(tmp_path: Path) -> None:
    async with serving_sample_memory(tmp_path) as served, a_client(served.port, READS) as reader:
        for verb, path in (
            ("POST", "/lists/block"), ("POST", "/lists/contacts/import"), ("DELETE", "/lists/block/1"),
            ("DELETE", "/voicemails/call1"), ("PUT", "/voicemails/call1/heard"),
            ("DELETE", f"/callers/{ANNA}"),
        ):  # fmt: skip
            body = {"number": "+14155550100"} if path == "/lists/block" else None
            assert (await reader.request(verb, f"/api/v1{path}", json=body)).status_code == 403, path
        assert (await reader.get("/api/v1/voicemails/call1/audio")).status_code == 200


async def test_an_unavailable_database_is_503(tmp_path: Path) -> None:
    with a_memory(tmp_path) as memory:
        async with serving(tmp_path, memory) as served:
            memory.close()
            answer = await served.get("/calls")
            assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
            assert settings(tmp_path).api.tokens


async def test_a_large_import_does_not_block_queries_and_changes_the_revision_once(tmp_path: Path) -> None:
    rows = "".join(f"Somebody,+1415{2_000_000 + n}\n" for n in range(10_000))
    held = select(func.count()).where(entries.c.list == lists.CONTACT)
    with a_memory(tmp_path) as memory:
        async with serving(tmp_path, memory) as served:
            before = await memory.ask(lists.revision)
            posted = [
                asyncio.ensure_future(served.post("/lists/contacts/import", content=f"name,phone\n{rows}"))
                for _ in range(2)
            ]
            seen: set[int] = set()
            while not all(each.done() for each in posted):
                seen.add(await memory.ask(lambda connection: connection.scalar(held) or 0))
            assert sorted(each.result().json()["new"] for each in posted) == [0, 10_000]
            assert seen - {0, 10_000}, "others were answered in the midst of it"
            assert await memory.ask(lists.revision) == before + 2
