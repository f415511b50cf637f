"""The outbox in memory."""

from __future__ import annotations

import random
from dataclasses import replace

from screening.notices.delivery import Delivery
from screening.notices.memory_outbox import MemoryOutbox
from screening.notices.retry_schedule import MAX_RETRY_DELAY_S

NOW = 1_800_000_000.0


def delivery(name: str, due: float = NOW, target: str = "t") -> Delivery:
    return Delivery(name, "call.missed", target, {"data": {}}, NOW, due)


async def ids(outbox: MemoryOutbox, now: float = NOW, limit: int = 100, target: str = "t") -> list[str]:
    return [each.id for each in (await outbox.take_due(target, now, limit)).deliveries]


async def test_deliveries_are_taken_in_order_of_due_time() -> None:
    outbox = MemoryOutbox()
    dues = random.Random(7).sample(range(100), 100)
    outbox.put([delivery(str(due), NOW - due) for due in dues])
    assert await ids(outbox, limit=3) == ["99", "98", "97"]
    assert await ids(outbox) == [str(due) for due in range(96, -1, -1)]


async def test_take_due_returns_the_next_due_time() -> None:
    outbox = MemoryOutbox()
    outbox.put([delivery("a", NOW + 30)])
    found = await outbox.take_due("t", NOW, 10)
    assert (found.deliveries, found.next_due) == ([], NOW + 30)
    assert await ids(outbox, NOW + 30) == ["a"]


async def test_each_target_has_its_own_queue() -> None:
    outbox = MemoryOutbox()
    outbox.put([delivery("a"), delivery("b", target="u")])
    assert await ids(outbox, target="u") == ["b"]
    assert await ids(outbox, target="v") == []


async def test_the_outbox_is_limited_and_frees_room_when_one_is_done() -> None:
    outbox = MemoryOutbox(limit=2)
    first, second, third = delivery("a"), delivery("b"), delivery("c")
    assert outbox.put([first, second, third]) == [third]
    await outbox.take_due("t", NOW, 1)
    outbox.retry(first, NOW + 60, "busy")
    assert outbox.put([third]) == [third]
    outbox.done(second)
    assert outbox.put([third]) == []
    assert outbox.unsaved() == 2
    outbox.given_up(third, "gone")
    assert outbox.unsaved() == 1


async def test_a_delivery_due_later_than_the_maximum_delay_is_due_now() -> None:
    """The clock was years ahead when it was postponed, and has been corrected."""
    outbox = MemoryOutbox()
    outbox.put([delivery("a", NOW + MAX_RETRY_DELAY_S + 1)])
    assert await ids(outbox) == ["a"]


async def test_a_delivery_not_yet_attempted_may_be_replaced() -> None:
    outbox = MemoryOutbox()
    outbox.put([delivery("a", NOW + 60)])
    better = replace(delivery("a"), payload={"data": {"said": "more"}})
    outbox.put([better])
    assert (await outbox.take_due("t", NOW, 10)).deliveries == [better]
    outbox.put([delivery("a")])  # it is being attempted now
    outbox.retry(replace(better, tries=1), NOW + 60, "busy")
    outbox.put([delivery("a")])  # and has been attempted
    assert await ids(outbox) == []
    [again] = (await outbox.take_due("t", NOW + 60, 10)).deliveries
    assert again.payload == better.payload
