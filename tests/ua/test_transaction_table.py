"""The transaction table: tombstones expire on time, and a newer entry with the same key outlives them."""

from __future__ import annotations

import asyncio

from proxy.sip.transaction_key import TransactionKey
from proxy.ua.timer_queue import TimerQueue
from proxy.ua.tombstones import ABSORBER, Absorber
from proxy.ua.transaction_table import GRANULARITY_S, TransactionTable
from tests.ua.user_agent import pending_timers


def key(number: int) -> TransactionKey:
    return TransactionKey(f"z9hG4bK{number}", "BYE")


async def test_a_tombstone_is_removed_when_it_expires() -> None:
    forgotten: list[TransactionKey] = []
    table: TransactionTable[str] = TransactionTable(TimerQueue(), forgotten.append)
    table.enter(key(1), "one")
    assert (table.live(), table.get(key(1))) == (["one"], "one")
    table.linger(key(1), ABSORBER, asyncio.get_running_loop().time() + 32, 32)
    assert (table.live(), table.get(key(1)), len(table)) == ([], ABSORBER, 1)
    await asyncio.sleep(31.9)
    assert forgotten == []
    await asyncio.sleep(0.2)
    assert (forgotten, len(table), table.get(key(1))) == ([key(1)], 0, None)
    assert pending_timers() == []


async def test_tombstones_with_the_same_lifetime_share_one_timer() -> None:
    table: TransactionTable[str] = TransactionTable(TimerQueue())
    for number in range(100):
        table.linger(key(number), Absorber(), asyncio.get_running_loop().time() + 5, 5)
        await asyncio.sleep(0.001)
    assert len(pending_timers()) == 1
    await asyncio.sleep(5 + 2 * GRANULARITY_S)
    assert (len(table), pending_timers()) == (0, [])


async def test_a_new_entry_outlives_the_tombstone_with_the_same_key() -> None:
    table: TransactionTable[str] = TransactionTable(TimerQueue())
    tombstone = Absorber()
    table.linger(key(1), tombstone, asyncio.get_running_loop().time() + 5, 5)
    table.enter(key(1), "another")
    await asyncio.sleep(6)
    table.forget(key(1), "somebody else")
    assert table.live() == ["another"]
    table.forget(key(1), "another")
    assert (table.live(), len(table)) == ([], 0)


async def test_clearing_the_table_removes_entries_and_timers() -> None:
    table: TransactionTable[str] = TransactionTable(TimerQueue())
    table.enter(key(1), "one")
    table.linger(key(2), ABSORBER, asyncio.get_running_loop().time() + 5, 5)
    table.clear()
    assert (len(table), table.live(), pending_timers()) == (0, [], [])
