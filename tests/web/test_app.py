"""The ASGI application: webhook, health and metrics, called without a socket."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field

import httpx2
import pytest
from prometheus_client import CollectorRegistry

from proxy.metrics import Metrics
from proxy.version import VERSION
from proxy.web import build_app
from proxy.web.app import BODY_LIMIT_BYTES


@dataclass
class Receipt:
    status: int = 200
    reason: str = "accepted"


@dataclass
class Receiver:
    """A webhook receiver that records its deliveries."""

    receipt: Receipt = field(default_factory=Receipt)
    deliveries: list[tuple[Mapping[str, str], bytes]] = field(default_factory=list)

    def receive(self, headers: Mapping[str, str], body: bytes) -> Receipt:
        self.deliveries.append((headers, body))
        return self.receipt


class Application:
    """The application with its metrics, and an ASGI client for it."""

    def __init__(self, receiver: Receiver | None, health: Mapping[str, object] | None = None) -> None:
        self.metrics = Metrics(CollectorRegistry())
        app = build_app(
            receiver,
            lambda: health or {"status": "ok", "calls": 3},
            self.metrics.registry,
            counted=self.metrics.webhook_received,
        )
        self.client = httpx2.AsyncClient(transport=httpx2.ASGITransport(app), base_url="http://receiver")

    def counted(self, result: str) -> float | None:
        return self.metrics.registry.get_sample_value("screendoor_webhooks_total", {"result": result})


async def test_a_webhook_reaches_the_receiver_with_its_headers_and_raw_body() -> None:
    receiver = Receiver()
    application = Application(receiver)
    body = b'{"type" :  "realtime.call.incoming"}\n'
    answer = await application.client.post("/openai/webhook", content=body, headers={"Webhook-Id": "wh_1"})
    assert (answer.status_code, answer.json()) == (200, {"reason": "accepted"})
    ((headers, received),) = receiver.deliveries
    assert received == body
    assert headers["webhook-id"] == "wh_1"
    assert application.counted("accepted") == 1


@pytest.mark.parametrize(("status", "result"), [(401, "refused"), (500, "failed")])
async def test_the_answer_has_the_status_and_reason_of_the_receiver(status: int, result: str) -> None:
    application = Application(Receiver(Receipt(status, "no")))
    answer = await application.client.post("/openai/webhook", content=b"{}")
    assert (answer.status_code, answer.json()) == (status, {"reason": "no"})
    assert application.counted(result) == 1


async def test_a_webhook_over_the_size_limit_is_413() -> None:
    application = Application(receiver := Receiver())
    answer = await application.client.post("/openai/webhook", content=b"x" * (BODY_LIMIT_BYTES + 1))
    assert answer.status_code == 413
    assert receiver.deliveries == []
    assert application.counted("unread") == 1


@pytest.mark.virtual
async def test_a_webhook_body_that_does_not_arrive_in_time_is_408() -> None:
    import asyncio

    async def stalled() -> AsyncIterator[bytes]:
        yield b"{"
        await asyncio.sleep(3600)

    application = Application(receiver := Receiver())
    answer = await application.client.post("/openai/webhook", content=stalled())
    assert answer.status_code == 408
    assert receiver.deliveries == []


async def test_a_get_of_the_webhook_path_is_405() -> None:
    assert (await Application(Receiver()).client.get("/openai/webhook")).status_code == 405


async def test_without_a_receiver_the_webhook_path_is_404() -> None:
    assert (await Application(None).client.post("/openai/webhook", content=b"{}")).status_code == 404


async def test_health_is_ok_while_calls_are_taken() -> None:
    answer = await Application(None).client.get("/healthz")
    assert (answer.status_code, answer.json()) == (200, {"status": "ok", "calls": 3, "version": VERSION})


async def test_health_is_503_while_draining() -> None:
    answer = await Application(None, {"status": "draining", "calls": 1}).client.get("/healthz")
    assert (answer.status_code, answer.json()["status"]) == (503, "draining")


async def test_metrics_are_in_the_text_form_of_prometheus() -> None:
    application = Application(None)
    application.metrics.call_ended("bridged")
    answer = await application.client.get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain")
    assert 'screendoor_calls_total{outcome="bridged"} 1.0' in answer.text
