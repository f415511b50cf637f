"""OpenAI's Live API (GPT-Live) as a `Provider`: a voice without tools or turns, and a delegate that decides.

Unlike Realtime, the accept body is wrapped, reject needs a status, the WebSocket has its own path, no event
says that a sentence has ended (see `live_transcript`), and tools belong to a model behind the voice.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import quote

import httpx2

from screening.openai.live_client import ClientDelegate
from screening.openai.live_session import LiveSession
from screening.openai.live_session_config import accept_body, vendor_delegate
from screening.openai.rest import OpenAICalls, authorization, http_client
from screening.openai.sideband import Dial, Sideband, dial, socket_base
from screening.settings import AgentSettings
from screening.talk.briefing import Briefing

DECLINED = 603
"""SIP status of a rejected call: the vendor's own default for Realtime."""


class OpenAILive:
    """One GPT-Live agent; raises `InvalidSession` or ValueError if its settings cannot work."""

    def __init__(
        self,
        agent: AgentSettings,
        http: httpx2.AsyncClient | None = None,
        dial: Dial = dial,
    ) -> None:
        self._agent = agent
        self._http = http or http_client()
        self._dial = dial
        self._base = f"{socket_base(agent.api_base)}/live/sessions"
        body = accept_body(agent)
        self._delegate = vendor_delegate(body) or agent.delegate_model
        self._calls = OpenAICalls(
            agent,
            body,
            self._http,
            under="live/sessions",
            rejection={"status_code": DECLINED},
        )
        self._briefings: dict[str, Briefing] = {}
        self.reject = self._calls.reject
        self.refer = self._calls.refer

    async def accept(self, call_id: str, briefing: Briefing | None = None) -> None:
        await self._calls.accept(call_id, accept_body(self._agent, briefing) if briefing else None)
        if briefing and self._agent.delegation == "client":
            self._briefings[call_id] = briefing

    async def hang_up(self, call_id: str) -> None:
        self._briefings.pop(call_id, None)
        await self._calls.hang_up(call_id)

    @asynccontextmanager
    async def attach(self, call_id: str) -> AsyncIterator[LiveSession]:
        """Open the sideband of an accepted session."""
        url = f"{self._base}/{quote(call_id, safe='')}/attach"
        client = self._client(call_id)
        sideband = Sideband(url, authorization(self._agent), self._dial)
        await sideband.open()
        session = LiveSession(sideband, client, self._delegate)
        reading = asyncio.create_task(session.read(), name="live sideband")
        try:
            yield session
        finally:
            reading.cancel()
            await asyncio.gather(reading, return_exceptions=True)
            await session.close()
            await sideband.close()

    async def close(self) -> None:
        await self._http.aclose()

    def _client(self, session_id: str) -> ClientDelegate | None:
        if self._agent.delegation != "client":
            return None
        briefing = self._briefings.pop(session_id, None)
        return ClientDelegate(self._agent, briefing, self._http, session_id)
