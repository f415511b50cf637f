"""Server-sent events, read over HTTP by a real client during a call."""

from __future__ import annotations

import asyncio
import socket
from pathlib import Path

import pytest

from proxy.call.feed import MAX_WAITING
from proxy.services.api_backend import MAX_LISTENERS
from tests.web.api.served import READS, WRITES, Served, a_client, server_sent_events, serving

pytestmark = pytest.mark.network


async def listener_count_is(served: Served, number: int) -> None:
    """Wait until the feed has that many listeners."""
    async with asyncio.timeout(10):
        while served.edge.feed.listener_count != number:
            await asyncio.sleep(0.01)


async def test_the_stream_sends_the_events_of_a_call_as_they_happen(tmp_path: Path) -> None:
    async with (
        serving(tmp_path) as served,
        a_client(served.port, READS) as reader,
        reader.stream("GET", "/api/v1/events") as answer,
    ):
        assert answer.headers["content-type"] == "text/event-stream; charset=utf-8"
        assert answer.headers["cache-control"] == "no-store"
        events = server_sent_events(answer)
        await served.edge.connects()
        first = await anext(events)
        assert first.name == "began"
        assert first.data["dialed"] == "+14155551234"
        served.edge.screening.says("caller", "It is Änna.")
        while (event := await anext(events)).name != "line":
            pass
        assert (event.data["speaker"], event.data["text"]) == ("caller", "It is Änna.")
        await served.post(f"/calls/{first.data['call']}/reject")
        names = []
        while (event := await anext(events)).name != "over":
            names.append(event.name)
        assert {"decision", "settled", "leg", "step"} <= set(names)
        assert event.data["result"] == "declined"


async def test_the_call_parameter_limits_the_stream_to_one_call(tmp_path: Path) -> None:
    async with serving(tmp_path) as served:
        async with served.client.stream("GET", "/api/v1/events?call=c2") as answer:
            served.edge.feed.publish("c1", "step", step="x", why="y")
            served.edge.feed.publish("c2", "step", step="x", why="y")
            assert (await anext(server_sent_events(answer))).data["call"] == "c2"
        await listener_count_is(served, 0)


async def test_a_client_that_reconnects_with_last_event_id_gets_the_missed_events(tmp_path: Path) -> None:
    async with serving(tmp_path) as served:
        async with served.client.stream("GET", "/api/v1/events") as answer:
            served.edge.feed.publish("c1", "step", step="one", why="")
            last = (await anext(server_sent_events(answer))).id
            assert last is not None
        await listener_count_is(served, 0)
        served.edge.feed.publish("c1", "step", step="two", why="")
        back = {"Last-Event-ID": last}
        async with served.client.stream("GET", "/api/v1/events", headers=back) as answer:
            events = server_sent_events(answer)
            assert (await anext(events)).data["step"] == "two"
            served.edge.feed.publish("c1", "step", step="three", why="")
            assert (await anext(events)).data["step"] == "three"


@pytest.mark.parametrize("last", ["another-1", "1", "-", "x-99999999999999999999", "²-²", "ERA-99"])
async def test_an_unknown_last_event_id_gets_a_missed_event(tmp_path: Path, last: str) -> None:
    async with serving(tmp_path) as served:
        back = {"Last-Event-ID": last.encode("utf-8")}
        async with served.client.stream("GET", "/api/v1/events", headers=back) as answer:
            assert (await anext(server_sent_events(answer))).name == "missed"


async def test_an_idle_stream_sends_heartbeat_comments(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("proxy.web.api.events.HEARTBEAT_S", 0.05)
    async with serving(tmp_path) as served, served.client.stream("GET", "/api/v1/events") as answer:
        lines = answer.aiter_lines()
        assert await anext(lines) == "retry: 3000"
        beats = 0
        while beats < 3:
            beats += await anext(lines) == ": still here"
        served.edge.feed.publish("c1", "step", step="one", why="")
        while (line := await anext(lines)) in ("", ": still here"):
            pass
        assert line.startswith("id: ")


async def test_a_slow_reader_is_disconnected_without_delaying_others(tmp_path: Path) -> None:
    async with serving(tmp_path) as served:
        slow = socket.create_connection(("127.0.0.1", served.port))
        head = f"GET /api/v1/events HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {WRITES}\r\n\r\n"
        slow.sendall(head.encode())
        await listener_count_is(served, 1)
        async with served.client.stream("GET", "/api/v1/events") as answer:
            events = server_sent_events(answer)
            for n in range(12 * MAX_WAITING):  # lines so long that together they overflow every buffer
                served.edge.feed.publish("c1", "line", speaker="caller", text="word " * 600, at_s=n)
                assert (await anext(events)).data["at_s"] == n
        received = b""
        slow.settimeout(0)
        async with asyncio.timeout(20):
            while b"event: end" not in received:
                try:
                    received = received[-1000:] + slow.recv(1 << 20)
                except BlockingIOError:
                    await asyncio.sleep(0.001)
        assert b"you read too slowly" in received
        await listener_count_is(served, 0)
        slow.close()


async def test_a_client_that_reads_nothing_is_disconnected(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("proxy.web.server.UNREAD_LIMIT_S", 0.5)
    async with serving(tmp_path) as served:
        dead = socket.create_connection(("127.0.0.1", served.port))
        head = f"GET /api/v1/events HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {WRITES}\r\n\r\n"
        dead.sendall(head.encode())
        await listener_count_is(served, 1)
        for n in range(12 * MAX_WAITING):
            served.edge.feed.publish("c1", "line", speaker="caller", text="word " * 600, at_s=n)
            if n % 16 == 0:
                await asyncio.sleep(0)
        await listener_count_is(served, 0)
        dead.close()


async def test_a_hundred_clients_receive_the_same_events(tmp_path: Path) -> None:
    async with serving(tmp_path) as served:

        async def reads() -> list[str]:
            names = []
            async with a_client(served.port) as client, client.stream("GET", "/api/v1/events") as answer:
                async for event in server_sent_events(answer):
                    names.append(event.name)
                    if event.name == "over":
                        break
            return names

        readers = [asyncio.create_task(reads()) for _ in range(100)]
        await listener_count_is(served, 100)
        await served.edge.connects()
        await served.edge.carrier.hangs_up()
        heard = await asyncio.gather(*readers)
        assert heard[0][0] == "began"
        assert all(each == heard[0] for each in heard)
        await listener_count_is(served, 0)


async def test_clients_over_the_listener_limit_get_503(tmp_path: Path) -> None:
    async with serving(tmp_path) as served:
        from contextlib import ExitStack

        with ExitStack() as crowd:
            for _ in range(MAX_LISTENERS):
                crowd.enter_context(served.edge.feed.listening())
            answer = await served.get("/events")
            assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")


async def test_open_streams_get_an_end_event_on_shutdown(tmp_path: Path) -> None:
    async with serving(tmp_path) as served, served.client.stream("GET", "/api/v1/events") as answer:
        served.edge.feed.close()
        [end] = [event async for event in server_sent_events(answer)]
        assert (end.name, end.data) == ("end", {"why": "the service is stopping"})
