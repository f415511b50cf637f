"""OpenAI's call control: four POSTs, each with its own patience and its own idea of what may be repeated.

The SDK is not used for this: it re-posts ``/refer`` on a 500, and a caller transferred twice makes two phones
ring.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from urllib.parse import quote

import httpx2
import structlog

from screening.provider import ProviderError
from screening.settings import AgentSettings

log = structlog.get_logger("screendoor")

ACCEPT_LIMIT_S = 5.0
REJECT_LIMIT_S = 5.0
REFER_LIMIT_S = 15.0
HANG_UP_LIMIT_S = 5.0
ACCEPT_RETRIES = 3
"""The webhook may beat the registration of the session: a 404 is asked again this often."""
ACCEPT_RETRY_AFTER_S = 1.0
ANSWER_BYTES = 65536
"""How much of an answer is read: an error is short, and a success says nothing we need."""

ADVICE: Mapping[tuple[str, int], str] = {
    ("accept", 404): "the caller is gone, or the API key is not of the SIP address's project and region",
    ("refer", 404): "the call is over",
    ("refer", 500): "OpenAI could not deliver its REFER to our Contact; is it reachable from the Internet?",
    ("refer", 504): "OpenAI could not connect to our Contact; is its port open to the Internet?",
}
"""What an answer means, where it is known for one verb."""
GENERAL_ADVICE: Mapping[int, str] = {
    401: "the API key is not valid",
    403: "the API key may not do this; is it of the project in the SIP address?",
    429: "the account's rate limit or budget is reached",
}


class OpenAICalls:
    """``/v1/realtime/calls/{call_id}/…`` with one agent's key."""

    def __init__(self, agent: AgentSettings, session: Mapping[str, object], http: httpx2.AsyncClient) -> None:
        self._base = f"{agent.api_base.rstrip('/')}/realtime/calls"
        self._headers = authorization(agent)
        self._session = dict(session)
        self._http = http

    async def accept(self, call_id: str, session: Mapping[str, object] | None = None) -> None:
        """Take the call, with its own `session` or that of all calls; 404 is asked again, since the webhook
        may come before the call can be found.
        """
        for retries_left in reversed(range(ACCEPT_RETRIES + 1)):
            try:
                return await self._post(call_id, "accept", ACCEPT_LIMIT_S, session or self._session)
            except ProviderError as error:
                if error.status != 404 or not retries_left:
                    raise
                log.debug("accept again", after_s=ACCEPT_RETRY_AFTER_S, retries_left=retries_left)
            await asyncio.sleep(ACCEPT_RETRY_AFTER_S)

    async def reject(self, call_id: str) -> None:
        """Turn the call away with the vendor's default, 603; 404 is success."""
        await self._unless_gone(call_id, "reject", REJECT_LIMIT_S)

    async def refer(self, call_id: str, target: str) -> None:
        """Ask for a REFER, once: whether a failed one went out cannot be known, so it is never repeated."""
        await self._post(call_id, "refer", REFER_LIMIT_S, {"target_uri": target})

    async def hang_up(self, call_id: str) -> None:
        """End the call; 404 is success."""
        await self._unless_gone(call_id, "hangup", HANG_UP_LIMIT_S)

    async def _unless_gone(self, call_id: str, verb: str, limit_s: float) -> None:
        try:
            await self._post(call_id, verb, limit_s)
        except ProviderError as error:
            if error.status != 404:
                raise

    async def _post(
        self, call_id: str, verb: str, limit_s: float, body: Mapping[str, object] | None = None
    ) -> None:
        url = f"{self._base}/{quote(call_id, safe='')}/{verb}"
        try:
            async with (
                asyncio.timeout(limit_s),
                self._http.stream("POST", url, headers=self._headers, json=body, timeout=None) as answer,
            ):
                said = await _beginning(answer)
        except TimeoutError:
            raise ProviderError(f"{verb}: no answer from OpenAI within {limit_s:g} s") from None
        except httpx2.HTTPError as error:
            why = str(error) or type(error).__name__
            raise ProviderError(f"{verb}: OpenAI not reached: {why}") from error
        if not answer.is_success:
            raise _refused(verb, answer.status_code, said)


def authorization(agent: AgentSettings) -> dict[str, str]:
    """Return the headers that REST and WebSocket share, and no others.

    ``OpenAI-Beta: realtime=v1`` makes the WebSocket answer 404 (2026-04).
    """
    headers = {"Authorization": f"Bearer {agent.api_key}"}
    if agent.project:
        headers["OpenAI-Project"] = agent.project
    return headers


async def _beginning(answer: httpx2.Response) -> bytes:
    """The body, as far as anybody would want to read it."""
    said = bytearray()
    async for chunk in answer.aiter_bytes():
        said += chunk
        if len(said) >= ANSWER_BYTES:
            break
    return bytes(said)


def _refused(verb: str, status: int, body: bytes) -> ProviderError:
    code = _code(body)
    said = f"{status} {code}" if code else str(status)
    advice = ADVICE.get((verb, status)) or GENERAL_ADVICE.get(status)
    return ProviderError(f"{verb}: OpenAI answered {said}" + (f": {advice}" if advice else ""), status, code)


def _code(body: bytes) -> str | None:
    """Return the error's code, ``{"error": {"code": …}}``; a 500 from a gateway is plain text."""
    try:
        code = json.loads(body)["error"]["code"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
    return code if isinstance(code, str) else None
