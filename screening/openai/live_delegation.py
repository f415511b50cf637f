"""Tracks the delegate's responses and tool calls in a Live session where the vendor runs it. Pure.

A tool call comes in the middle of a response. Its result may be sent at once, but the delegate may be told to
continue only when the response is over and every result has been sent.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from screening.openai.live_usage import delegate_usage
from screening.openai.usage import object_at
from screening.provider import Closed, Event, ResponseEnded, ToolCalled

MAX_FAILURES = 2
"""After this many failed responses in a row, the delegate counts as broken."""
MAX_RUNNING = 64
MAX_TOOL_CALLS = 200
"""Maximum tool calls in one session; further ones are ignored."""


class Delegation:
    """Interprets the events nested in ``response.event``."""

    def __init__(self, model: str = "") -> None:
        """`model` is the delegate, for billing."""
        self._model = model
        self._running: set[str] = set()
        self._waiting: set[str] = set()
        self._seen: set[str] = set()
        self._results = False
        self._failed = 0
        self._broken: set[str] = set()
        """Responses an error was reported for; their failure may still be reported, too."""

    def process(self, nested: Mapping[str, Any], saying: str) -> list[Event]:
        """Process one nested event; `saying` is the id of the response the voice is speaking meanwhile.

        Raises KeyError, TypeError or AttributeError for an unknown shape.
        """
        match nested["type"]:
            case "response.created":
                if len(self._running) < MAX_RUNNING:
                    self._running.add(str(nested["response"]["id"]))
            case "response.output_item.done":
                return self._item_done(nested["item"], saying)
            case "response.completed":
                self._running.discard(str(nested["response"]["id"]))
                self._failed = 0
                return [*delegate_usage(nested["response"], self._model)]
            case "response.failed" | "response.incomplete" as ending:
                return self._response_failed(nested["response"], ending.removeprefix("response."))
            case "error":
                return self._stream_failed(nested)
        return []

    def result_sent(self, call: str) -> None:
        """Note that a tool's result was sent."""
        self._waiting.discard(call)
        self._results = True

    def may_continue(self) -> bool:
        """Whether to tell the delegate to continue; True once per round of results."""
        if not self._results or self._waiting or self._running:
            return False
        self._results = False
        return True

    def forget(self) -> None:
        """Reset after a gap in the session: responses may have ended unseen."""
        self._running.clear()

    def _item_done(self, item: Mapping[str, Any], saying: str) -> list[Event]:
        """Items are also done when a response is cut off, but then not ``completed``."""
        if item["type"] != "function_call" or item["status"] != "completed":
            return []
        call, name, arguments = item["call_id"], item["name"], item["arguments"]
        if not (isinstance(call, str) and isinstance(name, str) and isinstance(arguments, str)):
            raise TypeError("a tool call without its texts")
        if call in self._seen or len(self._seen) >= MAX_TOOL_CALLS:
            return []
        self._seen.add(call)
        self._waiting.add(call)
        return [ToolCalled(call, name, arguments, saying)]

    def _response_failed(self, response: Mapping[str, Any], how: str) -> list[Event]:
        name = str(response["id"])
        self._running.discard(name)
        used = delegate_usage(response, self._model)
        if name in self._broken:
            return [*used]
        error = response.get("error") or response.get("incomplete_details") or {}
        return [*used, self._failure(name, str(error.get("code") or error.get("reason") or how))]

    def _stream_failed(self, error: Mapping[str, Any]) -> list[Event]:
        """Note an error in a response's stream, which may end there; it is not said which response it was."""
        self._broken, self._running = self._running, set()
        code = error.get("code") or object_at(error, "error").get("code") or "error"
        return [self._failure(min(self._broken, default=""), str(code))]

    def _failure(self, name: str, code: str) -> Event:
        self._failed += 1
        if self._failed >= MAX_FAILURES:
            return Closed(f"the delegate cannot think: {code}")
        return ResponseEnded(name, "failed", code)
