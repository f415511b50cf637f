"""Carries notices to a web server of the user's: a signed POST for each (Standard Webhooks)."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Sequence
from datetime import UTC
from email.utils import parsedate_to_datetime

import httpx2

from screening.notices import signing
from screening.notices.channel import Answer, Delivered, GivenUp, Later
from screening.notices.delivery import Letter

LIMIT_S = 15.0
"""For all of a delivery; a receiver answers first and works afterwards."""
MAX_ANSWER_BYTES = 65536
"""How much of an answer is read, so that the connection can serve again; nothing in it matters to us."""
GONE = 410


class WebhookCourier:
    """One receiver, with connections of its own: a slow one holds up nobody else."""

    at_once = 4

    def __init__(
        self,
        url: str,
        secrets: Sequence[str],
        now: Callable[[], float],
        *,
        agent: str = "Screendoor",
        http: httpx2.AsyncClient | None = None,
    ) -> None:
        """The first of the `secrets` is the newest; raises ValueError for a bad one. `now`: since 1970."""
        self._url, self._now, self._agent = url, now, agent
        self._keys = [signing.key(secret) for secret in secrets]
        self._http = http

    async def deliver(self, letter: Letter) -> Answer:
        body = json.dumps(letter.payload, separators=(",", ":")).encode()
        headers = {
            "content-type": "application/json",
            "user-agent": self._agent,
            **signing.signed(self._keys, letter.id, int(self._now()), body),
        }
        answer: Answer | None = None
        try:
            async with (
                asyncio.timeout(LIMIT_S),
                self._client().stream("POST", self._url, content=body, headers=headers) as response,
            ):
                answer = self._answer(response)
                await _read_off(response)
        except TimeoutError:
            return answer or Later(f"no answer within {LIMIT_S:g} s")
        except (httpx2.HTTPError, httpx2.InvalidURL, OSError) as error:
            return answer or Later(_said(error))
        return answer

    async def close(self) -> None:
        if self._http is not None:
            await self._http.aclose()

    def _client(self) -> httpx2.AsyncClient:
        if self._http is None:  # made when first needed: reading the authorities takes a moment
            self._http = httpx2.AsyncClient(follow_redirects=False, timeout=None)
        return self._http

    def _answer(self, response: httpx2.Response) -> Answer:
        status = response.status_code
        if response.is_success:
            return Delivered(f"answered {status}")
        if status == GONE:
            return GivenUp("answered 410: the receiver wants no more")
        if response.is_redirect:
            return Later(f"answered {status}: redirects are not followed, write down where it leads")
        return Later(f"answered {status}", _asked_s(response.headers.get("retry-after"), self._now()))


async def _read_off(response: httpx2.Response) -> None:
    """Read a short answer to its end; the connection of a long one is closed."""
    size = 0
    async for chunk in response.aiter_raw():
        size += len(chunk)
        if size > MAX_ANSWER_BYTES:
            return


def _asked_s(text: str | None, now: float) -> float | None:
    """How long a Retry-After asks for, in seconds (RFC 9110 §10.2.3); None if it makes no sense."""
    if text is None:
        return None
    if text.isascii() and text.isdigit():
        return float(text[:9])
    try:
        until = parsedate_to_datetime(text)
    except ValueError:
        return None
    return max((until if until.tzinfo else until.replace(tzinfo=UTC)).timestamp() - now, 0.0)


def _said(error: Exception) -> str:
    """A failure below HTTP, without what it says of addresses."""
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
