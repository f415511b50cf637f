"""The delegate of a Live session that the vendor asks: its responses, and the tools that it waits for. Pure.

A tool call comes in the midst of a response; its result may be given at once, but only when the response is
over and every result is given may the delegate be told to go on.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from screening.openai.live_usage import of_delegate
from screening.openai.usage import part
from screening.provider import Closed, Event, ResponseEnded, ToolCalled

FAILURES = 2
"""So many responses in a row that come to nothing: there is no delegate."""
MAX_RUNNING = 64
MAX_TOOL_CALLS = 200
"""In one session; a delegate that calls more is not listened to any more."""


class Delegation:
    """What the nested events of ``response.event`` tell."""

    def __init__(self, model: str = "") -> None:
        """`model` is the one that thinks, as it is billed."""
        self._model = model
        self._running: set[str] = set()
        self._waiting: set[str] = set()
        self._seen: set[str] = set()
        self._results = False
        self._failed = 0
        self._broken: set[str] = set()
        """Responses of which an error was told; that they have failed may follow, or not."""

    def hear(self, nested: Mapping[str, Any], saying: str) -> list[Event]:
        """Take one nested event; `saying` names what the voice says meanwhile.

        Raises KeyError, TypeError or AttributeError for a shape that is not known.
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
                return [*of_delegate(nested["response"], self._model)]
            case "response.failed" | "response.incomplete" as ending:
                return self._come_to_nothing(nested["response"], ending.removeprefix("response."))
            case "error":
                return self._break_off(nested)
        return []

    def answered(self, call: str) -> None:
        """A tool's result has been given."""
        self._waiting.discard(call)
        self._results = True

    def may_go_on(self) -> bool:
        """Whether the delegate is to be told to go on; True once for each round of results."""
        if not self._results or self._waiting or self._running:
            return False
        self._results = False
        return True

    def forget(self) -> None:
        """The session was away: responses may have ended unseen."""
        self._running.clear()

    def _item_done(self, item: Mapping[str, Any], saying: str) -> list[Event]:
        """Items are done when a response is cut off, too: then they are not completed."""
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

    def _come_to_nothing(self, response: Mapping[str, Any], how: str) -> list[Event]:
        name = str(response["id"])
        self._running.discard(name)
        used = of_delegate(response, self._model)
        if name in self._broken:
            return [*used]
        error = response.get("error") or response.get("incomplete_details") or {}
        return [*used, self._failure(name, str(error.get("code") or error.get("reason") or how))]

    def _break_off(self, error: Mapping[str, Any]) -> list[Event]:
        """The stream of a response has met an error, and may end with that; which one it was is not told."""
        self._broken, self._running = self._running, set()
        code = error.get("code") or part(error, "error").get("code") or "error"
        return [self._failure(min(self._broken, default=""), str(code))]

    def _failure(self, name: str, code: str) -> Event:
        self._failed += 1
        if self._failed >= FAILURES:
            return Closed(f"the delegate cannot think: {code}")
        return ResponseEnded(name, "failed", code)
