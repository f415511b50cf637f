"""Receives the vendor's webhooks (Standard Webhooks, as OpenAI sends them).

Every valid delivery is answered 200 at once, as the vendor otherwise retries for up to 72 hours; the work it
triggers is done afterwards, elsewhere. No network access here.
"""

from __future__ import annotations

import base64
import binascii
import enum
import hashlib
import hmac
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import structlog

from screening.log_limit import LogLimit

log = structlog.get_logger("screendoor")


class Api(enum.Enum):
    """The vendor's APIs that can take a call; both may announce the same INVITE."""

    REALTIME = "realtime"
    LIVE = "live"


ANNOUNCEMENTS: Mapping[str, tuple[Api, str]] = {
    "realtime.call.incoming": (Api.REALTIME, "call_id"),
    "live.transport.incoming": (Api.LIVE, "session_id"),
    "live.call.incoming": (Api.LIVE, "session_id"),  # former name, still sent to old subscriptions
}
"""The events that announce an INVITE, each with its API and the field holding the id to accept."""
TOLERANCE_S = 300.0
"""Maximum difference between the delivery's timestamp and our clock, either way."""
STALE_S = 60
"""An event delivered this long after its creation is about a call given up long ago."""
MAX_CALL_ID_CHARS = 256
"""The vendor's ids are far shorter; they go into URLs and are remembered."""
REMEMBERED_S = 2 * (TOLERANCE_S + STALE_S)
"""How long ids are remembered: longer than any delivery can stay valid."""


class WebhookRefused(Exception):
    """The delivery is refused; `status` is our HTTP answer."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status
        self.reason = reason


@dataclass(frozen=True, slots=True)
class WebhookResponse:
    """The HTTP answer to a delivery."""

    status: int
    reason: str
    """A short fact, used in the body, the log line and the counter's label."""


@dataclass(frozen=True, slots=True)
class IncomingCall:
    """An INVITE that the vendor received and offers through one of its APIs."""

    call_id: str
    """That API's id of the call: ``rtc_…`` or ``live_…``."""
    sip_headers: tuple[tuple[str, str], ...]
    """In order, with repeats; untrusted."""
    api: Api = Api.REALTIME

    def values(self, name: str) -> list[str]:
        """Return every value of a SIP header, in order."""
        return [value for given, value in self.sip_headers if given.lower() == name.lower()]


class WebhookReceiver:
    """Accepts deliveries that are signed, fresh and new, and passes their calls on."""

    def __init__(
        self,
        secrets: Sequence[str],
        wall_clock: Callable[[], datetime],
        incoming: Callable[[IncomingCall], None],
    ) -> None:
        """`secrets` are all agents' signing secrets; `incoming` is called with each call. Raises ValueError
        on a bad secret.
        """
        self._keys = [signing_key(secret) for secret in secrets]
        self._wall_clock = wall_clock
        self._incoming = incoming
        self._seen: dict[str, float] = {}
        self._refused = LogLimit("refused webhooks are not logged for a minute: there are too many")

    def receive(self, headers: Mapping[str, str], body: bytes) -> WebhookResponse:
        """Receive one delivery with its raw body. Returns at once, after calling `incoming` if it is a new
        call.
        """
        now = self._wall_clock().timestamp()
        try:
            webhook_id, delivered_at = verify(self._keys, headers, body, now)
            event = _event(body)
            reason = self._admit(webhook_id, delivered_at, event, now)
        except WebhookRefused as refused:
            self._refused.warning(now, "webhook refused", status=refused.status, reason=refused.reason)
            return WebhookResponse(refused.status, refused.reason)
        log.debug("webhook", id=webhook_id, type=event.get("type"), reason=reason)
        return WebhookResponse(200, reason)

    def _admit(self, webhook_id: str, delivered_at: int, event: Mapping[str, Any], now: float) -> str:
        if self._seen_before(f"webhook {webhook_id}", now):
            return "duplicate"
        kind = event.get("type")
        announced = ANNOUNCEMENTS.get(kind) if isinstance(kind, str) else None
        if announced is None:
            return "ignored type"
        created_at = event.get("created_at")
        # Both times are from the vendor's clock; ours may differ. Written so that JSON's NaN is stale,
        # and no number is too large to compare.
        if not isinstance(created_at, int | float) or not created_at >= delivered_at - STALE_S:
            return "stale"
        call = _incoming_call(event, *announced)
        if call is None:
            return "no call"  # the dashboard's test event has empty data
        if self._seen_before(f"call {call.call_id}", now):
            return "duplicate"
        self._incoming(call)
        return "incoming"

    def _seen_before(self, name: str, now: float) -> bool:
        """Return whether `name` was seen before, and remember it; expired entries are dropped.

        So are those of long after `now`: our clock was set back, and what they name is refused as too new.
        """
        while self._seen and abs(now - self._seen[oldest := next(iter(self._seen))]) > REMEMBERED_S:
            del self._seen[oldest]
        if name in self._seen:
            return True
        self._seen[name] = now
        return False


def signing_key(secret: str) -> bytes:
    """Return the HMAC key of a secret: base64 after ``whsec_``, otherwise the text itself."""
    if not secret.removeprefix("whsec_"):
        raise ValueError("webhook secret is empty")
    if not secret.startswith("whsec_"):
        return secret.encode()
    try:
        return base64.b64decode(secret.removeprefix("whsec_"), validate=True)
    except binascii.Error:
        raise ValueError("webhook secret is not base64 after whsec_") from None


def verify(keys: Sequence[bytes], headers: Mapping[str, str], body: bytes, now: float) -> tuple[str, int]:
    """Verify one delivery's signature over its raw body; raises `WebhookRefused`.

    Returns its webhook-id, and the time it was sent by the vendor's clock.
    """
    given = {name.lower(): value for name, value in headers.items()}
    try:
        webhook_id, timestamp = given["webhook-id"], given["webhook-timestamp"]
        signatures = [part[3:] for part in given["webhook-signature"].split() if part.startswith("v1,")]
    except KeyError as missing:
        raise WebhookRefused(400, f"no {missing.args[0]} header") from None
    if not (timestamp.isascii() and timestamp.isdigit() and len(timestamp) < 20):
        raise WebhookRefused(400, "webhook-timestamp is not a number")
    signed = f"{webhook_id}.{timestamp}.".encode() + body
    wanted = [base64.b64encode(hmac.digest(key, signed, hashlib.sha256)) for key in keys]
    if not any(hmac.compare_digest(one, given_one.encode()) for one in wanted for given_one in signatures):
        raise WebhookRefused(401, "signature does not match")
    delivered_at = int(timestamp)
    if abs(now - delivered_at) > TOLERANCE_S:
        raise WebhookRefused(400, "webhook-timestamp too far from our clock")
    return webhook_id, delivered_at


def _event(body: bytes) -> Mapping[str, Any]:
    try:
        event = json.loads(body)
    except (ValueError, RecursionError):
        raise WebhookRefused(400, "body is not JSON") from None
    if not isinstance(event, dict):
        raise WebhookRefused(400, "body is not an event")
    return event


def _incoming_call(event: Mapping[str, Any], api: Api, key: str) -> IncomingCall | None:
    """Extract the call from an event; None if it names none."""
    data = event.get("data")
    if not isinstance(data, dict):
        return None
    call_id, headers = data.get(key), data.get("sip_headers")
    if data.get("type", "sip") != "sip":
        return None  # a Live session that is not a phone call
    if not isinstance(call_id, str) or not isinstance(headers, list):
        return None
    if not (call_id and call_id.isprintable() and len(call_id) <= MAX_CALL_ID_CHARS):
        return None
    return IncomingCall(call_id, tuple(_pairs(headers)), api)


def _pairs(headers: Sequence[object]) -> list[tuple[str, str]]:
    return [
        (pair["name"], pair["value"])
        for pair in headers
        if isinstance(pair, dict) and isinstance(pair.get("name"), str) and isinstance(pair.get("value"), str)
    ]
