"""Transcription of voicemail messages by OpenAI, after the call."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import httpx2

ATTEMPT_LIMIT_S = 15.0
"""Limit of one attempt."""
RETRY_AFTER_S = (2.0, 10.0, 30.0)
"""Pauses before the second, third and fourth attempt."""
MAX_BYTES = 25_000_000
"""Size limit of a file, set by OpenAI."""
MAX_ANSWER = 1_000_000
MAX_TEXT = 20_000
"""Characters of a transcript that are kept."""
RETRIED_STATUSES = frozenset({408, 409, 429, 500, 502, 503, 504})
"""HTTP statuses worth a retry."""
ADVICE: Mapping[int, str] = {
    400: "the model does not take it",
    401: "the API key is not valid",
    403: "the API key may not do this",
    404: "the model or the address is not known there",
    429: "the account's rate limit or budget is reached",
}


class TranscriptionFailed(Exception):
    """Transcription failed; the message says why, on one line."""

    def __init__(self, why: str, *, retryable: bool = False) -> None:
        super().__init__(why)
        self.retryable = retryable
        """Whether another attempt may succeed."""


class Transcription(Protocol):
    """Transcribes an audio file."""

    async def transcribe(self, message: Path) -> str:
        """Return what is said in it, empty for silence; raises TranscriptionFailed."""
        ...


@dataclass(frozen=True, slots=True)
class Account:
    """The API account and model to use."""

    api_base: str
    api_key: str = field(repr=False)
    model: str = "gpt-transcribe"
    project: str | None = None


class OpenAITranscription:
    """``POST /audio/transcriptions``, retried a few times if that may help."""

    def __init__(self, account: Account, http: httpx2.AsyncClient) -> None:
        self._account, self._http = account, http
        self._url = f"{account.api_base.rstrip('/')}/audio/transcriptions"

    async def transcribe(self, message: Path) -> str:
        """Return what is said in a WAV file, within two minutes; raises TranscriptionFailed."""
        try:
            sound = await asyncio.to_thread(message.read_bytes)
        except OSError as error:
            raise TranscriptionFailed(f"the message cannot be read: {error.strerror}") from None
        if len(sound) > MAX_BYTES:
            raise TranscriptionFailed(f"the message is too long: {len(sound)} bytes of {MAX_BYTES}")
        for wait_s in RETRY_AFTER_S:
            try:
                return await self._attempt(sound)
            except TranscriptionFailed as failure:
                if not failure.retryable:
                    raise
            await asyncio.sleep(wait_s)
        return await self._attempt(sound)

    async def _attempt(self, sound: bytes) -> str:
        try:
            async with asyncio.timeout(ATTEMPT_LIMIT_S):
                return _text(await self._request(sound))
        except TimeoutError:
            raise TranscriptionFailed(f"no transcript within {ATTEMPT_LIMIT_S:g} s", retryable=True) from None

    async def _request(self, sound: bytes) -> bytes:
        account = self._account
        # No compression: a small answer could decompress to more than the memory holds.
        headers = {"Authorization": f"Bearer {account.api_key}", "Accept-Encoding": "identity"}
        if account.project:
            headers["OpenAI-Project"] = account.project
        fields = {"model": account.model, "response_format": "json"}
        said = bytearray()
        try:
            async with self._http.stream(
                "POST",
                self._url,
                headers=headers,
                data=fields,
                files={"file": ("message.wav", sound, "audio/wav")},
                timeout=None,
            ) as answer:
                if not answer.is_success:
                    status = answer.status_code
                    why = ": ".join([f"OpenAI answered {status}", *filter(None, [ADVICE.get(status)])])
                    raise TranscriptionFailed(why, retryable=status in RETRIED_STATUSES)
                async for chunk in answer.aiter_raw():
                    said += chunk
                    if len(said) > MAX_ANSWER:
                        raise TranscriptionFailed("OpenAI's answer does not end")
        except httpx2.HTTPError as error:
            why = f"OpenAI not reached: {str(error) or type(error).__name__}"
            raise TranscriptionFailed(why, retryable=True) from error
        return bytes(said)


def _text(answer: bytes) -> str:
    try:
        told = json.loads(answer)
    except (ValueError, RecursionError):
        raise TranscriptionFailed("OpenAI's answer is not JSON", retryable=True) from None
    text = told.get("text") if isinstance(told, dict) else None
    if not isinstance(text, str):
        raise TranscriptionFailed("there is no text in OpenAI's answer")
    return text.strip()[:MAX_TEXT]
