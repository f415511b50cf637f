from __future__ import annotations

import asyncio

from screening.condition import Condition


async def test_a_condition_that_already_holds_returns_at_once() -> None:
    await Condition().wait_for(lambda: True)


async def test_notify_all_makes_every_waiter_check_again() -> None:
    condition, facts = Condition(), set[str]()
    waiting = [
        asyncio.create_task(condition.wait_for(lambda name=name: name in facts)) for name in ("a", "b")
    ]  # type: ignore[misc]
    await asyncio.sleep(1)
    facts.add("a")
    condition.notify_all()
    await asyncio.sleep(1)
    assert [task.done() for task in waiting] == [True, False]
    facts.add("b")
    condition.notify_all()
    await asyncio.gather(*waiting)
