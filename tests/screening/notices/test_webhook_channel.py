"""Webhooks to real receivers on loopback: good, slow, disconnecting, odd."""

from __future__ import annotations

import asyncio
import base64
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from email.utils import formatdate

import pytest
from standardwebhooks.webhooks import Webhook

from screening.notices.channel import Delivered, GivenUp, Later, Outcome
from screening.notices.delivery import Delivery
from screening.notices.target import Target, deliveries_for_call
from screening.notices.webhook_channel import WebhookChannel
from tests.screening.notices.receiver import Play, Receiver, answer
from tests.screening.notices.records import record

pytestmark = pytest.mark.network

SECRET = "whsec_" + base64.b64encode(b"s" * 32).decode()
OLD = "whsec_" + base64.b64encode(b"o" * 32).decode()
delivery = Delivery(
    "1f-call-missed-aa", "call.missed", "t", {"type": "call.missed", "data": {"caller_name": "Zoë"}}, 0, 0
)


@asynccontextmanager
async def channel(url: str, *secrets: str) -> AsyncIterator[WebhookChannel]:
    made = WebhookChannel(url, secrets or (SECRET,), time.time, agent="Screendoor/9")
    yield made
    await made.close()


async def delivered(*answers: bytes | Play) -> Outcome:
    async with Receiver(*answers) as receiver, channel(receiver.url()) as made:
        return await made.deliver(delivery)


async def test_a_delivery_is_a_signed_json_post() -> None:
    async with Receiver(answer(204)) as receiver, channel(receiver.url("/hook?to=me"), SECRET, OLD) as made:
        assert await made.deliver(delivery) == Delivered("answered 204")
    [sent] = receiver.sent
    assert sent.line == "POST /hook?to=me HTTP/1.1"
    assert sent.headers["content-type"] == "application/json"
    assert sent.headers["user-agent"] == "Screendoor/9"
    assert sent.headers["webhook-id"] == "1f-call-missed-aa"
    for secret in (SECRET, OLD):
        assert Webhook(secret).verify(sent.body, sent.headers) == delivery.payload


async def test_a_complete_call_notice_is_delivered_unchanged() -> None:
    async with Receiver(answer(200, b"ok")) as receiver, channel(receiver.url()) as made:
        [delivery] = deliveries_for_call([Target("t", made, transcript=True)], record(), 0)
        await made.deliver(delivery)
    event = Webhook(SECRET).verify(receiver.sent[0].body, receiver.sent[0].headers)
    assert event["type"] == "call.screened"
    assert event["timestamp"] == "2026-11-22T09:01:00.000+00:00"
    assert event["data"]["transcript"][1]["text"] == "It is Anna, about the parcel."


async def test_one_connection_serves_several_deliveries() -> None:
    async with Receiver(answer(200, b"thanks")) as receiver, channel(receiver.url()) as made:
        for _ in range(3):
            await made.deliver(delivery)
    assert (len(receiver.sent), receiver.connections) == (3, 1)


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (200, Delivered("answered 200")),
        (299, Delivered("answered 299")),
        (410, GivenUp("answered 410: the receiver wants no more")),
        (400, Later("answered 400")),
        (401, Later("answered 401")),
        (404, Later("answered 404")),
        (500, Later("answered 500")),
        (503, Later("answered 503")),
    ],
)
async def test_each_answer_status_gives_its_outcome(status: int, expected: Outcome) -> None:
    assert await delivered(answer(status, b"<h1>Oops</h1>")) == expected


@pytest.mark.parametrize(
    ("said", "asked"), [("120", 120.0), ("0", 0.0), ("9" * 400, 999999999.0), ("soon", None), ("-5", None)]
)
async def test_retry_after_in_seconds_is_read(said: str, asked: float | None) -> None:
    assert await delivered(answer(429, b"", f"Retry-After: {said}")) == Later("answered 429", asked)


async def test_retry_after_as_a_date_is_read() -> None:
    came = await delivered(answer(503, b"", f"Retry-After: {formatdate(time.time() + 600, usegmt=True)}"))
    assert isinstance(came, Later)
    assert came.retry_after_s == pytest.approx(600, abs=5)
    assert await delivered(answer(503, b"", "Retry-After: Fri, 01 Jan 1999 00:00:00 GMT")) == Later(
        "answered 503", 0.0
    )


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_is_not_followed(status: int) -> None:
    async with Receiver(answer(200)) as other:
        came = await delivered(answer(status, b"", f"Location: {other.url()}"))
    assert isinstance(came, Later)
    assert came.why == f"answered {status}: redirects are not followed, write down where it leads"
    assert other.connections == 0


async def cut(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 O")
    writer.transport.abort()


async def endless(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    while True:
        writer.write(b"10000\r\n" + b"x" * 65536 + b"\r\n")
        await writer.drain()


async def many_headers(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\n")
    while True:
        writer.write(b"X: " + b"x" * 65536 + b"\r\n")
        await writer.drain()


async def test_an_endless_answer_body_is_not_read_to_the_end() -> None:
    began = time.monotonic()
    assert await delivered(endless) == Delivered("answered 200")
    assert time.monotonic() - began < 5


async def test_a_2xx_status_counts_even_if_the_body_breaks_off() -> None:
    """Otherwise it would be delivered twice."""

    async def broken(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nthanks")
        writer.close()

    assert await delivered(broken) == Delivered("answered 200")


@pytest.mark.parametrize(
    ("play", "why"),
    [
        (cut, "what answers does not speak HTTP, or broke off"),
        (many_headers, "what answers does not speak HTTP, or broke off"),
        (b"SSH-2.0-OpenSSH_9.9\r\n", "what answers does not speak HTTP, or broke off"),
        (b"\x15\x03\x01\x00\x02\x02\x46", "what answers does not speak HTTP, or broke off"),
        (b"HTTP/1.1 two hundred\r\n\r\n", "what answers does not speak HTTP, or broke off"),
    ],
)
async def test_an_answer_that_is_not_http_is_retried(play: bytes | Play, why: str) -> None:
    async def closing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        assert isinstance(play, bytes)
        writer.write(play)
        writer.close()

    came = await delivered(closing if isinstance(play, bytes) else play)
    assert isinstance(came, Later)
    assert came.why.startswith(why)


async def test_an_unreachable_receiver_is_retried() -> None:
    async with Receiver(answer(200)) as receiver:
        url = receiver.url()
    async with channel(url) as made:
        came = await made.deliver(delivery)
    assert isinstance(came, Later)
    assert came.why.startswith("not reached")
    assert "127.0.0.1" not in came.why


async def test_a_plain_http_server_at_an_https_url_is_retried() -> None:
    async with Receiver(answer(200)) as receiver, channel(f"https://127.0.0.1:{receiver.port}/") as made:
        assert isinstance(await made.deliver(delivery), Later)
