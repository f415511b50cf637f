"""The composition root on real sockets: everything starts, one call goes through, everything stops."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from pathlib import Path

import httpx2
import pytest

from proxy.app import App, run
from proxy.call.outcome import Result
from proxy.config import Settings, parse
from proxy.lab.scenes import PLAIN, Scene, talks
from proxy.lab.stage import Scenery, Stage
from proxy.transport.flow import TransportFailed

pytestmark = pytest.mark.network

SETTINGS = """
records = "FOLDER/records/calls.jsonl"
public = { host = "127.0.0.1", address = "127.0.0.1" }
listen = [ { transport = "udp", bind = "127.0.0.1:PORT" } ]
media = { bind = "127.0.0.1", ports = "21000-21099" }
http = { bind = "127.0.0.1:0" }
log = { level = "error" }
trunk = [ { name = "lab", from = ["127.0.0.1"], outbound = "sip:127.0.0.1:9" } ]
agent = [ { name = "local", provider = "sip", sip = "sip:agent@127.0.0.1:9", srtp = "off" } ]
number = [ { dialed = "*", destinations = ["sip:phone@127.0.0.1:9", "tel:+14155559876"] } ]
"""


def settings(folder: Path, port: int = 0) -> Settings:
    return parse(
        SETTINGS.replace("PORT", str(port)).replace("FOLDER", str(folder)),
        {},
        file="test.toml",
        folder=folder,
    )


async def get(app: App, path: str) -> httpx2.Response:
    async with httpx2.AsyncClient(trust_env=False) as client:
        return await client.get(f"http://127.0.0.1:{app.http_port}{path}")


@pytest.mark.parametrize("transport", ["udp", "tcp", "tls"])
async def test_a_call_over_each_transport_goes_through(transport: str) -> None:
    scene = Scene("plain", "a wanted caller", scenery=Scenery(carrier_transport=transport), caller=talks)
    async with Stage(scene.scenery) as stage:
        await scene.play(stage)
        record = await stage.record
        assert record.outcome is not None
        assert record.outcome.result is Result.BRIDGED
        assert [leg.name for leg in record.legs] == ["caller", "agent", "phone"]
        metrics = (await get(stage.app, "/metrics")).text
        assert 'screendoor_calls_total{outcome="bridged"} 1.0' in metrics
        assert 'screendoor_sessions_total{result="matched"} 1.0' in metrics
        assert [peer.faults for peer in stage.peers] == [[], [], []]


async def test_a_finished_call_is_one_line_in_the_record_file(tmp_path: Path) -> None:
    async with Stage(PLAIN["reject"].scenery) as stage:
        await PLAIN["reject"].play(stage)
        record = await stage.record
    async with App(settings(tmp_path)) as app:
        app._finished(record)
    [line] = (tmp_path / "records" / "calls.jsonl").read_text(encoding="utf-8").splitlines()
    told = json.loads(line)
    assert told["outcome"]["result"] == "declined"
    assert told["decision"] == "REJECT"
    assert told["transcript"]


async def test_health_says_that_the_house_is_closing(tmp_path: Path) -> None:
    async with App(settings(tmp_path)) as app:
        assert (await get(app, "/healthz")).json()["status"] == "ok"
        await app.drain(0.0)
        closing = await get(app, "/healthz")
        assert (closing.status_code, closing.json()["status"]) == (503, "draining")


async def test_a_sip_agent_needs_no_webhook_door(tmp_path: Path) -> None:
    async with App(settings(tmp_path)) as app:
        assert (await get(app, "/openai/webhook")).status_code == 404


async def test_a_taken_port_is_one_clear_error_and_nothing_stays_open(tmp_path: Path) -> None:
    async with App(settings(tmp_path)) as app:
        before = asyncio.all_tasks()
        with pytest.raises(TransportFailed, match="Address already in use"):
            async with App(settings(tmp_path, app.advertised.ports["udp"])):
                pass
        assert asyncio.all_tasks() == before


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_stops_the_house(tmp_path: Path, number: int) -> None:
    running = asyncio.ensure_future(run(settings(tmp_path)))
    await asyncio.sleep(0)
    while asyncio.get_running_loop()._signal_handlers == {}:  # type: ignore[attr-defined]
        await asyncio.sleep(0)
    os.kill(os.getpid(), number)
    assert await asyncio.wait_for(running, 10) == 0
