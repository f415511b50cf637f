"""Webhooks to slow receivers, in virtual time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

import httpx2

from screening.notices.channel import Delivered, Later, Outcome
from screening.notices.webhook_channel import WebhookChannel
from tests.screening.notices.test_webhook_channel import SECRET, delivery

Serve = Callable[[httpx2.Request], Awaitable[httpx2.Response]]


class Trickle(httpx2.AsyncByteStream):
    """An endless body that trickles in."""

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while True:
            yield b"x"
            await asyncio.sleep(1)


async def took(serve: Serve) -> tuple[Outcome, float]:
    """The outcome of a delivery, and how long it took."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    async with httpx2.AsyncClient(transport=httpx2.MockTransport(serve)) as http:
        answer = await WebhookChannel("https://x.example", [SECRET], lambda: 1.8e9, http=http).deliver(
            delivery
        )
    return answer, loop.time() - began


async def test_a_silent_receiver_times_out_after_fifteen_seconds_and_is_retried() -> None:
    async def silent(request: httpx2.Request) -> httpx2.Response:
        await asyncio.sleep(3600)
        return httpx2.Response(200)

    assert await took(silent) == (Later("no answer within 15 s"), 15.0)


async def test_an_answer_counts_although_its_body_never_ends() -> None:
    async def trickling(request: httpx2.Request) -> httpx2.Response:
        await asyncio.sleep(10)
        return httpx2.Response(202, stream=Trickle())

    assert await took(trickling) == (Delivered("answered 202"), 15.0)


async def test_a_refusal_counts_although_its_body_never_ends() -> None:
    async def trickling(request: httpx2.Request) -> httpx2.Response:
        return httpx2.Response(500, stream=Trickle())

    assert await took(trickling) == (Later("answered 500"), 15.0)
