"""REST call control at OpenAI and Azure: four POSTs, each with a time limit and its own rule for retries.

The SDK is not used: it retries ``/refer`` on a 500, and a caller transferred twice makes two phones ring.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Callable, Mapping
from contextlib import aclosing
from email.utils import parsedate_to_datetime
from urllib.parse import quote

import httpx2
import structlog

from screening.provider import ProviderError
from screening.settings import AZURE_REALTIME, AgentSettings

log = structlog.get_logger("screendoor")

ACCEPT_LIMIT_S = 5.0
REJECT_LIMIT_S = 5.0
REFER_LIMIT_S = 15.0
HANG_UP_LIMIT_S = 5.0
RETRIES = 3
"""Retries of requests that may be repeated."""
NOT_FOUND_RETRY_AFTER_S = 1.0
"""Delay after a 404: the webhook may arrive before the session is registered."""
FAILED_RETRY_AFTER_S = 0.5
"""Delay after a 5xx, a 429, or no answer."""
DIGITS = re.compile(r"[0-9]{1,9}(\.[0-9]{1,9})?")
ANSWER_BYTES = 65536
"""Maximum bytes of an answer that are read: errors are short, and a success holds nothing we need."""

VENDORS: Mapping[str, str] = {AZURE_REALTIME: "Azure OpenAI"}
"""Names used in messages for vendors other than OpenAI."""
ADVICE_BY_REQUEST: Mapping[tuple[str, int], str] = {
    ("accept", 404): "the caller is gone, or the API key is not of the SIP address's project and region",
    ("refer", 404): "the call is over",
    ("refer", 500): "the REFER could not be delivered to our Contact; is it reachable from the Internet?",
    ("refer", 504): "no connection to our Contact could be made; is its port open to the Internet?",
}
"""Advice for a status that has a specific meaning for one request."""
ADVICE_BY_STATUS: Mapping[int, str] = {
    401: "the API key is not valid",
    403: "the API key may not do this; is it of the project in the SIP address?",
    409: "somebody else has decided about this call, or another API of the vendor's has",
    429: "the account's rate limit or budget is reached",
}
ALREADY_TAKEN = "decision_already_made"
"""Error code if the vendor's other API, or an earlier request, has already taken the call."""
NO_MODEL = "the model is not there for this project: is its name right, or was it switched off?"
NO_CREDIT = "the account's credit is used up"
ADVICE_BY_CODE: Mapping[str, str] = {
    ALREADY_TAKEN: ADVICE_BY_STATUS[409],
    "model_not_found": NO_MODEL,
    "DeploymentNotFound": NO_MODEL,  # Azure's code
    "insufficient_quota": NO_CREDIT,
    "credit_balance_exhausted": NO_CREDIT,
}
"""Advice by error code, whatever the status. A retry would fail in the same way."""


def http_client() -> httpx2.AsyncClient:
    """Return the HTTP client for one agent, without a limit on connections.

    With the default limit of 100, transfers that hang for ten seconds would block new callers.
    """
    return httpx2.AsyncClient(limits=httpx2.Limits(max_connections=None, max_keepalive_connections=20))


class OpenAICalls:
    """``…/{call_id}/accept`` and the other requests for one agent, with its base URL and key."""

    def __init__(
        self,
        agent: AgentSettings,
        session: Mapping[str, object],
        http: httpx2.AsyncClient,
        *,
        under: str = "realtime/calls",
        rejection: Mapping[str, object] | None = None,
    ) -> None:
        """`session` is the body of accept, `rejection` that of reject; None: none is sent."""
        self._base = f"{agent.api_base.rstrip('/')}/{under}"
        self._headers = authorization(agent)
        self._vendor = VENDORS.get(agent.provider, "OpenAI")
        self._session = dict(session)
        self._rejection = rejection
        self._http = http

    async def accept(self, call_id: str, session: Mapping[str, object] | None = None) -> None:
        """Accept the call, with its own `session` or the default one.

        A 404 is retried, as the webhook may arrive before the call can be found. A failed request may have
        taken effect all the same: then the retry finds the call already taken.
        """
        body = session or self._session
        await self._post_with_retries(
            call_id,
            "accept",
            ACCEPT_LIMIT_S,
            body,
            lambda error, unsure: unsure and error.code == ALREADY_TAKEN,
        )

    async def reject(self, call_id: str) -> None:
        """Reject the call: with 603, the vendor's default, or as `rejection` says. A 404 is success."""
        await self._post_with_retries(call_id, "reject", REJECT_LIMIT_S, self._rejection, _gone)

    async def refer(self, call_id: str, target: str) -> None:
        """Request a REFER, without retries: after a failure, it may still have been sent."""
        await self._post(call_id, "refer", REFER_LIMIT_S, {"target_uri": target})

    async def hang_up(self, call_id: str) -> None:
        """End the call; a 404 is success. Retries are left to the caller."""
        try:
            await self._post(call_id, "hangup", HANG_UP_LIMIT_S)
        except ProviderError as error:
            if not _gone(error, False):
                raise

    async def _post_with_retries(
        self,
        call_id: str,
        verb: str,
        limit_s: float,
        body: Mapping[str, object] | None,
        done: Callable[[ProviderError, bool], bool],
    ) -> None:
        """Post a request that may be repeated, with retries after failures within `limit_s`.

        `done` says whether an error amounts to success; its flag says that an earlier attempt may have taken
        effect.
        """
        clock = asyncio.get_running_loop().time
        too_late, unsure = clock() + limit_s, False
        for retries_left in reversed(range(RETRIES + 1)):
            try:
                return await self._post(call_id, verb, limit_s, body)
            except ProviderError as error:
                if done(error, unsure):
                    return
                after_s = _retry_delay_s(error)
                if after_s is None or not retries_left:
                    raise
                if error.status != 404 and clock() + after_s >= too_late:
                    raise
                unsure = unsure or _outcome_unknown(error)
                log.debug(f"{verb} again", after_s=after_s, retries_left=retries_left, why=str(error))
            await asyncio.sleep(after_s)

    async def _post(
        self, call_id: str, verb: str, limit_s: float, body: Mapping[str, object] | None = None
    ) -> None:
        url = f"{self._base}/{quote(call_id, safe='')}/{verb}"
        await post(self._http, url, self._headers, body, verb=verb, vendor=self._vendor, limit_s=limit_s)


async def post(
    http: httpx2.AsyncClient,
    url: str,
    headers: Mapping[str, str],
    body: Mapping[str, object] | None,
    *,
    verb: str,
    vendor: str,
    limit_s: float,
    max_bytes: int = ANSWER_BYTES,
) -> bytes:
    """Post once and return the start of the answer's body; raises `ProviderError` if anything fails."""
    if body is None:
        content = None
    else:  # in ASCII: text by the vendor's models may hold a lone surrogate
        headers, content = {**headers, "Content-Type": "application/json"}, json.dumps(body).encode()
    try:
        async with (
            asyncio.timeout(limit_s),
            http.stream("POST", url, headers=headers, content=content, timeout=None) as answer,
        ):
            said = await _read_start(answer, max_bytes)
    except TimeoutError:
        raise ProviderError(f"{verb}: no answer from {vendor} within {limit_s:g} s") from None
    except httpx2.HTTPError as error:
        why = str(error) or type(error).__name__
        raise ProviderError(f"{verb}: {vendor} not reached: {why}") from error
    if not answer.is_success:
        raise _refused(verb, vendor, answer, said)
    return said


def authorization(agent: AgentSettings) -> dict[str, str]:
    """Return the headers shared by REST and WebSocket.

    There must be no others: ``OpenAI-Beta: realtime=v1`` makes the WebSocket answer 404 (2026-04).
    """
    if agent.provider == AZURE_REALTIME:
        return {"api-key": agent.api_key}
    headers = {"Authorization": f"Bearer {agent.api_key}"}
    if agent.project:
        headers["OpenAI-Project"] = agent.project
    return headers


async def _read_start(answer: httpx2.Response, max_bytes: int) -> bytes:
    """Read up to about `max_bytes` of the body."""
    said = bytearray()
    async with aclosing(answer.aiter_bytes()) as chunks:
        async for chunk in chunks:
            said += chunk
            if len(said) >= max_bytes:
                break
    return bytes(said)


def _refused(verb: str, vendor: str, answer: httpx2.Response, body: bytes) -> ProviderError:
    status, code = answer.status_code, _code(body)
    said = f"{status} {code}" if code else str(status)
    advice = (
        ADVICE_BY_CODE.get(code or "")
        or ADVICE_BY_REQUEST.get((verb, status))
        or ADVICE_BY_STATUS.get(status)
    )
    return ProviderError(
        f"{verb}: {vendor} answered {said}" + (f": {advice}" if advice else ""),
        status,
        code,
        _retry_after_s(answer.headers),
    )


def _gone(error: ProviderError, unsure: bool) -> bool:
    return error.status == 404


def _outcome_unknown(error: ProviderError) -> bool:
    """Whether the request may have taken effect in spite of the error."""
    return error.status is None or error.status >= 500


def _retry_delay_s(error: ProviderError) -> float | None:
    """Return the delay before a retry; None if a retry would fail in the same way."""
    if error.code in ADVICE_BY_CODE:
        return None
    if error.status == 404:
        return NOT_FOUND_RETRY_AFTER_S
    if error.status == 429 and error.retry_after_s is not None:
        return error.retry_after_s
    return FAILED_RETRY_AFTER_S if _outcome_unknown(error) or error.status == 429 else None


def _retry_after_s(headers: Mapping[str, str]) -> float | None:
    """Parse the vendor's retry delay, in any of its three forms; a date is relative to the answer's Date."""
    for name, unit_s in (("retry-after-ms", 0.001), ("retry-after", 1.0)):
        if DIGITS.fullmatch(value := headers.get(name, "").strip()):
            return float(value) * unit_s
    try:
        until, now = (parsedate_to_datetime(headers.get(name, "")) for name in ("retry-after", "date"))
        return max((until - now).total_seconds(), 0.0)
    except (ValueError, TypeError):  # no date, or one without a time zone
        return None


def _code(body: bytes) -> str | None:
    """Return the error's code, ``{"error": {"code": …}}``; None if there is none, as in a gateway's plain
    text.
    """
    try:
        code = json.loads(body)["error"]["code"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
    return code if isinstance(code, str) else None
