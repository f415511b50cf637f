"""Hostile or broken requests: each gets a problem document, never an HTML page or a traceback."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import httpx2
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from proxy.web.api.limits import BODY_LIMIT_BYTES, UPLOAD_LIMIT_BYTES
from tests.web.api.sample_memory import a_memory
from tests.web.api.served import WRITES, Served, a_client, serving

pytestmark = pytest.mark.network

JSON = {"Content-Type": "application/json"}


def assert_problem(answer: httpx2.Response, status: int) -> None:
    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json")
    told = answer.json()
    assert (told["status"], told["type"]) == (status, "about:blank")
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["cache-control"] == "no-store"
    assert "access-control-allow-origin" not in answer.headers


async def raw(served: Served, text: bytes) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", served.port)
    writer.write(text)
    async with asyncio.timeout(20):
        answer = await reader.read(4096)
    writer.close()
    return answer


async def test_every_error_is_a_problem_document(tmp_path: Path) -> None:
    async with serving(tmp_path) as served, a_client(served.port, "") as stranger:
        assert_problem(await stranger.get("/api/v1/calls/live"), 401)
        assert_problem(await served.get("/nothing/here"), 404)
        answer = await served.client.delete("/api/v1/calls/live")
        assert_problem(answer, 405)
        assert answer.headers["allow"] == "GET"
        assert_problem(await served.get("/calls?limit=0"), 422)
        assert_problem(await served.get("/docs"), 404)
        described = await stranger.get("/api/v1/openapi.json")
        assert (described.status_code, described.json()["openapi"][:2]) == (200, "3.")


async def test_head_is_answered_as_get_without_the_body_rfc9110_9_3_2(tmp_path: Path) -> None:
    async with serving(tmp_path) as served, a_client(served.port, "") as stranger:
        asked, told = await served.client.head("/api/v1/calls/live"), await served.get("/calls/live")
        assert (asked.status_code, asked.content, asked.headers["content-length"]) == (
            200,
            b"",
            str(len(told.content)),
        )
        assert (await stranger.head("/api/v1/calls/live")).status_code == 401
        assert (await served.client.head("/api/v1/nothing/here")).status_code == 404


async def test_a_database_error_is_a_503_problem_without_details(tmp_path: Path) -> None:
    with a_memory(tmp_path) as memory:
        memory.submit(lambda c: c.exec_driver_sql("drop table voicemails")).result(10)
        async with serving(tmp_path, memory) as served:
            answer = await served.get("/voicemails")
            assert_problem(answer, 503)
            assert "select" not in answer.text.lower()


async def test_a_body_over_the_size_limit_is_413(tmp_path: Path) -> None:
    async with serving(tmp_path) as served:
        told = b"x" * (BODY_LIMIT_BYTES + 1)
        assert_problem(await served.post("/try", content=told, headers=JSON), 413)

        head = f"POST /api/v1/try HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {WRITES}\r\n".encode()
        chunk = b"%x\r\n%s\r\n" % (len(told), told)
        assert b" 413 " in await raw(served, head + b"Transfer-Encoding: chunked\r\n\r\n" + chunk)
        head = b"POST /api/v1/lists/contacts/import HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n"
        assert b" 413 " in await raw(served, head % (UPLOAD_LIMIT_BYTES + 1))


async def test_a_body_that_does_not_arrive_in_time_is_408(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("proxy.web.api.limits.BODY_LIMIT_S", 0.2)
    async with serving(tmp_path) as served:
        head = f"POST /api/v1/try HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {WRITES}\r\n"
        answer = await raw(
            served, head.encode() + b"Content-Type: application/json\r\nContent-Length: 9\r\n\r\n{"
        )
        assert b" 408 " in answer
        assert b"application/problem+json" in answer


@pytest.mark.parametrize(
    "body",
    [
        b"[" * 60_000,
        b'{"number":' * 5_000,
        b"\xff\xfe",
        b'{"number": 1e999}',
        b'{"number": "\\ud800"}',
        b'{"number": "1", "number": ["2"]}',
        b'{"__proto__": 1, "number": "1"}',
        b'{"number": "+' + b"1" * 60_000 + b'"}',
        b"NaN",
        b"",
    ],
    ids=range(10),
)
async def test_a_hostile_body_is_a_422_problem(tmp_path: Path, body: bytes) -> None:
    async with serving(tmp_path) as served:
        assert_problem(await served.post("/try", content=body, headers=JSON), 422)


async def test_any_search_query_is_answered_200_or_422(tmp_path: Path) -> None:
    names = ("since", "until", "caller", "dialed", "result", "decision", "cursor", "limit", "x")
    queries = st.dictionaries(st.sampled_from(names), st.text(max_size=40), max_size=4)

    with a_memory(tmp_path) as memory:
        async with serving(tmp_path, memory) as served:

            async def asks(query: dict[str, str]) -> None:
                answer = await served.client.get("/api/v1/calls", params=query)
                assert answer.status_code in (200, 422), answer.text
                json.loads(answer.text)

            await _each(queries, asks)


async def test_times_at_the_ends_of_the_calendar_are_422(tmp_path: Path) -> None:
    ends = ("0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-12:00")
    with a_memory(tmp_path) as memory:
        async with serving(tmp_path, memory) as served:
            for end in ends:
                entry = {"number": "+14155550111", "until": end}
                assert_problem(await served.post("/lists/vip", json=entry), 422)
                assert_problem(await served.client.get("/api/v1/calls", params={"since": end}), 422)
                assert_problem(await served.client.get("/api/v1/calls", params={"until": end}), 422)


async def _each(queries, asks) -> None:  # type: ignore[no-untyped-def]
    loop = asyncio.get_running_loop()

    @settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
    @given(queries)
    def ask(query: dict[str, str]) -> None:
        try:
            for text in query.values():
                text.encode("utf-8")
        except UnicodeEncodeError:
            return
        asyncio.run_coroutine_threadsafe(asks(query), loop).result(10)

    await asyncio.to_thread(ask)
