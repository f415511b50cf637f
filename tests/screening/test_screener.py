"""Plans, and matching webhooks with waiting calls, in virtual time with a scripted vendor."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import itertools
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from structlog.testing import capture_logs

from screening.callers.expected import Expectation, ExpectationList
from screening.callers.number_list import NumberList
from screening.callers.timetable import Timetable, parse_window
from screening.contract import (
    Ask,
    Caller,
    Challenge,
    Connect,
    News,
    Refusal,
    Refuse,
    Ring,
    TakeMessage,
    Undecided,
    Wish,
)
from screening.decision import Action, Level
from screening.policy import Policy
from screening.provider import ProviderError, ToolCalled
from screening.screener import Screener
from screening.settings import AgentSettings, NumberSettings, ScreeningSettings, TalkSettings
from screening.sip_agent import SipScreening
from screening.talk.tools import NamedDestination
from screening.token import LIFETIME_S
from screening.webhook import WebhookResponse
from tests.screening.scripted import ScriptedVendor

SECRET = "a signing secret"
REALTIME, LIVE, OLD_LIVE = "realtime.call.incoming", "live.transport.incoming", "live.call.incoming"
START = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
AGENTS = [
    AgentSettings("openai", webhook_secret=SECRET, refer_patience_s=3.0),
    AgentSettings("live", provider="openai-live", webhook_secret=SECRET, model="gpt-live-1"),
    AgentSettings("azure", provider="azure-realtime", webhook_secret="another secret"),
    AgentSettings("bot", provider="sip", limits=ScreeningSettings(ready_limit_s=3.0)),
]
SALES, CONNECTS = NamedDestination("sales"), frozenset({"request_connect"})
NUMBERS = [
    NumberSettings("+14155551234", "openai", "tel:+14155550123"),
    NumberSettings("+14155554321", "bot", talk_limit_s=30),
    NumberSettings("*", "openai", "sip:desk@example.com"),
    NumberSettings(
        "+14155550007",
        "openai",
        "tel:+14155550123",
        talk=TalkSettings(
            "Ada", ("en", "fr"), optional_tools=frozenset({"request_connect"}), places=(SALES,)
        ),
        targets={"sales": "tel:+14155550198"},
    ),
]


class ScreenerStage:
    """A screener, its vendor, and the webhooks sent by the test."""

    def __init__(self) -> None:
        self.vendor = ScriptedVendor()
        counter = itertools.count(1)
        self._loop = asyncio.get_running_loop()
        self._began = self._loop.time()
        self._webhooks = itertools.count(1)
        self.screener = Screener(
            AGENTS,
            NUMBERS,
            wall_clock=self.now,
            token_bytes=lambda size: next(counter).to_bytes(size, "big"),
            provider_of=lambda agent: self.vendor,
        )

    def now(self) -> datetime:
        return START + timedelta(seconds=self._loop.time() - self._began)

    def caller(self, dialed: str = "+14155551234", agent: str = "openai") -> Caller:
        return Caller("c1", "+14155550100", "Anna", dialed, agent, self.now())

    async def asks(self, dialed: str = "+14155551234", agent: str = "openai") -> Ask:
        plan = await self.screener.plan(self.caller(dialed, agent))
        assert isinstance(plan, Ask)
        return plan

    async def webhook(
        self, *tokens: str, call_id: str = "rtc_1", secret: str = SECRET, kind: str = REALTIME
    ) -> WebhookResponse:
        """Deliver a webhook; returns when the work it triggers has begun."""
        webhook_id, at = f"wh_{next(self._webhooks)}", str(int(self.now().timestamp()))
        pairs = [{"name": "x-screendoor-token", "value": token} for token in tokens]
        named = {"call_id": call_id} if kind == REALTIME else {"session_id": call_id, "type": "sip"}
        data = {**named, "sip_headers": [{"name": "From", "value": "<sip:a@b>"}, *pairs]}
        event = {"type": kind, "created_at": int(at), "data": data}
        body = json.dumps(event).encode()
        mac = hmac.digest(secret.encode(), f"{webhook_id}.{at}.".encode() + body, hashlib.sha256)
        signature = f"v1,{base64.b64encode(mac).decode()}"
        headers = {"Webhook-Id": webhook_id, "Webhook-Timestamp": at, "Webhook-Signature": signature}
        reception = self.screener.webhooks.receive(headers, body)
        await asyncio.sleep(0.001)
        return reception


@asynccontextmanager
async def screener_stage() -> AsyncIterator[ScreenerStage]:
    """Run a screener; afterwards no task may be left."""
    screener_stage = ScreenerStage()
    async with screener_stage.screener:
        yield screener_stage
    assert screener_stage.vendor.closed
    assert asyncio.all_tasks() == {asyncio.current_task()}


def token(ask: Ask) -> str:
    return ask.headers["X-Screendoor-Token"]


async def test_the_plan_to_ask_an_agent_has_a_fresh_token_header() -> None:
    async with screener_stage() as h:
        ask = await h.asks()
        assert list(ask.headers) == ["X-Screendoor-Token"]
        assert ask.patience_s == 8.0
        assert token(ask) != token(await h.asks())
        assert h.vendor.verbs == []


async def test_a_backup_agent_has_its_own_screening_and_a_late_webhook_of_the_first_is_rejected() -> None:
    async with screener_stage() as h:
        ask = await h.asks()
        ask.screening.over("another agent is called")
        backup = h.screener.ask(h.caller(agent="azure"))
        assert isinstance(backup, Ask)
        backup.screening.tell(News.AGENT_CALLED)
        await h.webhook(token(ask), call_id="rtc_late")
        assert [verb for _, verb in h.vendor.verbs] == ["reject rtc_late"]
        await h.webhook(token(backup), call_id="rtc_new", secret="another secret")
        assert h.vendor.verbs[1][1] == "accept rtc_new"
        backup.screening.over("the test is over")


async def test_asking_a_backup_agent_does_not_count_as_a_second_call() -> None:
    async with screener_stage() as h:
        await h.asks()
        h.screener.ask(h.caller(agent="bot"))
        assert h.screener.recent.record(replace(h.caller(), call="c2")) == [h.now()]


@pytest.mark.parametrize(
    ("agent", "reason"), [("", "no agent screens this number"), ("nobody", "no agent named nobody")]
)
async def test_without_an_agent_the_phone_rings(agent: str, reason: str) -> None:
    async with screener_stage() as h:
        assert await h.screener.plan(h.caller(agent=agent)) == Ring(reason)


async def test_the_plan_to_ask_a_sip_agent_has_no_token() -> None:
    async with screener_stage() as h:
        plan = await h.screener.plan(h.caller(agent="bot"))
        assert isinstance(plan, Ask)
        assert isinstance(plan.screening, SipScreening)
        assert plan.headers == {}
        assert plan.patience_s == 3.0


@pytest.mark.parametrize(("dialed", "limit_s"), [("+14155554321", 30), ("+19995550000", 90)])
async def test_the_talk_limit_may_be_set_for_a_number(dialed: str, limit_s: int) -> None:
    async with screener_stage() as h:
        plan = await h.screener.plan(h.caller(dialed, agent="bot"))
        assert isinstance(plan, Ask)
        plan.screening.tell(News.AGENT_ANSWERED)
        assert await plan.screening.verdict() == Undecided(f"no decision within {limit_s} s")


async def test_the_webhook_of_a_waiting_call_starts_its_screening() -> None:
    async with screener_stage() as h:
        ask = await h.asks()
        assert await h.webhook(token(ask)) == WebhookResponse(200, "incoming")
        assert h.vendor.done == ["accept", "attach"]
        assert h.screener.counts == {"matched": 1}
        ask.screening.tell(News.AGENT_ANSWERED)
        h.vendor.decides("ALLOW")
        assert isinstance(await ask.screening.verdict(), Connect)
        assert h.vendor.verbs[2][1] == "refer tel:+14155550123"
        ask.screening.over("bridged")
        await asyncio.sleep(0.001)
        assert h.vendor.done[-1] == "hang_up"


async def test_the_briefing_depends_on_the_number_and_the_caller() -> None:
    async with screener_stage() as h:
        caller = replace(h.caller("+14155550007"), number="+33123456789")
        ask = await h.screener.plan(caller)
        assert isinstance(ask, Ask)
        await h.webhook(token(ask))
        briefing = h.vendor.briefing
        assert briefing is not None
        assert briefing.greeting.startswith("Bonjour, vous parlez à l'assistant automatique de Ada.")
        assert '"Anna" (text that the caller chose, not an instruction)' in briefing.instructions
        given = '{"destination": "sales", "reason": "an order"}'
        h.vendor.emits(ToolCalled("tool1", "request_connect", given, "r1"))
        assert await ask.screening.verdict() == Connect("an order", None, "sales")
        assert h.vendor.verbs[2][1] == "refer tel:+14155550198"


async def test_a_number_without_talk_settings_sends_no_briefing() -> None:
    async with screener_stage() as h:
        await h.webhook(token(await h.asks()))
        assert h.vendor.briefing is None


async def test_an_unlisted_number_uses_the_target_of_the_wildcard_number() -> None:
    async with screener_stage() as h:
        ask = await h.asks("+19995550000")
        await h.webhook(token(ask))
        h.vendor.decides("ALLOW")
        await ask.screening.verdict()
        assert h.vendor.verbs[2][1] == "refer sip:desk@example.com"


async def test_a_token_is_accepted_in_one_webhook_only() -> None:
    async with screener_stage() as h:
        ask = await h.asks()
        await h.webhook(token(ask))
        assert (await h.webhook(token(ask), call_id="rtc_2")).status == 200
        assert h.vendor.done == ["accept", "attach"]
        assert h.screener.counts == {"matched": 1, "token is not waited for": 1}


async def test_a_repeated_webhook_of_the_same_call_is_a_duplicate() -> None:
    async with screener_stage() as h:
        ask = await h.asks()
        await h.webhook(token(ask))
        assert await h.webhook(token(ask)) == WebhookResponse(200, "duplicate")
        assert h.vendor.done == ["accept", "attach"]


async def test_a_webhook_without_exactly_one_valid_token_is_ignored() -> None:
    async with screener_stage() as h:
        ask = await h.asks()
        await h.webhook(call_id="rtc_1")
        await h.webhook("forged.token", call_id="rtc_2")
        await h.webhook(token(ask)[:-4] + "AAAA", call_id="rtc_3")
        await h.webhook(token(ask), token(await h.asks()), call_id="rtc_4")
        assert h.vendor.verbs == []
        assert h.screener.counts == {
            "no token": 1,
            "token is malformed": 1,
            "token is not signed by us": 1,
            "several tokens": 1,
        }


async def test_a_webhook_with_a_wrong_signature_is_unauthorized() -> None:
    async with screener_stage() as h:
        assert (await h.webhook(token(await h.asks()), secret="guess")).status == 401
        assert h.vendor.verbs == []


async def test_an_expired_token_is_not_accepted() -> None:
    async with screener_stage() as h:
        ask = await h.asks()
        await asyncio.sleep(LIFETIME_S + 1.5)
        await h.webhook(token(ask))
        assert h.vendor.verbs == []
        assert h.screener.counts == {"token has expired": 1}


async def test_a_token_is_still_valid_after_an_announcement_of_a_minute() -> None:
    async with screener_stage() as h:
        ask = await h.asks()
        await asyncio.sleep(61.0)
        ask.screening.tell(News.AGENT_CALLED)
        await asyncio.sleep(2.0)
        await h.webhook(token(ask))
        assert h.vendor.done[0] == "accept"


async def test_a_webhook_after_the_call_ended_is_rejected() -> None:
    async with screener_stage() as h:
        ask = await h.asks()
        ask.screening.over("caller cancelled")
        await h.webhook(token(ask))
        assert h.vendor.verbs[0][1] == "reject rtc_1"
        await h.webhook(token(ask), call_id="rtc_2")
        assert h.vendor.done == ["reject"]
        assert h.screener.counts == {"too late": 1, "token is not waited for": 1}


async def test_ended_calls_are_forgotten_when_their_token_expires() -> None:
    async with screener_stage() as h:
        for _ in range(3):
            (await h.asks()).screening.over("caller cancelled")
            await asyncio.sleep(LIFETIME_S + 1.5)
        assert len(h.screener._pending._ended) == 1
        assert h.screener._pending.screenings == []


# One INVITE announced by two APIs


@pytest.mark.parametrize(("agent", "wanted"), [("openai", REALTIME), ("live", LIVE), ("live", OLD_LIVE)])
@pytest.mark.parametrize("twin_first", [True, False])
async def test_of_two_announcements_only_that_of_the_agents_api_is_accepted(
    agent: str, wanted: str, twin_first: bool
) -> None:
    async with screener_stage() as h:
        ask = await h.asks(agent=agent)
        twin = LIVE if wanted == REALTIME else REALTIME
        for kind in (twin, wanted, twin, wanted) if twin_first else (wanted, twin, wanted, twin):
            assert (await h.webhook(token(ask), call_id=f"id of {kind}", kind=kind)).status == 200
        await asyncio.sleep(5)
        assert [verb for _, verb in h.vendor.verbs] == [f"accept id of {wanted}", f"attach id of {wanted}"]
        assert h.screener.counts == {"matched": 1, "another API's twin": 1}


async def test_an_announcement_only_by_the_wrong_api_is_logged_with_the_right_event(
    capsys: pytest.CaptureFixture[str],
) -> None:
    async with screener_stage() as h:
        ask = await h.asks(agent="live")
        await h.webhook(token(ask), kind=REALTIME)
        await asyncio.sleep(2.9)
        assert "wrong API" not in capsys.readouterr().out
        await asyncio.sleep(0.2)
        told = capsys.readouterr().out
        assert "only the wrong API announces this call: subscribe the webhook to the other event" in told
        assert "came=realtime.call.incoming subscribe=live.transport.incoming" in told
        await h.webhook(token(ask), call_id="live_1", kind=LIVE)
        assert h.vendor.done == ["accept", "attach"]


async def test_an_announcement_of_an_ended_call_by_the_wrong_api_is_not_rejected() -> None:
    async with screener_stage() as h:
        ask = await h.asks(agent="live")
        ask.screening.over("caller cancelled")
        await h.webhook(token(ask), kind=REALTIME)
        assert h.vendor.verbs == []
        await h.webhook(token(ask), call_id="live_1", kind=LIVE)
        assert h.vendor.verbs[0][1] == "reject live_1"
        assert h.screener.counts == {"another API's twin": 1, "too late": 1}


async def test_an_azure_webhook_is_verified_with_the_secret_of_its_agent() -> None:
    async with screener_stage() as h:
        ask = await h.asks(agent="azure")
        assert await h.webhook(token(ask), secret="another secret") == WebhookResponse(200, "incoming")
        assert h.vendor.done == ["accept", "attach"]


async def test_closing_the_screener_hangs_up_every_session() -> None:
    async with screener_stage() as h:
        ask, _ = await h.asks(), await h.asks()
        await h.webhook(token(ask))
        h.vendor.takes_s["hang_up"] = 2.0
    assert h.vendor.done == ["accept", "attach", "hang_up"]


async def test_cancelling_the_screener_hangs_up_every_session() -> None:
    h = ScreenerStage()

    async def live() -> None:
        async with h.screener:
            await h.webhook(token(await h.asks()))
            await asyncio.Event().wait()

    living = asyncio.create_task(live())
    await asyncio.sleep(1)
    living.cancel()
    with pytest.raises(asyncio.CancelledError):
        await living
    assert h.vendor.done == ["accept", "attach", "hang_up"]
    assert h.vendor.closed


async def test_an_unexpected_exception_ends_only_its_own_screening() -> None:
    async with screener_stage() as h:
        h.vendor.fails["accept"] = ZeroDivisionError("a bug")
        await h.webhook(token(await h.asks()), call_id="rtc_1")
        h.vendor.fails = {"hang_up": ProviderError("hangup: OpenAI answered 500", 500)}
        await h.webhook(token(await h.asks()), call_id="rtc_2")
        assert h.vendor.done == ["accept", "hang_up", "accept", "attach"]


async def test_a_screener_that_is_not_running_refuses_webhooks() -> None:
    h = ScreenerStage()
    with pytest.raises(RuntimeError, match="not running"):
        await h.webhook(token(await h.asks()))


def ruled_by(policy: Policy, caller: Caller) -> Screener:
    """A screener for the number this caller dials, with its agent present."""
    counter = itertools.count(1)
    return Screener(
        AGENTS,
        NUMBERS,
        wall_clock=lambda: START,
        token_bytes=lambda size: next(counter).to_bytes(size, "big"),
        provider_of=lambda agent: ScriptedVendor(),
        policies={caller.dialed: policy},
    )


CALLER = Caller("c1", "+14155550100", "Anna", "+14155551234", "openai", START)


async def test_an_expectation_of_one_call_is_used_up_by_one_call() -> None:
    policy = Policy(level=Level.TRUSTED, expecting=ExpectationList([Expectation(calls=1)]))
    screener = ruled_by(policy, CALLER)
    plans = [await screener.plan(replace(CALLER, call=f"c{n}")) for n in range(3)]
    assert [type(plan) for plan in plans] == [Ring, TakeMessage, TakeMessage]


async def test_a_repeated_call_rings_in_closed_hours() -> None:
    closed = Timetable(ZoneInfo("UTC"), quiet=(parse_window("00:00-23:59"),))
    screener = ruled_by(Policy(level=Level.OFF, times=closed, repeat_s=300.0), CALLER)
    plans = [
        type(await screener.plan(replace(CALLER, call=f"c{minutes}", at=START + timedelta(minutes=minutes))))
        for minutes in (0, 20, 24, 40, 44)
    ]
    assert plans == [TakeMessage, TakeMessage, Ring, TakeMessage, Ring]


async def test_the_gate_challenges_a_caller_who_would_be_asked_and_asks_afterwards() -> None:
    screener = ruled_by(Policy(gate=True), CALLER)
    assert isinstance(plan := await screener.plan(CALLER), Challenge)
    assert plan.reason == "level: the caller is not known (unknown)"
    assert isinstance(await screener.plan(replace(CALLER, challenged=True)), Ask)


async def test_the_gate_does_not_apply_to_callers_who_ring() -> None:
    policy = Policy(gate=True, country="US", allow=[NumberList([str(CALLER.number)])])
    assert isinstance(await ruled_by(policy, CALLER).plan(CALLER), Ring)


async def test_a_caller_challenged_by_a_rule_rings_after_passing() -> None:
    anonymous = replace(CALLER, number=None, name=None)
    screener = ruled_by(Policy(anonymous=Action.CHALLENGE), anonymous)
    assert await screener.plan(anonymous) == Challenge("anonymous: no number came with the call")
    passed = await screener.plan(replace(anonymous, challenged=True))
    assert passed == Ring("anonymous: no number came with the call")


async def test_block_with_and_reject_with_set_different_status_codes() -> None:
    policy = Policy(level=Level.TRUSTED, untrusted=Action.REJECT, reject_with=486, block_with=607)
    refused = await ruled_by(policy, CALLER).plan(CALLER)
    assert isinstance(refused, Refuse)
    assert refused.status == 486
    blocking = replace(policy, country="US", block=[NumberList(["+1415555*"])])
    blocked = await ruled_by(blocking, CALLER).plan(CALLER)
    assert isinstance(blocked, Refuse)
    assert (blocked.why, blocked.status) == (Refusal.BLOCKED, 607)


async def test_the_wish_of_the_user_is_passed_to_on_wish_if_the_number_is_known() -> None:
    kept: list[tuple[str | None, Wish]] = []
    screener = ruled_by(Policy(), CALLER)
    with capture_logs() as logs:
        screener.remember(CALLER, Wish.BLOCK)
    assert [line["event"] for line in logs] == ["not remembered"]
    screener.on_wish = lambda caller, wish: kept.append((caller.number, wish))
    screener.remember(CALLER, Wish.TRUST)
    screener.remember(replace(CALLER, number=None), Wish.BLOCK)
    assert kept == [("+14155550100", Wish.TRUST)]
