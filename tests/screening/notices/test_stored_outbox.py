"""The outbox in a real database: SQLite and PostgreSQL."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import structlog
from sqlalchemy import select

from screening.memory.processes import ProcessRegistration
from screening.memory.schema import calls, notices, voicemails
from screening.memory.store import Memory
from screening.notices import interrupted_calls
from screening.notices.channel import Delivered, Later, Outcome
from screening.notices.delivery import Delivery, OutboxUnavailable
from screening.notices.dispatcher import Dispatcher
from screening.notices.retry_schedule import MAX_RETRY_DELAY_S
from screening.notices.stored_outbox import CLAIM_S, StoredOutbox
from screening.notices.target import Target
from tests.screening.memory.conftest import MakeMemory
from tests.screening.memory.records import AT
from tests.screening.notices.records import record

pytestmark = pytest.mark.network

NOW = 1_800_000_000.0
WAIT_S = 20.0


def delivery(name: str, due: float = NOW, target: str = "t") -> Delivery:
    return Delivery(name, "call.missed", target, {"type": "call.missed", "data": {"call": "c1"}}, NOW, due)


async def ids(outbox: StoredOutbox, now: float = NOW, limit: int = 100, target: str = "t") -> list[str]:
    return [each.id for each in (await outbox.take_due(target, now, limit)).deliveries]


async def rows(memory: Memory) -> dict[str, Any]:
    found = await memory.ask(lambda connection: connection.execute(select(notices)).all())
    return {row.id: row for row in found}


async def test_a_stored_delivery_is_taken_unchanged(memory: Memory) -> None:
    outbox = StoredOutbox(memory)
    put = delivery("a", NOW + 0.5)
    outbox.put([put])
    found = await outbox.take_due("t", NOW, 10)
    assert (found.deliveries, found.next_due) == ([], NOW + 0.5)
    assert (await outbox.take_due("t", NOW + 0.5, 10)).deliveries == [put]
    row = (await rows(memory))["a"]
    assert (row.state, row.call, row.created.timestamp()) == ("waiting", "c1", NOW)


async def test_deliveries_are_taken_in_order_of_due_time_up_to_the_limit(memory: Memory) -> None:
    outbox = StoredOutbox(memory)
    outbox.put([delivery(f"{n}", NOW - n) for n in (3, 1, 2)] + [delivery("other", NOW - 9, "u")])
    assert await ids(outbox, limit=2) == ["3", "2"]
    assert await ids(outbox, target="u") == ["other"]


async def test_the_outcome_of_each_delivery_is_stored(memory: Memory) -> None:
    outbox = StoredOutbox(memory)
    a, b, c = (replace(delivery(name), tries=3) for name in "abc")
    outbox.put([a, b, c])
    outbox.done(a)
    outbox.retry(b, NOW + 60, "answered 503")
    outbox.given_up(c, "answered 410")
    assert await ids(outbox) == []
    [again] = (await outbox.take_due("t", NOW + 60, 10)).deliveries
    assert (again.id, again.tries) == ("b", 3)
    found = {name: (row.state, row.why, row.tries) for name, row in (await rows(memory)).items()}
    assert found == {
        "a": ("done", None, 3),
        "b": ("waiting", "answered 503", 3),
        "c": ("given up", "answered 410", 3),
    }


async def test_a_known_delivery_is_not_stored_again(memory: Memory) -> None:
    outbox = StoredOutbox(memory)
    outbox.put([delivery("a")])
    outbox.done(replace(delivery("a"), tries=1))
    outbox.put([delivery("a"), delivery("b")])
    assert await ids(outbox) == ["b"]


async def test_a_delivery_due_later_than_the_maximum_delay_is_due_now(memory: Memory) -> None:
    outbox = StoredOutbox(memory)
    outbox.put([delivery("a", NOW + MAX_RETRY_DELAY_S + 60)])
    assert await ids(outbox) == ["a"]


async def test_deliveries_for_unknown_targets_are_given_up(memory: Memory) -> None:
    outbox = StoredOutbox(memory)
    outbox.put([delivery("a"), delivery("b", target="gone")])
    await ids(outbox)
    assert await outbox.abandon(["t"]) == 1
    assert (await rows(memory))["b"].why == "no such target in the settings"
    assert await ids(outbox, NOW + CLAIM_S) == ["a"]


async def test_deliveries_of_another_live_process_are_not_given_up(url: str, memory_of: MakeMemory) -> None:
    """It may have other targets, or be a draining process with the settings of before."""
    first = memory_of(url, start=False)
    first.every(10.0, ProcessRegistration("p1", lambda: AT, place="here").heartbeat)
    first.start()
    outbox = StoredOutbox(first)
    outbox.put([delivery("a")])
    second = memory_of(url, process="p2", start=False)
    presence = ProcessRegistration("p2", lambda: AT, place="there")
    second.every(10.0, presence.heartbeat)
    second.start()
    await ids(outbox, target="nobody")
    assert await StoredOutbox(second).abandon(["u"]) == 0
    await second.ask(presence.leave)
    assert await outbox.abandon(["u"]) == 1


async def test_a_claimed_delivery_is_not_taken_by_another_process_before_the_claim_expires(
    url: str, memory_of: MakeMemory
) -> None:
    """Unless it takes so long that the process must have died."""
    ours, theirs = StoredOutbox(memory_of(url)), StoredOutbox(memory_of(url, process="p2"))
    ours.put([delivery("a"), delivery("b")])
    assert await ids(ours, limit=1) == ["a"]
    assert await ids(theirs) == ["b"]
    found = await theirs.take_due("t", NOW + 1, 10)
    assert (found.deliveries, found.next_due) == ([], NOW + CLAIM_S)
    ours.retry(replace(delivery("a"), tries=1), NOW + 5, "busy")
    await ids(ours)
    assert await ids(theirs, NOW + 5) == ["a"]
    assert await ids(ours, NOW + CLAIM_S) == ["b"]


async def test_two_processes_deliver_each_notice_once(url: str, memory_of: MakeMemory) -> None:
    got: list[str] = []

    class Slow(Recorded):
        concurrency = 4

        async def deliver(self, delivery: Delivery) -> Outcome:
            got.append(delivery.payload["data"]["call"])
            await asyncio.sleep(0.1)
            return self.answer

    one, other = (memory_of(url, process=name) for name in ("p1", "p2"))
    async with (
        dispatcher_of(one, Slow(told := Delivered("answered 204"))) as first,
        dispatcher_of(other, Slow(told)) as second,
    ):
        for n in range(20):
            (first, second)[n % 2].finished(record("unanswered", call=f"c{n}", decision=None, legs=[]))
            await asyncio.sleep(0.05)

        async def all_done() -> bool:
            return [row.state for row in (await rows(one)).values()].count("done") == 20

        await until(all_done)
    assert sorted(got) == sorted({f"c{n}" for n in range(20)})


async def test_a_closed_memory_makes_the_outbox_unavailable(memory: Memory) -> None:
    memory.close()
    with pytest.raises(OutboxUnavailable):
        await StoredOutbox(memory).take_due("t", NOW, 1)
    with pytest.raises(OutboxUnavailable):
        await StoredOutbox(memory).abandon([])


async def test_a_delivery_that_cannot_be_stored_does_not_affect_others(memory: Memory) -> None:
    outbox = StoredOutbox(memory)
    with structlog.testing.capture_logs():
        outbox.put([replace(delivery("bad"), event=None)])  # type: ignore[arg-type]
        outbox.put([delivery("good")])
        assert await ids(outbox) == ["good"]


class Recorded:
    """A scripted receiver."""

    concurrency = 1

    def __init__(self, answer: Outcome) -> None:
        self.answer = answer
        self.got: list[Delivery] = []
        self.came = asyncio.Event()

    async def deliver(self, delivery: Delivery) -> Outcome:
        self.got.append(delivery)
        self.came.set()
        return self.answer

    async def close(self) -> None: ...


def dispatcher_of(memory: Memory, *channels: Recorded) -> Dispatcher:
    targets = [Target(f"t{n}", channel) for n, channel in enumerate(channels)]
    return Dispatcher(targets, StoredOutbox(memory), time.time, lambda low, high: low)


async def until(fact: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(WAIT_S):
        while not await fact():
            await asyncio.sleep(0.02)


async def test_undelivered_notices_are_delivered_after_a_restart(url: str, memory_of: MakeMemory) -> None:
    first = memory_of(url)
    down, up = Recorded(Later("not reached")), Recorded(Delivered("answered 204"))
    async with dispatcher_of(first, down) as dispatcher:
        for n in range(3):
            dispatcher.finished(record("unanswered", call=f"c{n}", decision=None, legs=[]))
        await asyncio.wait_for(down.came.wait(), WAIT_S)
    first.close()
    second = memory_of(url, process="p2")
    await second.ask(lambda connection: connection.execute(notices.update().values(due=AT)))
    async with dispatcher_of(second, up):

        async def three_done() -> bool:
            return [row.state for row in (await rows(second)).values()] == ["done"] * 3

        await until(three_done)
    assert sorted(each.payload["data"]["call"] for each in up.got) == ["c0", "c1", "c2"]
    assert {each.id for each in down.got} <= {each.id for each in up.got}


async def test_hundreds_of_notices_are_each_delivered_once(url: str, memory_of: MakeMemory) -> None:
    memory, up = memory_of(url), Recorded(Delivered("answered 204"))
    async with dispatcher_of(memory, up) as dispatcher:
        for n in range(300):
            dispatcher.finished(record("unanswered", call=f"c{n}", decision=None, legs=[]))

        async def all_done() -> bool:
            return [row.state for row in (await rows(memory)).values()].count("done") == 300

        await until(all_done)
    assert len(up.got) == 300


async def test_a_call_cut_by_the_end_of_its_process_is_notified_at_the_next_start(
    url: str, memory_of: MakeMemory
) -> None:
    first = memory_of(url)
    first.began("c1", AT, "+14155550148", None, "+14155551234")
    first.close()
    second, up = memory_of(url, process="p2", start=False), Recorded(Delivered("answered 204"))
    cut = calls.update().values(state="cut", result="cut", reason="the process ended", ended=AT)
    second.every(3600.0, lambda connection: connection.execute(cut))
    targets = [Target("t0", up)]
    dispatcher = Dispatcher(targets, StoredOutbox(second), AT.timestamp, lambda low, high: low)
    second.every(3600.0, interrupted_calls.notifier(targets, AT.timestamp, dispatcher.wake))
    async with dispatcher:
        second.start()
        await asyncio.wait_for(up.came.wait(), WAIT_S)
    [told] = up.got
    assert told.event == "call.missed"
    assert told.payload["data"]["result"] == "cut"
    assert told.payload["data"]["began"] == AT.isoformat()
    assert len(await second.ask(lambda connection: connection.execute(select(notices)).all())) == 1


async def test_each_cut_call_is_notified_once(url: str, memory_of: MakeMemory) -> None:
    memory, told = memory_of(url), list[str]()
    targets = [Target("t0", Recorded(Delivered("")))]
    cut = calls.update().values(state="cut", result="cut", reason="the process ended", ended=AT)
    for name in ("c1", "c2"):
        memory.began(name, AT, "+14155550148", None, "+14155551234")
        await memory.ask(lambda connection: connection.execute(cut))
        for _ in range(2):
            await memory.ask(
                interrupted_calls.notifier(targets, AT.timestamp, lambda name=name: told.append(name))
            )
    assert sorted(row.call for row in (await rows(memory)).values()) == told == ["c1", "c2"]


async def test_a_cut_call_with_a_voicemail_is_notified_as_voicemail(url: str, memory_of: MakeMemory) -> None:
    memory = memory_of(url)
    memory.began("c1", AT, "+14155550148", None, "+14155551234")
    cut = calls.update().values(state="cut", result="cut", reason="the process ended", ended=AT)
    await memory.ask(lambda connection: connection.execute(cut))
    left = {"call": "c1", "file": "/var/voicemail/c1.wav", "seconds": 12.5, "left_at": AT}
    await memory.ask(lambda connection: connection.execute(voicemails.insert(), left))
    tell = interrupted_calls.notifier([Target("t0", Recorded(Delivered("")))], AT.timestamp, lambda: None)
    await memory.ask(tell)
    [(event, payload)] = await memory.ask(
        lambda connection: connection.execute(select(notices.c.event, notices.c.payload)).all()
    )
    assert event == "voicemail.new"
    assert (payload["data"]["voicemail"], payload["data"]["voicemail_s"]) == ("c1.wav", 12.5)


async def test_notices_during_a_database_outage_are_delivered_afterwards(
    tmp_path: Path, memory_of: MakeMemory
) -> None:
    """The file is replaced by a folder, so that nothing can be opened, and later the folder is removed."""
    memory, up = memory_of(f"sqlite:///{tmp_path}/m.db"), Recorded(Delivered("answered 204"))
    outbox = StoredOutbox(memory)
    await ids(outbox)
    for end in ("", "-wal", "-shm"):
        (tmp_path / f"m.db{end}").unlink(missing_ok=True)
    (tmp_path / "m.db").mkdir()
    with structlog.testing.capture_logs():
        async with Dispatcher([Target("t0", up)], outbox, time.time, lambda low, high: low) as dispatcher:
            dispatcher.finished(record("unanswered", decision=None, legs=[]))
            await asyncio.sleep(0.2)
            assert up.got == []
            (tmp_path / "m.db").rmdir()
            await asyncio.wait_for(up.came.wait(), WAIT_S)


async def test_a_delivery_not_yet_attempted_may_be_replaced(memory: Memory) -> None:
    outbox = StoredOutbox(memory)
    outbox.put([delivery("a", NOW + 60)])
    better = replace(delivery("a"), payload={"data": {"said": "more"}})
    outbox.put([better])
    assert (await outbox.take_due("t", NOW, 10)).deliveries == [better]
    outbox.retry(replace(better, tries=1), NOW + 60, "busy")
    outbox.put([delivery("a")])
    assert await ids(outbox) == []
    [again] = (await outbox.take_due("t", NOW + 60, 10)).deliveries
    assert again.payload == better.payload
