"""baresip as a registered phone: it registers with digest from an unknown address, and calls reach it there.

The trunk is simulated: it needs another loopback address, which baresip cannot use.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from typing import TypeVar

import pytest

from proxy.lab.audio import TonePeer
from proxy.lab.carrier import Carrier
from proxy.media.udp import SocketMedia
from proxy.transport.network import SocketNetwork
from tests.interop.baresip_agent import Baresip
from tests.interop.peers import AGENTS_TONE, CALLERS_TONE, PHONES_TONE, AgentDoor, Peers
from tests.sipp.edge_process import HOST, PASSWORD, EdgeProcess
from tests.sipp.process import until

pytestmark = pytest.mark.network

TRUNK = "127.0.0.2"
ALICES = "+14155551235"
FRAMES = 25
PHONES = f"""
[[phone]]
name = "alice"
password = "env:SIPP_TRUNK_PASSWORD"

[[number]]
dialed = "{ALICES}"
screen = "off"
destinations = ["sip:alice@registered"]
ring_limit_s = 10
"""
Result = TypeVar("Result")


@pytest.fixture(scope="module")
def edge(door: AgentDoor, tmp_path_factory: pytest.TempPathFactory) -> Iterator[EdgeProcess]:
    folder = tmp_path_factory.mktemp("edge")
    with EdgeProcess(folder, door, host=HOST, more=PHONES, trunk=TRUNK) as edge:
        yield edge


@asynccontextmanager
async def a_carrier(edge: EdgeProcess) -> AsyncIterator[tuple[Carrier, TonePeer]]:
    """The simulated trunk, and the audio of the caller behind it."""
    voice = TonePeer(SocketMedia(), TRUNK, CALLERS_TONE, known_hz=(CALLERS_TONE, AGENTS_TONE, PHONES_TONE))
    carrier = Carrier(SocketNetwork(), edge=f"{HOST}:{edge.port}", bind=(TRUNK, 0), audio=voice)
    await carrier.start()
    try:
        yield carrier, voice
    finally:
        await carrier.close()
        voice.close()


async def does(act: Callable[..., Result], *words: object) -> Result:
    """Run a blocking wait for another process in a thread, so that the event loop goes on."""
    return await asyncio.to_thread(act, *words)


async def talk(voice: TonePeer, desk: Baresip) -> None:
    """Wait until each has received the other's tone."""

    def heard() -> bool:
        return sum(event["tone"] == CALLERS_TONE for event in desk.events("heard")) >= FRAMES

    await does(until, heard, f"{desk.name} hears the caller")
    async with asyncio.timeout(10):
        while not voice.hears(desk.tone):
            await asyncio.sleep(0.1)


def registered(desk: Baresip) -> Baresip:
    desk.does("register")
    desk.awaits("did_register")
    return desk


def unregistered(desk: Baresip, edge: EdgeProcess) -> None:
    desk.does("unregister")
    desk.awaits("did_unregister")


def contacts(edge: EdgeProcess) -> int:
    return int(edge.health["phones"]["alice"])


@pytest.mark.parametrize("transport", ["udp", "tcp"])
async def test_it_registers_is_rung_and_talks_rfc3261_10_3(peers: Peers, transport: str) -> None:
    desk = await does(lambda: registered(peers.desk(password=PASSWORD, transport=transport)))
    assert contacts(peers.edge) == 1
    async with a_carrier(peers.edge) as (carrier, voice):
        await carrier.invites(dialed=ALICES)
        await does(desk.awaits, "call_incoming")
        desk.does("answer")
        await carrier.receives(200)
        await talk(voice, desk)
        await carrier.hangs_up()
        await does(desk.awaits, "call_closed")
        assert carrier.faults == []
    record = await does(peers.record)
    assert (record["outcome"]["result"], record["ended_by"]) == ("bridged", "caller")
    await does(unregistered, desk, peers.edge)
    assert contacts(peers.edge) == 0


async def test_two_desks_ring_and_the_first_to_answer_talks_rfc3261_16_7(peers: Peers) -> None:
    one = await does(lambda: registered(peers.desk("one", password=PASSWORD)))
    two = await does(
        lambda: registered(peers.desk("two", password=PASSWORD, tone=AGENTS_TONE, transport="tcp"))
    )
    assert contacts(peers.edge) == 2
    async with a_carrier(peers.edge) as (carrier, voice):
        await carrier.invites(dialed=ALICES)
        for desk in (one, two):
            await does(desk.awaits, "call_incoming")
        two.does("answer")
        await does(one.awaits, "call_closed")
        assert 'SIP;cause=200;text="Call completed elsewhere"' in one.said
        await carrier.receives(200)
        await talk(voice, two)
        two.does("hangup")
        await carrier.receives("BYE")
    assert (await does(peers.record))["outcome"]["result"] == "bridged"
    for desk in (one, two):
        await does(unregistered, desk, peers.edge)


def test_a_wrong_password_registers_nothing(peers: Peers) -> None:
    desk = peers.desk(password="guess")
    desk.does("register")
    desk.awaits("failed")
    assert contacts(peers.edge) == 0
    assert "wrong password" in peers.log


def test_a_desk_whose_connection_ends_is_gone_rfc5626_5_3(peers: Peers) -> None:
    desk = registered(peers.desk(password=PASSWORD, transport="tcp"))
    assert contacts(peers.edge) == 1
    desk.stop()
    until(lambda: contacts(peers.edge) == 0, "alice is registered no more")
