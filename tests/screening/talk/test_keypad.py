from __future__ import annotations

import asyncio

from screening.talk.keypad import MAX_KEYS, Keypad


async def test_keys_in_a_row_are_told_together() -> None:
    told: list[tuple[float, str]] = []
    loop = asyncio.get_running_loop()
    began = loop.time()
    keypad = Keypad(lambda keys: told.append((round(loop.time() - began, 3), keys)))
    for key in "55":
        keypad.pressed(key)
        await asyncio.sleep(1)
    await asyncio.sleep(5)
    keypad.pressed("#")
    await asyncio.sleep(5)
    assert told == [(2.5, "55"), (8.5, "#")]


async def test_a_key_that_sticks_is_told_in_a_few_signs() -> None:
    told: list[str] = []
    keypad = Keypad(told.append)
    for _ in range(10_000):
        keypad.pressed("1")
    await asyncio.sleep(5)
    assert told == ["1" * MAX_KEYS]


async def test_nothing_is_told_after_the_end() -> None:
    told: list[str] = []
    keypad = Keypad(told.append)
    keypad.pressed("1")
    keypad.close()
    keypad.close()
    await asyncio.sleep(5)
    assert told == []
