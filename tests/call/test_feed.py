from __future__ import annotations

import asyncio
from datetime import UTC, datetime

import pytest

from proxy.call.feed import AFTERWARDS_S, MAX_KEPT, MAX_WAITING, CutOff, Feed, Listener

NOW = datetime(2026, 11, 22, 9, 0, tzinfo=UTC)


def a_feed() -> Feed:
    return Feed(lambda: NOW)


async def heard(listener: Listener, number: int) -> list[tuple[str, str]]:
    events = [await listener.next() for _ in range(number)]
    return [(event.call, event.name) for event in events]


async def test_a_listener_receives_the_events_of_all_calls_in_order() -> None:
    feed = a_feed()
    with feed.listening() as listener:
        feed.publish("c1", "began", caller="+14155550100")
        feed.publish("c2", "began")
        event = await listener.next()
        assert (event.call, event.name, event.at, event.details) == (
            "c1",
            "began",
            NOW,
            {"caller": "+14155550100"},
        )
        assert await heard(listener, 1) == [("c2", "began")]


async def test_a_listener_to_one_call_receives_no_events_of_other_calls() -> None:
    feed = a_feed()
    with feed.listening("c2") as listener:
        feed.publish("c1", "began")
        feed.publish("c2", "began")
        assert await heard(listener, 1) == [("c2", "began")]


async def test_a_waiting_listener_is_woken_by_the_next_event() -> None:
    feed = a_feed()
    with feed.listening() as listener:
        waiting = asyncio.create_task(listener.next())
        await asyncio.sleep(10)
        feed.publish("c1", "step")
        assert (await waiting).name == "step"


async def test_no_event_is_kept_without_a_listener() -> None:
    feed = a_feed()
    feed.publish("c1", "began")
    assert feed.latest == 0


async def test_a_listener_that_reconnects_in_time_gets_the_missed_events() -> None:
    feed = a_feed()
    with feed.listening() as listener:
        feed.publish("c1", "began")
        number = (await listener.next()).number
    await asyncio.sleep(AFTERWARDS_S - 1)
    feed.publish("c1", "step")
    feed.publish("c2", "began")
    with feed.listening():
        missed = feed.since(number, None)
        assert missed is not None
        assert [(event.call, event.name) for event in missed] == [("c1", "step"), ("c2", "began")]
        assert [event.name for event in feed.since(number, "c2") or ()] == ["began"]


async def test_since_returns_none_if_the_missed_events_are_no_longer_kept() -> None:
    feed = a_feed()
    with feed.listening() as listener:
        feed.publish("c1", "began")
        number = (await listener.next()).number
    await asyncio.sleep(AFTERWARDS_S)
    feed.publish("c1", "step")
    with feed.listening():
        assert feed.since(number, None) is None
        assert feed.since(feed.latest, None) == []


async def test_at_most_max_kept_events_are_kept() -> None:
    feed = a_feed()
    with feed.listening():
        first = feed.latest
        for _ in range(MAX_KEPT + 1):
            feed.publish("c1", "step")
        assert feed.since(first, None) is None
        assert len(feed.since(first + 1, None) or ()) == MAX_KEPT
        assert feed.since(feed.latest + 1, None) is None  # an event number of an earlier process


async def test_a_listener_that_reads_too_slowly_is_cut_off_and_others_go_on() -> None:
    feed = a_feed()
    with feed.listening() as slow, feed.listening() as quick:
        for _ in range(MAX_WAITING + 1):
            feed.publish("c1", "step")
            await quick.next()
        with pytest.raises(CutOff, match="too slowly"):
            await slow.next()
        feed.publish("c1", "over")
        assert (await quick.next()).name == "over"


async def test_closing_the_feed_cuts_off_current_and_later_listeners() -> None:
    feed = a_feed()
    with feed.listening() as listener:
        waiting = asyncio.create_task(listener.next())
        await asyncio.sleep(1)
        feed.close()
        with pytest.raises(CutOff, match="stopping"):
            await waiting
    with feed.listening() as late, pytest.raises(CutOff, match="stopping"):
        await late.next()
    assert feed.listener_count == 0
