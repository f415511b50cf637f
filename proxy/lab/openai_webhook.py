"""Webhooks as OpenAI delivers them: Standard Webhooks signatures, retries, and forgeries on demand."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
import secrets
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal

import httpx2
import structlog

from proxy.lab.openai_events import Json
from proxy.lab.openai_faults import Faults

log = structlog.get_logger("screendoor")

Api = Literal["realtime", "live"]
USER_AGENT = "OpenAI/1.0 (+https://platform.openai.com/docs/webhooks)"
TOKEN_HEADER = "x-screendoor-token"
OMITTED_HEADERS = frozenset({"authorization", "proxy-authorization"})
"""Headers of the INVITE that webhooks omit."""


def sign(secret: str, webhook_id: str, timestamp: int, body: bytes) -> str:
    """Return one signature of a ``webhook-signature`` header (Standard Webhooks, symmetric v1)."""
    key = base64.b64decode(secret[6:]) if secret.startswith("whsec_") else secret.encode()
    signed = f"{webhook_id}.{timestamp}.".encode() + body
    return "v1," + base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()


@dataclass(frozen=True, slots=True)
class Incoming:
    """The content of the webhook for an INVITE."""

    call_id: str
    sip_headers: tuple[tuple[str, str], ...]
    """Every header of the INVITE in order, repeats included."""
    security: str = "rtp"
    """``rtp`` or ``srtp``, as negotiated."""
    session_id: str = field(default_factory=lambda: f"live_{secrets.token_hex(16)}")
    """The call's id in the Live API."""

    def event(self, created_at: int) -> Json:
        """Return ``realtime.call.incoming``."""
        return self._event("realtime.call.incoming", created_at, {"call_id": self.call_id})

    def live_event(self, created_at: int) -> Json:
        """Return ``live.transport.incoming``, by which the Live API offers the same INVITE."""
        return self._event(
            "live.transport.incoming", created_at, {"session_id": self.session_id, "type": "sip"}
        )

    def by(self, api: Api, created_at: int) -> Json:
        """Return the event of that API."""
        return self.live_event(created_at) if api == "live" else self.event(created_at)

    def with_forged_token(self) -> Incoming:
        """Return the same INVITE with a token that we did not issue."""
        headers = (
            (name, secrets.token_urlsafe(32) if name.lower() == TOKEN_HEADER else value)
            for name, value in self.sip_headers
        )
        return Incoming(f"rtc_u1_{secrets.token_hex(16)}", tuple(headers), self.security)

    def _event(self, kind: str, created_at: int, identity: Json) -> Json:
        shown: Iterable[Json] = (
            {"name": name, "value": value}
            for name, value in self.sip_headers
            if name.lower() not in OMITTED_HEADERS
        )
        data = {**identity, "sip_headers": list(shown), "sip_media_security": self.security}
        made = {"object": "event", "id": f"evt_{secrets.token_hex(16)}", "type": kind}
        return {**made, "created_at": created_at, "data": data}


@dataclass(frozen=True, slots=True)
class Delivery:
    """An attempt to deliver a webhook."""

    webhook_id: str
    type: str
    status: int | None
    """The edge's response; None if it could not be reached."""


class WebhookSender:
    """Delivers webhooks to one URL and records every attempt."""

    def __init__(
        self, client: httpx2.AsyncClient, url: str, secret: str, *, tries: int = 6, backoff_s: float = 1.0
    ) -> None:
        self.deliveries: list[Delivery] = []
        self.tries = tries
        """Attempts before it gives up; OpenAI retries for 72 hours."""
        self.backoff_s = backoff_s
        """Delay before the second attempt; it doubles each time."""
        self.url = url
        """The URL; may be set until the first call comes in."""
        self._client = client
        self._secret = secret

    async def announce(self, incoming: Incoming, faults: Faults, api: Api = "realtime") -> None:
        """Announce an INVITE through one API, subject to ``faults``.

        The Live API does not support plain RTP, and does not announce such calls.
        """
        told = {"realtime": incoming.event, "live": incoming.live_event}
        if incoming.security != "srtp":
            del told["live"]
        await asyncio.sleep(faults.webhook_delay_s)
        created_at = int(time.time() - faults.webhook_age_s)
        if faults.webhook_forged == "signature":
            other = "whsec_" + base64.b64encode(secrets.token_bytes(24)).decode()
            await self._attempt(incoming.by(api, created_at), _new_webhook_id(), secret=other)
        elif faults.webhook_forged == "token":
            await self._attempt(incoming.with_forged_token().by(api, created_at), _new_webhook_id())
        mine = told.pop(api, None)
        if faults.live_twin:
            for twin in told.values():
                await self.deliver(twin(created_at))
        if mine is not None and not faults.webhook_lost:
            made, webhook_id = mine(created_at), _new_webhook_id()
            for _ in range(2 if faults.webhook_twice else 1):
                await self.deliver(made, webhook_id)

    async def deliver(self, event: Json, webhook_id: str | None = None) -> bool:
        """Deliver until a 2xx comes; return whether one came."""
        webhook_id = webhook_id or _new_webhook_id()
        for attempt in range(self.tries):
            if attempt:
                await asyncio.sleep(self.backoff_s * 2 ** (attempt - 1))
            delivery = await self._attempt(event, webhook_id)
            if delivery.status is not None and 200 <= delivery.status < 300:
                return True
        log.warning("webhook given up", type=event["type"], tries=self.tries)
        return False

    async def _attempt(self, event: Json, webhook_id: str, *, secret: str | None = None) -> Delivery:
        body = json.dumps(event).encode()
        timestamp = int(time.time())
        headers = {
            "user-agent": USER_AGENT,
            "content-type": "application/json",
            "webhook-id": webhook_id,
            "webhook-timestamp": str(timestamp),
            "webhook-signature": sign(secret or self._secret, webhook_id, timestamp, body),
        }
        try:
            status = (await self._client.post(self.url, content=body, headers=headers)).status_code
        except httpx2.HTTPError as failure:
            log.info("webhook undelivered", url=self.url, why=repr(failure))
            status = None
        delivery = Delivery(webhook_id, str(event["type"]), status)
        self.deliveries.append(delivery)
        return delivery


def _new_webhook_id() -> str:
    return f"wh_{secrets.token_hex(16)}"
