"""A scripted WebSocket: the vendor's end of the sideband, played by the test."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from typing import Any

from websockets.exceptions import ConnectionClosedError


class Wire:
    """One connection, from the vendor's side."""

    def __init__(self) -> None:
        self.sent: list[Any] = []
        self.closed = False
        self._in: asyncio.Queue[str | None] = asyncio.Queue()
        self._down = False

    def delivers(self, message: object) -> None:
        self._in.put_nowait(message if isinstance(message, str) else json.dumps(message))

    def drops(self) -> None:
        self._down = True
        self._in.put_nowait(None)

    async def send(self, message: str) -> None:
        if self._down:
            raise ConnectionClosedError(None, None)
        self.sent.append(json.loads(message))

    async def recv(self) -> str | bytes:
        message = await self._in.get()
        if message is None:
            raise ConnectionClosedError(None, None)
        return message

    async def close(self) -> None:
        self.closed = True


class Dialer:
    """Answers each attach in turn, and records when."""

    def __init__(self, *answers: Wire | Exception, takes_s: float = 0.0) -> None:
        self.answers = list(answers)
        self.takes_s = takes_s
        self.at: list[float] = []
        self._began = asyncio.get_running_loop().time()

    async def __call__(self, url: str, headers: Mapping[str, str]) -> Wire:
        self.at.append(round(asyncio.get_running_loop().time() - self._began, 3))
        await asyncio.sleep(self.takes_s)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer
