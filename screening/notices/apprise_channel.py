"""Delivers notices to people through the `apprise` library: push, chat, e-mail, SMS.

The library blocks and may hang. Each target therefore has a daemon thread, which is awaited for a limited
time and never delays the end of the process. The library is slow to import, so it is imported on first use.
"""

from __future__ import annotations

import asyncio
import logging
import re
import threading
from collections.abc import Callable
from datetime import datetime, tzinfo
from typing import Any

from screening.notices import text
from screening.notices.channel import Delivered, GivenUp, Later, Outcome
from screening.notices.delivery import Delivery

LIMIT_S = 60.0
"""Time limit of one delivery; the library's own timeouts are some seconds per step."""
MAX_WHY_CHARS = 200
_DIGITS = re.compile(r"\d{5,}")
_URL = re.compile(r"\S+://\S+")


class AppriseChannel:
    """Delivers to one receiver, named by an apprise URL."""

    concurrency = 1

    def __init__(
        self, url: str, now: Callable[[], datetime], zone: tzinfo, *, limit_s: float = LIMIT_S
    ) -> None:
        """`zone`: the reader's time zone."""
        self._url, self._now, self._zone, self._limit_s = url, now, zone, limit_s
        self._thread: threading.Thread | None = None

    async def deliver(self, delivery: Delivery) -> Outcome:
        if self._thread is not None and self._thread.is_alive():
            return Later("still busy with the one before")
        data = delivery.payload["data"]
        title, body = text.message(
            delivery.event, data, delivery.payload["timestamp"], self._now(), self._zone, data.get("link")
        )
        loop = asyncio.get_running_loop()
        outcome_future: asyncio.Future[Outcome] = loop.create_future()

        def carry() -> None:
            outcome = _send(self._url, title, body)
            try:
                loop.call_soon_threadsafe(_resolve, outcome_future, outcome)
            except RuntimeError:  # the loop is closed, and with it whoever waited
                return

        self._thread = threading.Thread(target=carry, name="notice", daemon=True)
        self._thread.start()
        try:
            async with asyncio.timeout(self._limit_s):
                return await outcome_future
        except TimeoutError:
            return Later(f"not handed over within {self._limit_s:g} s")

    async def close(self) -> None:
        """Nothing to close; a hung thread is abandoned."""


def problem(url: str) -> str | None:
    """What is wrong with an apprise URL, without showing it; None if it is valid."""
    if len(url.split()) != 1:
        return "one URL (a table for each)"
    if _service(url) is None:
        return "a URL that apprise knows, with all that its service needs"
    return None


def _resolve(outcome_future: asyncio.Future[Outcome], outcome: Outcome) -> None:
    if not outcome_future.done():
        outcome_future.set_result(outcome)


def _send(url: str, title: str, body: str) -> Outcome:
    """Send a message; runs in a thread of its own."""
    try:
        service = _service(url)
        if service is None:
            return GivenUp("apprise does not take the URL: see screendoor check-config")
        return _outcome(service.notify(title=title, body=body, body_format="text"))
    except Exception as error:  # plugins may raise anything
        return Later(f"apprise failed: {type(error).__name__}")


def _outcome(result: Any) -> Outcome:
    if result:
        return Delivered("taken by the service")
    said = [entry.message for entry in result.logs() if entry.level in ("WARNING", "ERROR")]
    return Later(_redacted(said[0]) if said else "the service did not take it")


def _service(url: str) -> Any:
    """An apprise service for the URL; None if apprise rejects it."""
    import apprise

    # Apprise's own log names receivers. Its messages are returned in the result, with those redacted.
    log = logging.getLogger("apprise")
    log.propagate = False
    if not log.handlers:
        log.addHandler(logging.NullHandler())
    asset = apprise.AppriseAsset(
        async_mode=False, service_timeout=0, app_id="Screendoor", app_desc="Screendoor"
    )
    found = apprise.Apprise(asset=asset)
    try:
        return found if found.add(url) else None
    except (TypeError, ValueError):
        return None


def _redacted(text: str) -> str:
    return _DIGITS.sub("…", _URL.sub("…", " ".join(text.split())))[:MAX_WHY_CHARS]
