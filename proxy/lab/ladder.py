"""Prints a demo's call as a ladder diagram, while it happens."""

from __future__ import annotations

import time
from collections.abc import Callable

from proxy.observe.ladder import heading, ladder_line
from proxy.transport.flow import Flow
from proxy.ua.driver import Message

HEADING = heading("caller (the trunk)", "agent (OpenAI, TLS)", "phone (behind a trunk)")


class Ladder:
    """Passes each message to `say` as a line; legs are distinguished by Call-ID."""

    def __init__(self, say: Callable[[str], None], agent_port: int = 0) -> None:
        self._say = say
        self.agent_port = agent_port
        """An INVITE sent to this port belongs to the agent leg; any other that we send, to a phone leg."""
        self._legs: dict[str, str] = {}
        self._began = 0.0

    def __call__(self, direction: str, flow: Flow, message: Message) -> None:
        now = time.monotonic()
        self._began = self._began or now
        leg = self._legs.setdefault(message.call_id, self._leg(direction, flow))
        self._say(ladder_line(now - self._began, leg, sent=direction == ">", message=message))

    def _leg(self, direction: str, flow: Flow) -> str:
        if direction == "<":
            return "caller"
        return "agent" if flow.remote[1] == self.agent_port else "phone"
