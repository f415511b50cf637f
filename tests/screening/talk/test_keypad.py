from __future__ import annotations

import asyncio

from screening.talk.keypad import MAX_KEYS, Keypad


async def test_keys_pressed_in_a_row_are_reported_together() -> None:
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


async def test_the_number_of_reported_keys_is_limited() -> None:
    told: list[str] = []
    keypad = Keypad(told.append)
    for _ in range(10_000):
        keypad.pressed("1")
    await asyncio.sleep(5)
    assert told == ["1" * MAX_KEYS]


async def test_no_keys_are_reported_after_close() -> None:
    told: list[str] = []
    keypad = Keypad(told.append)
    keypad.pressed("1")
    keypad.close()
    keypad.close()
    await asyncio.sleep(5)
    assert told == []
