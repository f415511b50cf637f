"""Persistent connections: reconnected when they break, with growing pauses after failures."""

from __future__ import annotations

import asyncio

import pytest
from structlog.testing import capture_logs

from proxy.sip.uri import Uri
from proxy.transport.flow import ListenOn
from proxy.transport.persistent import PersistentConnection
from tests.kit.network import Wire
from tests.transport.recorder import Recorder

pytestmark = pytest.mark.virtual

TRUNK = "198.51.100.7"


class Setup:
    """Our network, a trunk, and a persistent connection between them."""

    def __init__(self, uri: str = "sip:trunk.example;transport=tls") -> None:
        self.wire = Wire()
        self.us = self.wire.host("203.0.113.10")
        self.trunk = self.wire.host(TRUNK, ["trunk.example"])
        for host in (self.us, self.trunk):
            host.start(Recorder())
        self.connection = PersistentConnection(self.us, Uri.parse(uri), "trunk one", lambda low, high: high)
        self.attempts: list[float] = []
        self.task: asyncio.Task[None] | None = None
        connect = self.us.connect

        async def noted(target):
            self.attempts.append(round(asyncio.get_running_loop().time() - self.began))
            assert target.profile == "trunk one"
            return await connect(target)

        self.us.connect = noted  # type: ignore[method-assign]

    async def __aenter__(self) -> Setup:
        self.began = asyncio.get_running_loop().time()
        self.task = asyncio.ensure_future(self.connection.keep())
        return self

    async def __aexit__(self, *exc: object) -> None:
        assert self.task is not None
        self.task.cancel()
        await asyncio.gather(self.task, return_exceptions=True)


@pytest.fixture
async def listening():
    async def setup() -> Setup:
        made = Setup()
        await made.trunk.listen(ListenOn("tls", (TRUNK, 5061)))
        return made

    return setup


async def test_connection_is_opened_at_once_and_kept(listening):
    async with await listening() as setup:
        await asyncio.sleep(1)
        [flow] = setup.us.streams
        assert setup.connection.needs(flow)
        await asyncio.sleep(7200)
        assert setup.attempts == [0]


async def test_broken_connection_is_reopened(listening):
    async with await listening() as setup:
        await asyncio.sleep(100)
        with capture_logs() as logs:
            setup.wire.cut(setup.us.streams[0])
            await asyncio.sleep(5)
        assert len(setup.us.streams) == 1
        assert len(setup.attempts) == 2
        assert [line["event"] for line in logs] == ["connection lost: connecting again", "connected"]


async def test_unreachable_target_is_retried_with_back_off_and_logged_once():
    async with Setup() as setup:
        with capture_logs() as logs:
            await asyncio.sleep(300)
        assert setup.attempts == [0, 1, 3, 7, 15, 31, 63, 123, 183, 243]
        assert [line["event"] for line in logs] == ["not connected"]
        await setup.trunk.listen(ListenOn("tls", (TRUNK, 5061)))
        await asyncio.sleep(60)
        assert len(setup.us.streams) == 1


async def test_connection_that_keeps_breaking_is_reopened_with_back_off(listening):
    async with await listening() as setup:
        for _ in range(600):
            await asyncio.sleep(1)
            for flow in list(setup.us.streams):
                setup.wire.cut(flow)
        assert len(setup.attempts) <= 16


async def test_unresolvable_name_is_tried_again():
    async with Setup("sip:nowhere.example;transport=tls") as setup:
        await asyncio.sleep(30)
        assert setup.attempts == []
        assert not setup.task.done()


async def test_udp_trunk_has_no_persistent_connection():
    setup = Setup("sip:trunk.example;transport=udp")
    await setup.us.listen(ListenOn("udp", ("203.0.113.10", 5060)))
    async with setup:
        await asyncio.sleep(1)
        assert setup.task.done()
