"""The sideband WebSocket of an accepted call: JSON in both directions, reattached when it drops.

The vendor keeps the conversation, so reattaching loses only the events in between. No event says that the
call is over: the socket drops, and reattaching is answered 404.
"""

from __future__ import annotations

import asyncio
import json
import logging
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from typing import Any, Protocol
from urllib.parse import quote

import structlog
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus, WebSocketException

from screening.condition import Condition
from screening.provider import ProviderError

log = structlog.get_logger("screendoor")

websocket_log = logging.getLogger("screendoor.websocket")
websocket_log.setLevel(logging.INFO)  # websockets logs the request headers, with our key, at DEBUG

ATTACH_LIMIT_S = 5.0
"""Total limit of the first attach."""
ATTACH_PAUSES_S = (0.0, 0.25, 0.5, 1.0, 1.0, 1.0)
"""Delay before each attempt of the first attach, where 404 means "not live yet"."""
REATTACH_LIMIT_S = 2.5
REATTACH_PAUSES_S = (0.0, 0.25, 0.5, 1.0)
STEADY_S = 1.0
MAX_QUICK_DROPS = 3
"""After this many sockets in a row that dropped within `STEADY_S`, the next attempt is delayed."""
NO_SUCH_CALL = (
    "attach: OpenAI knows no such call (404): the caller is gone, or the session could not be made; "
    "is the model there for this project?"
)
"""A session that cannot be created, say for an unknown model, is accepted with 200 all the same."""
MAX_EVENT_BYTES = 4 * 1024 * 1024

REATTACHED: Mapping[str, Any] = {"type": "screendoor.reattached"}
"""Yielded by `Sideband.messages` after a gap; no vendor event has this name."""


class Connection(Protocol):
    """The part of a WebSocket connection that is used here."""

    async def send(self, message: str) -> None: ...
    async def recv(self) -> str | bytes: ...
    async def close(self) -> None: ...


class CallOver(Exception):
    """The vendor does not know the call, or not any more: attaching was answered 404."""


Dial = Callable[[str, Mapping[str, str]], Awaitable[Connection]]


async def dial(url: str, headers: Mapping[str, str]) -> Connection:
    """Open one WebSocket; raises `CallOver` on 404 and `ProviderError` on any other failure."""
    # A dead IPv6 path cost 5 s, and so the call (2026-05). uvloop has no Happy Eyeballs: IPv4 first.
    if isinstance(asyncio.get_running_loop(), asyncio.BaseEventLoop):
        return await _connect(url, headers, happy_eyeballs_delay=0.25)
    try:
        return await _connect(url, headers, family=socket.AF_INET)
    except ProviderError as error:
        if error.status is not None:
            raise
        return await _connect(url, headers)


async def _connect(url: str, headers: Mapping[str, str], **how: Any) -> Connection:
    try:
        return await connect(
            url,
            additional_headers=headers,
            user_agent_header=None,
            max_size=MAX_EVENT_BYTES,
            open_timeout=ATTACH_LIMIT_S,
            close_timeout=1,
            logger=websocket_log,
            **how,
        )
    except InvalidStatus as refused:
        status = refused.response.status_code
        if status == 404:
            raise CallOver from None
        raise ProviderError(f"attach: OpenAI answered {status}", status) from None
    except (OSError, TimeoutError, WebSocketException) as error:
        raise ProviderError(f"attach: OpenAI not reached: {str(error) or type(error).__name__}") from error


def sideband_url(api_base: str, call_id: str) -> str:
    """Return the URL of a Realtime call's sideband."""
    return f"{socket_base(api_base)}/realtime?call_id={quote(call_id, safe='')}"


def socket_base(api_base: str) -> str:
    """Return the REST base with ``ws`` for ``http``; raises ValueError for another scheme."""
    if not api_base.startswith(("http://", "https://")):
        raise ValueError(f"api_base must begin with https:// or http://: {api_base}")
    return f"ws{api_base.removeprefix('http').rstrip('/')}"


class Sideband:
    """One call's WebSocket, kept attached. One reader at a time; any task may send."""

    def __init__(self, url: str, headers: Mapping[str, str], dial: Dial = dial) -> None:
        self._url = url
        self._headers = headers
        self._dial = dial
        self._connection: Connection | None = None
        self._attached_at = 0.0
        self._quick_drops = 0
        self._over = False
        self._changed = Condition()
        """Signalled when a connection is made, lost, or given up."""

    async def open(self) -> None:
        """Attach for the first time, with retries; raises `ProviderError`."""
        await self._attach(ATTACH_PAUSES_S, ATTACH_LIMIT_S, new=True)

    async def messages(self) -> AsyncIterator[Mapping[str, Any]]:
        """Yield the vendor's messages, and `REATTACHED` after each gap; ends when the call is over."""
        while (connection := self._connection) is not None:
            try:
                message = _parsed(await connection.recv())
            except ConnectionClosed as closed:
                log.debug("socket closed", close=str(closed))
                if await self._reattached():
                    yield REATTACHED
                continue
            if message is not None:
                yield message

    async def send(self, message: Mapping[str, Any]) -> None:
        """Send one event, waiting for a reattach if necessary; raises `ProviderError` when the call
        is over.
        """
        text = json.dumps(message)  # in ASCII: text by the model may hold a lone surrogate
        while not self._over:
            connection = self._connection
            if connection is not None:
                try:
                    return await connection.send(text)
                except ConnectionClosed:
                    pass  # the reader notices, too, and reattaches
            while self._connection is connection and not self._over:
                await self._changed.wait()
        raise ProviderError("the session is over")

    def end(self) -> None:
        """Mark the session as over: nobody waits for another socket. Idempotent."""
        self._over = True
        self._changed.notify_all()

    async def close(self) -> None:
        """Close the socket; the call itself goes on."""
        connection, self._connection = self._connection, None
        self.end()
        if connection is not None:
            await connection.close()

    async def _reattached(self) -> bool:
        if self._over:
            return False
        steady = asyncio.get_running_loop().time() - self._attached_at >= STEADY_S
        self._quick_drops = 0 if steady else self._quick_drops + 1
        self._set_connection(None)
        try:
            pauses_s = REATTACH_PAUSES_S[1:] if self._quick_drops > MAX_QUICK_DROPS else REATTACH_PAUSES_S
            await self._attach(pauses_s, REATTACH_LIMIT_S, new=False)
        except ProviderError as error:
            log.debug("socket lost", why=str(error))
            self.end()
        return self._connection is not None

    async def _attach(self, pauses_s: Sequence[float], limit_s: float, *, new: bool) -> None:
        """Attach, with retries; a 404 is final unless the call is `new`, and perhaps not registered yet."""
        failure = ProviderError(f"attach: not done within {limit_s:g} s")
        try:
            async with asyncio.timeout(limit_s):
                for pause_s in pauses_s:
                    await asyncio.sleep(pause_s)
                    try:
                        return self._set_connection(await self._dial(self._url, self._headers))
                    except CallOver:
                        failure = ProviderError(
                            NO_SUCH_CALL if new else "attach: the call is over (404)", 404
                        )
                        if not new:
                            break
                    except ProviderError as error:
                        failure = error
        except TimeoutError:
            pass
        raise failure

    def _set_connection(self, connection: Connection | None) -> None:
        self._connection = connection
        if connection is not None:
            self._attached_at = asyncio.get_running_loop().time()
        self._changed.notify_all()


def _parsed(text: str | bytes) -> Mapping[str, Any] | None:
    try:
        message = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return message if isinstance(message, dict) else None
