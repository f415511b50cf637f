from __future__ import annotations

import asyncio

from screening.condition import Change


async def test_a_fact_that_holds_is_not_waited_for() -> None:
    await Change().until(lambda: True)


async def test_everybody_who_waits_looks_again() -> None:
    change, facts = Change(), set[str]()
    waiting = [asyncio.create_task(change.until(lambda name=name: name in facts)) for name in ("a", "b")]  # type: ignore[misc]
    await asyncio.sleep(1)
    facts.add("a")
    change.happened()
    await asyncio.sleep(1)
    assert [task.done() for task in waiting] == [True, False]
    facts.add("b")
    change.happened()
    await asyncio.gather(*waiting)
