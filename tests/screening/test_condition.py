from __future__ import annotations

import asyncio

from screening.condition import Condition


async def test_a_fact_that_holds_is_not_waited_for() -> None:
    await Condition().wait_for(lambda: True)


async def test_everybody_who_waits_looks_again() -> None:
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
