"""A call as a ladder: every message of the edge, in the column of its leg, as it happens."""

from __future__ import annotations

import time
from collections.abc import Callable

from proxy.sip.message import Request
from proxy.sip.uri import Uri
from proxy.transport.flow import Flow
from proxy.ua.driver import Message

WIDTH = 27
COLUMNS = ("caller", "agent", "phone")
HEADING = f"{'time':>8}  " + "".join(
    f"{title:<{WIDTH}}" for title in ("caller (the trunk)", "agent (OpenAI, TLS)", "phone (behind a trunk)")
)
LEGEND = "          ──▶ the peer says to the edge    ◀── the edge says to the peer"


class Ladder:
    """Says each message to `say` as a line; legs are told apart by Call-ID."""

    def __init__(self, say: Callable[[str], None], agent_port: int = 0) -> None:
        self._say = say
        self.agent_port = agent_port
        """An INVITE of ours that goes to this port is the agent's; every other one is a phone's."""
        self._legs: dict[str, str] = {}
        self._began = 0.0

    def __call__(self, direction: str, flow: Flow, message: Message) -> None:
        now = time.monotonic()
        self._began = self._began or now
        leg = self._legs.setdefault(message.call_id, self._leg(direction, flow))
        place = " " * WIDTH * COLUMNS.index(leg)
        arrow = "──▶" if direction == "<" else "◀──"
        self._say(f"{now - self._began:8.3f}  {place}{arrow} {_words(message)}")

    def _leg(self, direction: str, flow: Flow) -> str:
        if direction == "<":
            return "caller"
        return "agent" if flow.remote[1] == self.agent_port else "phone"


def _words(message: Message) -> str:
    if isinstance(message, Request):
        return _request(message)
    method = "" if message.cseq.method == "INVITE" else f" ({message.cseq.method})"
    return f"{message.status} {message.reason[:12]}{method}"


def _request(request: Request) -> str:
    match request.method:
        case "INVITE":
            return "re-INVITE" if request.to_tag else f"INVITE {Uri.parse(request.uri).user or ''}"
        case "NOTIFY":
            return f"NOTIFY {request.body.decode(errors='replace').strip().removeprefix('SIP/2.0 ')}"
        case "REFER":
            return f"REFER {(request.headers.get('Refer-To') or '').strip('<>')}"
        case method:
            return method
