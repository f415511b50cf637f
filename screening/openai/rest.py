"""Call control at OpenAI and Azure: four POSTs, each with a patience and an idea of what may be repeated.

The SDK is not used for this: it re-posts ``/refer`` on a 500, and a caller transferred twice makes two
phones ring.
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
"""So often is asked again what may be asked twice."""
UNKNOWN_RETRY_AFTER_S = 1.0
"""After a 404: the webhook may beat the registration of the session."""
FAILED_RETRY_AFTER_S = 0.5
"""After an answer that is a failure of the vendor's, or one of too much at a time, or none."""
DIGITS = re.compile(r"[0-9]{1,9}(\.[0-9]{1,9})?")
ANSWER_BYTES = 65536
"""How much of an answer is read: an error is short, and a success says nothing we need."""

VENDORS: Mapping[str, str] = {AZURE_REALTIME: "Azure OpenAI"}
"""What a line of the log calls a vendor that is not OpenAI itself."""
ADVICE: Mapping[tuple[str, int], str] = {
    ("accept", 404): "the caller is gone, or the API key is not of the SIP address's project and region",
    ("refer", 404): "the call is over",
    ("refer", 500): "the REFER could not be delivered to our Contact; is it reachable from the Internet?",
    ("refer", 504): "no connection to our Contact could be made; is its port open to the Internet?",
}
"""What an answer means, where it is known for one verb."""
GENERAL_ADVICE: Mapping[int, str] = {
    401: "the API key is not valid",
    403: "the API key may not do this; is it of the project in the SIP address?",
    409: "somebody else has decided about this call, or another API of the vendor's has",
    429: "the account's rate limit or budget is reached",
}
TAKEN = "decision_already_made"
"""The vendor's word where the other of its two APIs, or an earlier request, has the call."""
NO_MODEL = "the model is not there for this project: is its name right, or was it switched off?"
NO_CREDIT = "the account's credit is used up"
CODED_ADVICE: Mapping[str, str] = {
    TAKEN: GENERAL_ADVICE[409],
    "model_not_found": NO_MODEL,
    "DeploymentNotFound": NO_MODEL,  # Azure's word
    "insufficient_quota": NO_CREDIT,
    "credit_balance_exhausted": NO_CREDIT,
}
"""What the vendor's own word means, whatever the status: another answer comes of none of them in seconds."""


def http_client() -> httpx2.AsyncClient:
    """What one agent's requests go out by: as many at a time as there are calls.

    By the limit of 100 that it has by itself, transfers that hang for ten seconds would keep new callers out.
    """
    return httpx2.AsyncClient(limits=httpx2.Limits(max_connections=None, max_keepalive_connections=20))


class OpenAICalls:
    """``…/{call_id}/accept`` and the others under one agent's base, with its key."""

    def __init__(
        self,
        agent: AgentSettings,
        session: Mapping[str, object],
        http: httpx2.AsyncClient,
        *,
        under: str = "realtime/calls",
        rejection: Mapping[str, object] | None = None,
    ) -> None:
        """`session` is the body of accept, `rejection` that of reject; None sends none."""
        self._base = f"{agent.api_base.rstrip('/')}/{under}"
        self._headers = authorization(agent)
        self._vendor = VENDORS.get(agent.provider, "OpenAI")
        self._session = dict(session)
        self._rejection = rejection
        self._http = http

    async def accept(self, call_id: str, session: Mapping[str, object] | None = None) -> None:
        """Take the call, with its own `session` or that of all calls.

        A 404 is asked again, as the webhook may come before the call can be found. What failed may have been
        heard all the same: then the call is taken already.
        """
        body = session or self._session
        await self._until_heard(
            call_id, "accept", ACCEPT_LIMIT_S, body, lambda error, unsure: unsure and error.code == TAKEN
        )

    async def reject(self, call_id: str) -> None:
        """Turn the call away: by the vendor's default (603), or as `rejection` says; 404 is success."""
        await self._until_heard(call_id, "reject", REJECT_LIMIT_S, self._rejection, _gone)

    async def refer(self, call_id: str, target: str) -> None:
        """Ask for a REFER, once: whether a failed one went out cannot be known, so it is never repeated."""
        await self._post(call_id, "refer", REFER_LIMIT_S, {"target_uri": target})

    async def hang_up(self, call_id: str) -> None:
        """End the call; 404 is success. Whoever has time to ask again, asks again."""
        try:
            await self._post(call_id, "hangup", HANG_UP_LIMIT_S)
        except ProviderError as error:
            if not _gone(error, False):
                raise

    async def _until_heard(
        self,
        call_id: str,
        verb: str,
        limit_s: float,
        body: Mapping[str, object] | None,
        done: Callable[[ProviderError, bool], bool],
    ) -> None:
        """Post what may be posted twice, and again where the vendor or the way to it failed within `limit_s`.

        `done` says whether an error is as good as success; its flag: an earlier post may have been heard.
        """
        clock = asyncio.get_running_loop().time
        too_late, unsure = clock() + limit_s, False
        for retries_left in reversed(range(RETRIES + 1)):
            try:
                return await self._post(call_id, verb, limit_s, body)
            except ProviderError as error:
                if done(error, unsure):
                    return
                after_s = _again_after_s(error)
                if after_s is None or not retries_left:
                    raise
                if error.status != 404 and clock() + after_s >= too_late:
                    raise
                unsure = unsure or _failed(error)
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
    """Post once and return the beginning of the answer's body; raises `ProviderError` if anything fails."""
    if body is None:
        content = None
    else:  # in ASCII: what the vendor's models wrote may hold half a surrogate pair
        headers, content = {**headers, "Content-Type": "application/json"}, json.dumps(body).encode()
    try:
        async with (
            asyncio.timeout(limit_s),
            http.stream("POST", url, headers=headers, content=content, timeout=None) as answer,
        ):
            said = await _beginning(answer, max_bytes)
    except TimeoutError:
        raise ProviderError(f"{verb}: no answer from {vendor} within {limit_s:g} s") from None
    except httpx2.HTTPError as error:
        why = str(error) or type(error).__name__
        raise ProviderError(f"{verb}: {vendor} not reached: {why}") from error
    if not answer.is_success:
        raise _refused(verb, vendor, answer, said)
    return said


def authorization(agent: AgentSettings) -> dict[str, str]:
    """Return the headers that REST and WebSocket share, and no others.

    ``OpenAI-Beta: realtime=v1`` makes the WebSocket answer 404 (2026-04).
    """
    if agent.provider == AZURE_REALTIME:
        return {"api-key": agent.api_key}
    headers = {"Authorization": f"Bearer {agent.api_key}"}
    if agent.project:
        headers["OpenAI-Project"] = agent.project
    return headers


async def _beginning(answer: httpx2.Response, max_bytes: int) -> bytes:
    """The body, as far as anybody would want to read it."""
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
    advice = CODED_ADVICE.get(code or "") or ADVICE.get((verb, status)) or GENERAL_ADVICE.get(status)
    return ProviderError(
        f"{verb}: {vendor} answered {said}" + (f": {advice}" if advice else ""),
        status,
        code,
        _retry_after_s(answer.headers),
    )


def _gone(error: ProviderError, unsure: bool) -> bool:
    return error.status == 404


def _failed(error: ProviderError) -> bool:
    """Whether nobody can say if the vendor has heard it."""
    return error.status is None or error.status >= 500


def _again_after_s(error: ProviderError) -> float | None:
    """How soon the same may be asked again; None: never, it would be answered the same."""
    if error.code in CODED_ADVICE:
        return None
    if error.status == 404:
        return UNKNOWN_RETRY_AFTER_S
    if error.status == 429 and error.retry_after_s is not None:
        return error.retry_after_s
    return FAILED_RETRY_AFTER_S if _failed(error) or error.status == 429 else None


def _retry_after_s(headers: Mapping[str, str]) -> float | None:
    """What the vendor asks for, in any of its three ways; a date is read by the clock of its answer."""
    for name, unit_s in (("retry-after-ms", 0.001), ("retry-after", 1.0)):
        if DIGITS.fullmatch(value := headers.get(name, "").strip()):
            return float(value) * unit_s
    try:
        until, now = (parsedate_to_datetime(headers.get(name, "")) for name in ("retry-after", "date"))
        return max((until - now).total_seconds(), 0.0)
    except (ValueError, TypeError):  # no date, or one without a time zone
        return None


def _code(body: bytes) -> str | None:
    """Return the error's code, ``{"error": {"code": …}}``; a 500 from a gateway is plain text."""
    try:
        code = json.loads(body)["error"]["code"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
    return code if isinstance(code, str) else None
