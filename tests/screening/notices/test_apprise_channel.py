"""Apprise deliveries to a real web server and a real mail server on loopback."""

from __future__ import annotations

import asyncio
import email
import email.policy
import json
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from email.message import EmailMessage
from typing import Any, Self, cast

import pytest
import structlog

from screening.notices.apprise_channel import AppriseChannel, problem
from screening.notices.channel import Delivered, GivenUp, Later
from screening.notices.delivery import Delivery
from screening.notices.target import Target, deliveries_for_call
from tests.screening.notices.receiver import Receiver, answer
from tests.screening.notices.records import record

pytestmark = pytest.mark.network

THEN = datetime(2026, 11, 22, 9, 1, tzinfo=UTC)


def channel(url: str, late_s: float = 1.0) -> AppriseChannel:
    return AppriseChannel(url, lambda: THEN + timedelta(seconds=late_s), UTC)


def delivery(told: dict[str, Any] | None = None) -> Delivery:
    target = Target("t", channel("json://nowhere"), one_per_call=True)
    return deliveries_for_call([target], told or record("unanswered", caller_name="Anna"), 0)[0]


class MailServer:
    """The minimum of SMTP that a client needs (RFC 5321), without authentication."""

    def __init__(self) -> None:
        self.got: list[tuple[str, EmailMessage]] = []

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port: int = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        to = ""
        writer.write(b"220 mail.test\r\n")
        with suppress(ConnectionError):
            while line := (await reader.readline()).decode().strip():
                verb = line.upper().partition(" ")[0]
                if verb == "RCPT":
                    to = line.partition(":")[2].strip("<> ")
                if verb == "DATA":
                    writer.write(b"354 go on\r\n")
                    text = await reader.readuntil(b"\r\n.\r\n")
                    parsed = email.message_from_bytes(text[:-5], policy=email.policy.default)
                    self.got.append((to, cast(EmailMessage, parsed)))
                writer.write(b"221 bye\r\n" if verb == "QUIT" else b"250 fine\r\n")
        writer.close()


async def test_a_json_service_gets_title_and_body() -> None:
    async with Receiver(answer(200, b"ok")) as receiver:
        came = await channel(f"json://127.0.0.1:{receiver.port}/").deliver(delivery())
    assert came == Delivered("taken by the service")
    said = json.loads(receiver.sent[0].body)
    assert said["title"] == "Missed call: Anna, +1 415-555-0148"
    assert said["message"] == "Nobody took the call. Calls about the delivery.\nCalled: +1 415-555-1234"


async def test_a_mail_is_plain_readable_text_without_injected_html() -> None:
    told = record(
        "voicemail", voicemail="v.wav", voicemail_s=42.0, why='<b>Hi</b> & "you"', caller_name="Zoë"
    )
    async with MailServer() as server:
        url = f"mailto://127.0.0.1:{server.port}?from=door@example.com&to=me@example.com&mode=insecure"
        assert await channel(url).deliver(delivery(told)) == Delivered("taken by the service")
    [(to, mail)] = server.got
    assert to == "me@example.com"
    assert mail["subject"] == "Voicemail from Zoë, +1 415-555-0148 (0:42)"
    body = mail.get_body(("plain", "html"))
    assert body is not None
    text = body.get_content()
    assert "Left a message." in text
    assert "<b>" not in text


@pytest.mark.parametrize("status", [400, 401, 403, 404, 429, 500, 503])
async def test_a_refusal_is_retried_and_logged_without_secrets_or_numbers(status: int) -> None:
    async with Receiver(answer(status, b"no")) as receiver:
        url = f"json://name:hunter2@127.0.0.1:{receiver.port}/+14155550100"
        with structlog.testing.capture_logs() as logs:
            came = await channel(url).deliver(delivery())
    assert isinstance(came, Later)
    assert "JSON" in came.why
    assert not any(word in f"{came.why}{logs}" for word in ("hunter2", "0100", "0148"))


async def test_an_unreachable_service_is_retried() -> None:
    async with Receiver(answer(200)) as receiver:
        url = f"json://127.0.0.1:{receiver.port}/"
    assert isinstance(await channel(url).deliver(delivery()), Later)


async def test_a_hanging_service_does_not_block_and_uses_one_thread() -> None:
    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()

    before = threading.active_count()
    async with Receiver(silent) as receiver:
        url = f"json://127.0.0.1:{receiver.port}/?rto=2"
        slow = AppriseChannel(url, lambda: THEN, UTC, limit_s=0.3)
        began = time.monotonic()
        assert await slow.deliver(delivery()) == Later("not handed over within 0.3 s")
        assert await slow.deliver(delivery()) == Later("still busy with the one before")
        assert time.monotonic() - began < 1.5
        assert threading.active_count() <= before + 1
        await _until(lambda: threading.active_count() <= before)


async def _until(fact: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not fact():
            await asyncio.sleep(0.05)


async def test_an_unusable_url_is_given_up() -> None:
    assert isinstance(await channel("nonsense://x").deliver(delivery()), GivenUp)


@pytest.mark.parametrize(
    "url",
    [
        "json://127.0.0.1:8080/x",
        "mailto://user:pass@example.com",
        "ntfy://topic",
        "pover://user@token",
        "slack://TokenA/TokenB/TokenC/#general",
    ],
)
def test_urls_of_common_services_are_valid(url: str) -> None:
    assert problem(url) is None


@pytest.mark.parametrize(
    "url", ["", "https//x", "nonsense://x", "slack://", "json://a json://b", "tgram://x"]
)
def test_the_problem_with_a_url_is_described_without_showing_it(url: str) -> None:
    said = problem(url)
    assert said is not None
    assert not url or url not in said
