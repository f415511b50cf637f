"""Webhooks of the simulated OpenAI: signature, content and retries."""

from __future__ import annotations

import asyncio
import itertools
import json
import time

import httpx2
import pytest

from proxy.lab.openai_faults import Faults
from proxy.lab.openai_webhook import USER_AGENT, Incoming, WebhookSender, sign
from tests.kit.virtual_loop import run_virtual
from tests.lab.openai_kit import HEADERS, SECRET

INCOMING = Incoming("rtc_u1_1", HEADERS, "srtp")


class Door:
    """The webhook receiver: answers with ``statuses`` in turn, then 200 (None: unreachable)."""

    def __init__(self, *statuses: int | None) -> None:
        self.got: list[tuple[float, httpx2.Request]] = []
        self._statuses = list(statuses)

    def __call__(self, request: httpx2.Request) -> httpx2.Response:
        self.got.append((asyncio.get_running_loop().time(), request))
        status = self._statuses.pop(0) if self._statuses else 200
        if status is None:
            raise httpx2.ConnectError("refused")
        return httpx2.Response(status)

    @property
    def events(self) -> list[dict[str, object]]:
        return [json.loads(request.content) for _, request in self.got]

    @property
    def well_signed(self) -> list[bool]:
        return [is_well_signed(request) for _, request in self.got]


def is_well_signed(request: httpx2.Request) -> bool:
    sent = request.headers
    timestamp = int(sent["webhook-timestamp"])
    return bool(sent["webhook-signature"] == sign(SECRET, sent["webhook-id"], timestamp, request.content))


def announce(door: Door, faults: Faults, *, tries: int = 6) -> WebhookSender:
    """Deliver the webhook for `INCOMING` to a receiver, in virtual time."""

    async def story() -> WebhookSender:
        async with httpx2.AsyncClient(transport=httpx2.MockTransport(door)) as client:
            postman = WebhookSender(client, "https://door.example.com/openai/webhook", SECRET, tries=tries)
            await postman.announce(INCOMING, faults)
            return postman

    return run_virtual(story())


def test_the_signature_matches_the_example_of_standard_webhooks() -> None:
    body = b'{"test": 2432232314}'
    signature = sign(SECRET, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, body)
    assert signature == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_a_secret_without_the_whsec_prefix_is_not_base64_decoded() -> None:
    assert sign("MfKQ9r8", "a", 1, b"") != sign("whsec_MfKQ9r8=", "a", 1, b"")


def test_the_webhook_has_every_invite_header_in_order_except_the_credentials() -> None:
    door = Door()
    announce(door, Faults())
    (event,) = door.events
    shown = [{"name": name, "value": value} for name, value in HEADERS if name != "Proxy-Authorization"]
    assert event["data"] == {"call_id": "rtc_u1_1", "sip_headers": shown, "sip_media_security": "srtp"}
    assert (event["object"], event["type"]) == ("event", "realtime.call.incoming")
    assert abs(int(str(event["created_at"])) - time.time()) < 5
    ((_, request),) = door.got
    assert request.headers["user-agent"] == USER_AGENT
    assert request.headers["content-type"] == "application/json"
    assert request.headers["webhook-id"].startswith("wh_")
    assert door.well_signed == [True]


def test_a_webhook_without_a_2xx_is_retried_with_growing_delays_and_the_same_id() -> None:
    door = Door(500, None, 302)
    postman = announce(door, Faults())
    times = [at for at, _ in door.got]
    pauses = [later - earlier for earlier, later in itertools.pairwise(times)]
    assert pauses == pytest.approx([1.0, 2.0, 4.0])
    assert len({request.headers["webhook-id"] for _, request in door.got}) == 1
    assert [delivery.status for delivery in postman.deliveries] == [500, None, 302, 200]
    assert door.well_signed == [True] * 4


def test_a_webhook_is_sent_at_most_tries_times() -> None:
    door = Door(*[503] * 9)
    announce(door, Faults(), tries=3)
    assert len(door.got) == 3


def test_a_delayed_webhook_is_sent_after_the_configured_delay() -> None:
    async def story() -> float:
        door = Door()
        began = asyncio.get_running_loop().time()
        async with httpx2.AsyncClient(transport=httpx2.MockTransport(door)) as client:
            await WebhookSender(client, "https://d/", SECRET).announce(INCOMING, Faults(webhook_delay_s=3.0))
        return door.got[0][0] - began

    assert run_virtual(story()) == pytest.approx(3.0)


def test_a_lost_webhook_is_never_sent() -> None:
    door = Door()
    announce(door, Faults(webhook_lost=True))
    assert door.got == []


def test_a_duplicate_webhook_has_the_same_id_and_content() -> None:
    door = Door()
    announce(door, Faults(webhook_twice=True))
    first, second = (request for _, request in door.got)
    assert first.headers["webhook-id"] == second.headers["webhook-id"]
    assert first.content == second.content


def test_a_late_retry_has_a_fresh_signature_and_an_old_created_at() -> None:
    door = Door()
    announce(door, Faults(webhook_age_s=600))
    assert time.time() - int(str(door.events[0]["created_at"])) >= 600
    assert door.well_signed == [True]


def test_a_webhook_with_a_forged_signature_is_sent_before_the_valid_one() -> None:
    door = Door(401)
    announce(door, Faults(webhook_forged="signature"))
    assert door.well_signed == [False, True]


def test_a_webhook_of_a_foreign_call_is_signed_correctly_but_lacks_our_token() -> None:
    door = Door()
    announce(door, Faults(webhook_forged="token", webhook_lost=True))
    (event,) = door.events
    assert door.well_signed == [True]
    assert "issued" not in json.dumps(event)
    data = event["data"]
    assert isinstance(data, dict)
    assert data["call_id"] != INCOMING.call_id


def test_the_live_webhook_has_a_session_id_and_comes_before_the_realtime_one() -> None:
    door = Door()
    announce(door, Faults(live_twin=True))
    twin, event = door.events
    data = twin["data"]
    assert isinstance(data, dict)
    assert (twin["type"], data["type"], "call_id" in data) == ("live.transport.incoming", "sip", False)
    assert str(data["session_id"]).startswith("live_")
    assert event["type"] == "realtime.call.incoming"
