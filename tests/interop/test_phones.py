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
from tests.interop.peers import AGENTS_TONE, CALLERS_TONE, PHONES_TONE, BaresipListener, Peers
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
def edge(agent_listener: BaresipListener, tmp_path_factory: pytest.TempPathFactory) -> Iterator[EdgeProcess]:
    folder = tmp_path_factory.mktemp("edge")
    with EdgeProcess(folder, agent_listener, host=HOST, more=PHONES, trunk=TRUNK) as edge:
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


async def in_thread(act: Callable[..., Result], *words: object) -> Result:
    """Run a blocking wait for another process in a thread, so that the event loop goes on."""
    return await asyncio.to_thread(act, *words)


async def both_hear(voice: TonePeer, desk: Baresip) -> None:
    """Wait until each has received the other's tone."""

    def heard_enough() -> bool:
        return sum(event["tone"] == CALLERS_TONE for event in desk.events("heard")) >= FRAMES

    await in_thread(until, heard_enough, f"{desk.name} hears the caller")
    async with asyncio.timeout(10):
        while not voice.hears(desk.tone):
            await asyncio.sleep(0.1)


def registered(desk: Baresip) -> Baresip:
    desk.command("register")
    desk.wait_for("did_register")
    return desk


def unregistered(desk: Baresip, edge: EdgeProcess) -> None:
    desk.command("unregister")
    desk.wait_for("did_unregister")


def contacts(edge: EdgeProcess) -> int:
    return int(edge.health["phones"]["alice"])


@pytest.mark.parametrize("transport", ["udp", "tcp"])
async def test_a_phone_registers_is_called_and_unregisters_rfc3261_10_3(peers: Peers, transport: str) -> None:
    desk = await in_thread(
        lambda: registered(peers.registering_phone(password=PASSWORD, transport=transport))
    )
    assert contacts(peers.edge) == 1
    async with a_carrier(peers.edge) as (carrier, voice):
        await carrier.invites(dialed=ALICES)
        await in_thread(desk.wait_for, "call_incoming")
        desk.command("answer")
        await carrier.receives(200)
        await both_hear(voice, desk)
        await carrier.hangs_up()
        await in_thread(desk.wait_for, "call_closed")
        assert carrier.faults == []
    record = await in_thread(peers.record)
    assert (record["outcome"]["result"], record["ended_by"]) == ("bridged", "caller")
    await in_thread(unregistered, desk, peers.edge)
    assert contacts(peers.edge) == 0


async def test_two_registered_phones_ring_and_the_first_to_answer_gets_the_call_rfc3261_16_7(
    peers: Peers,
) -> None:
    one = await in_thread(lambda: registered(peers.registering_phone("one", password=PASSWORD)))
    two = await in_thread(
        lambda: registered(
            peers.registering_phone("two", password=PASSWORD, tone=AGENTS_TONE, transport="tcp")
        )
    )
    assert contacts(peers.edge) == 2
    async with a_carrier(peers.edge) as (carrier, voice):
        await carrier.invites(dialed=ALICES)
        for desk in (one, two):
            await in_thread(desk.wait_for, "call_incoming")
        two.command("answer")
        await in_thread(one.wait_for, "call_closed")
        assert 'SIP;cause=200;text="Call completed elsewhere"' in one.printed
        await carrier.receives(200)
        await both_hear(voice, two)
        two.command("hangup")
        await carrier.receives("BYE")
    assert (await in_thread(peers.record))["outcome"]["result"] == "bridged"
    for desk in (one, two):
        await in_thread(unregistered, desk, peers.edge)


def test_a_phone_with_a_wrong_password_is_not_registered(peers: Peers) -> None:
    desk = peers.registering_phone(password="guess")
    desk.command("register")
    desk.wait_for("failed")
    assert contacts(peers.edge) == 0
    assert "wrong password" in peers.log


def test_a_phone_whose_connection_closes_is_unregistered_rfc5626_5_3(peers: Peers) -> None:
    desk = registered(peers.registering_phone(password=PASSWORD, transport="tcp"))
    assert contacts(peers.edge) == 1
    desk.stop()
    until(lambda: contacts(peers.edge) == 0, "alice is registered no more")
