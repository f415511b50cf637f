"""Delivers notices to a web server as signed POST requests (Standard Webhooks)."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Sequence
from datetime import UTC
from email.utils import parsedate_to_datetime

import httpx2

from screening.notices import signing
from screening.notices.channel import Delivered, GivenUp, Later, Outcome
from screening.notices.delivery import Delivery

LIMIT_S = 15.0
"""Time limit of one delivery; a receiver should answer before it does any work."""
MAX_ANSWER_BYTES = 65536
"""Response bytes read so that the connection can be reused; the content does not matter."""
GONE = 410


class WebhookChannel:
    """Delivers to one URL, over connections of its own: a slow receiver delays no other."""

    concurrency = 4

    def __init__(
        self,
        url: str,
        secrets: Sequence[str],
        now: Callable[[], float],
        *,
        agent: str = "Screendoor",
        http: httpx2.AsyncClient | None = None,
    ) -> None:
        """The first of the `secrets` is the newest.

        Raises ValueError for a malformed one. `now`: Unix time.
        """
        self._url, self._now, self._agent = url, now, agent
        self._keys = [signing.key(secret) for secret in secrets]
        self._http = http

    async def deliver(self, delivery: Delivery) -> Outcome:
        body = json.dumps(delivery.payload, separators=(",", ":")).encode()
        headers = {
            "content-type": "application/json",
            "user-agent": self._agent,
            **signing.signature_headers(self._keys, delivery.id, int(self._now()), body),
        }
        outcome: Outcome | None = None
        try:
            async with (
                asyncio.timeout(LIMIT_S),
                self._client().stream("POST", self._url, content=body, headers=headers) as response,
            ):
                outcome = self._outcome(response)
                await _drain(response)
        except TimeoutError:
            return outcome or Later(f"no answer within {LIMIT_S:g} s")
        except (httpx2.HTTPError, httpx2.InvalidURL, OSError) as error:
            return outcome or Later(_describe(error))
        return outcome

    async def close(self) -> None:
        if self._http is not None:
            await self._http.aclose()

    def _client(self) -> httpx2.AsyncClient:
        if self._http is None:  # made on first use: loading the CA bundle takes a moment
            self._http = httpx2.AsyncClient(follow_redirects=False, timeout=None)
        return self._http

    def _outcome(self, response: httpx2.Response) -> Outcome:
        status = response.status_code
        if response.is_success:
            return Delivered(f"answered {status}")
        if status == GONE:
            return GivenUp("answered 410: the receiver wants no more")
        if response.is_redirect:
            return Later(f"answered {status}: redirects are not followed, write down where it leads")
        return Later(f"answered {status}", _retry_after_s(response.headers.get("retry-after"), self._now()))


async def _drain(response: httpx2.Response) -> None:
    """Read a short response to its end; the connection of a long one is closed."""
    size = 0
    async for chunk in response.aiter_raw():
        size += len(chunk)
        if size > MAX_ANSWER_BYTES:
            return


def _retry_after_s(text: str | None, now: float) -> float | None:
    """A Retry-After header in seconds (RFC 9110 §10.2.3); None if malformed."""
    if text is None:
        return None
    if text.isascii() and text.isdigit():
        return float(text[:9])
    try:
        until = parsedate_to_datetime(text)
    except ValueError:
        return None
    return max((until if until.tzinfo else until.replace(tzinfo=UTC)).timestamp() - now, 0.0)


def _describe(error: Exception) -> str:
    """A failure below HTTP, without addresses."""
    match error:
        case httpx2.ConnectError():
            return f"not reached: {_short(error)}"
        case httpx2.RemoteProtocolError():
            return f"what answers does not speak HTTP, or broke off: {_short(error)}"
        case httpx2.TransportError():
            return f"the connection broke: {_short(error)}"
        case _:
            return _short(error)


def _short(error: Exception) -> str:
    return " ".join((str(error) or type(error).__name__).split())[:120]
