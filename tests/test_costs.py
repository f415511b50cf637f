"""Call costs over real sockets: metering of lab calls, and no screening once the budget is spent."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import httpx2
import pytest

from proxy.app import App
from proxy.call.outcome import Result
from proxy.call.record import CallRecord
from proxy.config import parse
from proxy.lab.scenes import PLAIN
from proxy.lab.stage import HERE, Provider, Stage
from screening.contract import Tokens

pytestmark = pytest.mark.network

TOLD = """
memory = { url = "sqlite:///FOLDER/screendoor.db" }
public = { host = "127.0.0.1", address = "127.0.0.1" }
listen = [ { transport = "udp", bind = "127.0.0.1:0" } ]
http = { bind = "127.0.0.1:0" }
trunk = [ { name = "lab", from = ["127.0.0.1"], outbound = "sip:127.0.0.1:9", probe_s = 0 } ]
agent = [ { name = "local", provider = "sip", sip = "sip:agent@127.0.0.1:9", srtp = "off" } ]
number = [ { dialed = "*", destinations = ["sip:phone@127.0.0.1:9"] } ]
notify = [ { name = "me", webhook = "http://127.0.0.1:9/", secret = "env:SECRET" } ]
"""


async def test_a_call_is_metered_and_once_the_budget_is_spent_the_phone_rings_unscreened(
    capfd: pytest.CaptureFixture[str],
) -> None:
    scene = PLAIN["reject"]
    scenery = replace(scene.scenery, of_number='confirm = "off"\ncosts = { number_tokens = 500 }')
    records: list[CallRecord] = []
    async with Stage(scenery) as stage:
        stage.records.append(records.append)
        await scene.play(stage)
        cost = records[0].cost
        assert cost is not None
        assert (cost.agent, cost.model, cost.tokens.total > 500) == ("openai", "gpt-realtime-2.1", True)
        assert cost.minutes > 0
        assert cost.money is not None
        assert cost.money > 0
        await stage.carrier.invites()
        await stage.phone.answers()
        await stage.carrier.receives(200)
        await asyncio.sleep(0.5)
        await stage.carrier.hangs_up()
        async with asyncio.timeout(5), httpx2.AsyncClient(trust_env=False) as http:
            metrics = (await http.get(f"http://{HERE}:{stage.app.http_port}/metrics")).text
            while len(records) < 2:
                await asyncio.sleep(0.01)
    outcome, why = records[1].outcome, "the budget of this number for today is spent"
    assert outcome is not None
    assert (outcome.result, records[1].trigger, records[1].cost) == (Result.BRIDGED, "failure", None)
    assert (records[1].plan or "").startswith(f"unscreened: {why}: {cost.tokens.total} of 500 tokens")
    assert (
        f'screendoor_agent_tokens_total{{agent="openai",kind="audio_out"}} {cost.tokens.audio_out}' in metrics
    )
    assert 'screendoor_agent_money_total{agent="openai",currency="USD"}' in metrics
    said = capfd.readouterr()
    assert "budget spent" in said.out + said.err


@pytest.mark.parametrize("provider", ["live", "live-client"])
async def test_a_live_session_costs_its_minutes_and_the_tokens_of_its_delegate_model(
    provider: Provider,
) -> None:
    scene = PLAIN["reject"]
    async with Stage(replace(scene.scenery, provider=provider)) as stage:
        await scene.play(stage)
        cost = (await stage.record).cost
    assert cost is not None
    assert (cost.model, cost.money is not None) == ("gpt-live-1", True)
    thoughts = cost.tokens.text_out // 60
    assert thoughts >= 1
    assert cost.tokens == Tokens(text_in=500 * thoughts, text_cached=400 * thoughts, text_out=60 * thoughts)
    assert cost.minutes > 0
    assert cost.money is not None
    voice_min = float(cost.money - Decimal("0.00018") * thoughts) / 0.05
    assert -0.001 < voice_min - cost.minutes < 5 / 60  # the vendor's clock starts before ours


async def test_budget_warnings_go_to_the_notification_dispatcher(tmp_path: Path) -> None:
    text = TOLD.replace("FOLDER", str(tmp_path))
    secret = {"SECRET": "whsec_c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0"}
    async with App(parse(text, secret, file="test.toml", folder=tmp_path)) as app:
        assert app.services.dispatcher is not None
        assert app.services.screener.accounts.ledger.on_warning == app.services.dispatcher.budget
