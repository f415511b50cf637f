"""The delegate model when we run it (``delegation = "client"``): one Responses API request per delegation.

The vendor only announces that the voice has delegated; what it is about is in the transcript.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import httpx2

from screening.openai.live_session_config import delegate_request
from screening.openai.live_usage import delegate_usage
from screening.openai.rest import authorization, post
from screening.provider import ProviderError, ToolCalled, UsageReported
from screening.settings import AgentSettings
from screening.talk.briefing import Briefing

THINK_LIMIT_S = 10.0
"""How long the model may take; the voice goes on talking to the caller."""
ANSWER_BYTES = 1_000_000
MAX_LINES = 400
"""Latest lines of the conversation that the model is given."""


@dataclass(frozen=True, slots=True)
class DelegateAnswer:
    """The model's answer: tools to call, or a sentence for the voice."""

    calls: tuple[ToolCalled, ...]
    text: str
    used: tuple[UsageReported, ...] = ()
    """The usage it is billed for."""


class ClientDelegate:
    """Asks the delegate model, and keeps the conversation it is given."""

    def __init__(
        self, agent: AgentSettings, briefing: Briefing | None, http: httpx2.AsyncClient, session_id: str
    ) -> None:
        self._request = delegate_request(agent, briefing)
        self._url = f"{agent.api_base.rstrip('/')}/responses"
        self._headers = authorization(agent)
        self._http = http
        self._session_id = session_id
        self._talk: deque[str] = deque(maxlen=MAX_LINES)

    def note(self, speaker: str, text: str) -> None:
        """Add a line to the conversation."""
        self._talk.append(_line(speaker, text))

    async def ask(self, saying: str, unfinished: Iterable[tuple[str, str]] = ()) -> DelegateAnswer:
        """Ask the model once; `unfinished` are lines still being spoken. Raises `ProviderError`."""
        now = [f"{_line(speaker, text)} ..." for speaker, text in unfinished]
        asked = "\n".join(["The conversation so far:", *self._talk, *now])
        request = {
            **self._request,
            "input": [{"role": "user", "content": asked}],
            "store": False,
            "metadata": {"session_id": self._session_id[:512]},
        }
        body = await post(
            self._http,
            self._url,
            self._headers,
            request,
            verb="delegate",
            vendor="OpenAI",
            limit_s=THINK_LIMIT_S,
            max_bytes=ANSWER_BYTES,
        )
        try:
            answer = json.loads(body)
            used = tuple(delegate_usage(answer, str(self._request["model"])))
            return replace(_parsed_answer(answer, saying), used=used)
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            raise ProviderError("delegate: OpenAI's answer cannot be read") from None


def _line(speaker: str, text: str) -> str:
    """Format as one line, so that no caller can forge another speaker's."""
    return f"{speaker}: {' '.join(text.split())}"


def _parsed_answer(answer: Mapping[str, Any], saying: str) -> DelegateAnswer:
    if answer["status"] != "completed":
        raise ProviderError(f"delegate: the answer is {str(answer['status'])[:40]}")
    calls, words = [], []
    for item in answer["output"]:
        match item["type"]:
            case "function_call":
                call, name, arguments = item["call_id"], item["name"], item["arguments"]
                if not (isinstance(call, str) and isinstance(name, str) and isinstance(arguments, str)):
                    raise TypeError("a tool call without its texts")
                calls.append(ToolCalled(call, name, arguments, saying))
            case "message":
                words += [part["text"] for part in item["content"] if part["type"] == "output_text"]
    return DelegateAnswer(tuple(calls), " ".join(map(str, words)).strip())
