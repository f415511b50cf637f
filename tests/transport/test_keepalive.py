"""Outbound connections: pinged, dropped when they stop answering, closed when not needed."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from proxy.transport.flow import Address
from proxy.transport.keepalive import KeepAlive, KeepAliveRules
from proxy.transport.stream import StreamFlow, StreamLimits
from tests.kit.virtual_loop import stoppable
from tests.transport.recorder import Recorder, options
from tests.transport.wire import CountingTracker, Wire

pytestmark = pytest.mark.virtual


class KeptConnection:
    """An outbound connection with its keep-alive; `draw`: the random draw, in thousandths."""

    def __init__(self, rules: KeepAliveRules | None = None, *, draw: int = 1000, needed: bool = True) -> None:
        self.needed, self.draw = needed, draw
        self.drawn: list[Address] = []
        self.recorder, self.count = Recorder(), CountingTracker()
        self.flow = StreamFlow(self.recorder, StreamLimits(), inbound=False, engine=None, tracker=self.count)
        self.wire = Wire(self.flow)
        self.began = asyncio.get_running_loop().time()
        KeepAlive(self.flow, rules or KeepAliveRules(), lambda: self.needed, self._draw)

    def _draw(self, low: int, high: int) -> Any:
        self.drawn.append((str(low), high))
        return self.draw

    @property
    def pings(self) -> int:
        return bytes(self.wire.written).count(b"\r\n\r\n")

    @property
    def at(self) -> float:
        return asyncio.get_running_loop().time() - self.began

    async def over(self) -> float:
        await self.flow.socket_closed
        return self.at


async def test_idle_connection_is_pinged_after_80_to_100_percent_of_the_interval_rfc5626_4_4():
    kept = KeptConnection(draw=800)
    kept.flow.data_received(options())  # used in the first 32 s
    await asyncio.sleep(32 + 95)
    assert kept.pings == 0
    await asyncio.sleep(2)
    assert kept.pings == 1
    assert bytes(kept.wire.written) == b"\r\n\r\n"
    assert set(kept.drawn) == {("800", 1000)}
    await asyncio.sleep(96)
    assert kept.pings == 2


async def test_connection_in_use_is_not_pinged():
    kept = KeptConnection()
    for _ in range(20):
        kept.flow.data_received(options())
        await asyncio.sleep(60)
    assert kept.pings == 0


async def test_peer_that_never_answered_a_ping_stays_connected():
    kept = KeptConnection()
    await asyncio.sleep(3600)
    assert kept.pings == 30
    assert not kept.flow.closed


async def test_missing_pong_of_a_peer_that_answered_before_ends_the_flow_rfc5626_4_4_1():
    kept = KeptConnection()
    await asyncio.sleep(33)
    assert kept.pings == 1
    for pings in range(2, 6):
        kept.flow.data_received(b"\r\n")
        await asyncio.sleep(120)
        assert kept.pings == pings
    await asyncio.sleep(8)
    assert not kept.flow.closed
    flow, error = await kept.recorder.losses.get()
    assert flow is kept.flow
    assert str(error) == "no answer to a keep-alive within 10 s"
    assert kept.at == pytest.approx(32 + 4 * 120 + 10)


async def test_pong_received_while_the_process_was_stopped_counts():
    kept = KeptConnection()
    await asyncio.sleep(33)
    for _ in range(4):
        kept.flow.data_received(b"\r\n")
        await asyncio.sleep(120)
    stoppable().stop_for(20)
    await asyncio.sleep(0.01)
    kept.flow.data_received(b"\r\n")  # read only after the overdue timers have fired
    await asyncio.sleep(120)
    assert not kept.flow.closed
    assert kept.pings == 6


async def test_message_instead_of_a_pong_keeps_the_connection():
    kept = KeptConnection()
    await asyncio.sleep(33)
    kept.flow.data_received(b"\r\n")
    await asyncio.sleep(120)
    assert kept.pings == 2
    kept.flow.data_received(options())
    await asyncio.sleep(60)
    assert not kept.flow.closed


async def test_unneeded_connection_that_received_nothing_closes_after_32_seconds():
    """Such as one that a hostile Contact made us open."""
    kept = KeptConnection(needed=False)
    kept.flow.send(options())
    assert await kept.over() == 32
    assert kept.recorder.losses.empty()


async def test_unneeded_connection_closes_when_idle():
    kept = KeptConnection(KeepAliveRules(idle_s=300), needed=False)
    kept.flow.data_received(options())
    at = await kept.over()
    assert 300 <= at <= 300 + 2 * 120
    assert kept.recorder.losses.empty()


async def test_connection_needed_by_a_dialog_stays_open_while_silent():
    kept = KeptConnection(KeepAliveRules(keep_alive_s=0))
    await asyncio.sleep(7200)
    assert not kept.flow.closed
    assert kept.pings == 0
    kept.needed = False
    assert await kept.over() <= 7200 + 300


async def test_short_idle_time_applies_despite_a_long_ping_interval():
    kept = KeptConnection(KeepAliveRules(keep_alive_s=3600, idle_s=40), needed=False)
    kept.flow.data_received(options())
    assert await kept.over() <= 32 + 2 * 40


async def test_closed_connection_is_no_longer_pinged():
    kept = KeptConnection()
    kept.flow.close()
    await kept.flow.socket_closed
    written = bytes(kept.wire.written)
    await asyncio.sleep(1000)
    assert bytes(kept.wire.written) == written
