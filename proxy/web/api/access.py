"""Access control of the API: bearer tokens (RFC 6750), and delays for clients that guess them."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import structlog
from starlette.requests import Request

from proxy.transport.log_limit import LINES_PER_MINUTE, LogLimit
from proxy.web.api.problem import Problem

log = structlog.get_logger("screendoor")

FREE_GUESSES = 10
"""Wrong tokens from one address within `WINDOW_S` that are answered at once."""
WINDOW_S = 60.0
GUESS_DELAY_S = 1.0
"""Delay of the response to each further one."""
MAX_ADDRESSES = 10_000
"""The most addresses to remember; then all are forgotten."""


@dataclass(frozen=True, slots=True)
class Token:
    """A token that grants access to the API."""

    name: str
    token: str
    writes: bool


class Access:
    """Checks tokens.

    A valid one always passes, so that a stranger behind the same proxy cannot lock anyone out.
    """

    def __init__(self, tokens: Sequence[Token], clock: Callable[[], float]) -> None:
        self._tokens = [(_digest(token.token), token) for token in tokens]
        self._clock = clock
        self._wrong: dict[str, tuple[float, int]] = {}
        """By address: when the current window began, and the number of wrong tokens since."""
        self._lines = LogLimit()
        self.counts: Counter[str] = Counter()
        """Refused requests by reason, for the metrics."""

    async def reader(self, request: Request) -> Token:
        """Return the request's token; raises Problem 401 or 429."""
        scheme, _, given = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not given.strip():
            self.counts["no token"] += 1
            raise Problem(401, "a token is needed", {"WWW-Authenticate": 'Bearer realm="screendoor"'})
        digest, found = _digest(given.strip()), None
        for known, token in self._tokens:  # compares with each, so that timing reveals nothing
            if hmac.compare_digest(known, digest) and found is None:
                found = token
        if found is None:
            await self._refuse(request.client.host if request.client else "")
            raise AssertionError("refused")
        return found

    async def writer(self, request: Request) -> Token:
        """Return the request's token, which has to permit changes; raises Problem 401, 403 or 429."""
        token = await self.reader(request)
        if not token.writes:
            self.counts["read only"] += 1
            raise Problem(403, "this token may read, and change nothing")
        return token

    async def _refuse(self, address: str) -> None:
        now = self._clock()
        since, number = self._wrong.get(address, (now, 0))
        if now - since >= WINDOW_S:
            since, number = now, 0
        if len(self._wrong) >= MAX_ADDRESSES:
            self._wrong.clear()
        self._wrong[address] = since, number + 1
        self.counts["wrong token"] += 1
        if number == 0 and self._may_say(now):
            log.warning("api token refused", source=address)
        if number < FREE_GUESSES:
            told = 'Bearer realm="screendoor", error="invalid_token"'
            raise Problem(401, "the token is none of ours", {"WWW-Authenticate": told})
        if number == FREE_GUESSES and self._may_say(now):
            log.warning("api tokens are guessed", source=address, guesses=number)
        self.counts["slowed"] += 1
        await asyncio.sleep(GUESS_DELAY_S)
        raise Problem(429, "too many wrong tokens", {"Retry-After": str(int(since + WINDOW_S - now) + 1)})

    def _may_say(self, now: float) -> bool:
        """Whether another line may be logged: one machine may have any number of addresses (IPv6)."""
        return self._lines.count(now) <= LINES_PER_MINUTE


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).digest()
