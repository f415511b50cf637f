"""The script of a simulated conversation, and the decisions of the simulated model."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from proxy.lab.openai_events import Usage, as_object

Decision = Literal["ALLOW", "REJECT", "VOICEMAIL"]

TOOL = "make_screening_decision"
"""The tool that the simulated model decides with, if the accept body declares it."""

GOODBYES: Mapping[Decision, str] = {
    "ALLOW": "Thank you, one moment please, I am putting you through.",
    "REJECT": "Thank you for calling, but we are not interested. Goodbye.",
    "VOICEMAIL": "Please leave a message after the tone.",
}


@dataclass(frozen=True, slots=True)
class Conversation:
    """The script of one call: what the agent and the caller say, and the decision."""

    decision: Decision | None = "ALLOW"
    """The model's decision once the caller has said all lines; None: never."""
    caller_lines: tuple[str, ...] = ("Hi, this is Grace from the bakery, about the cake for Saturday.",)
    """The caller's words, one line per turn."""
    greeting: str = "Hello, this is the screening assistant. Who is calling, please, and what is it about?"
    more: str = "I see. Could you tell me a little more about that?"
    """What the agent says while it is undecided."""
    apology: str = "I am sorry, nobody can take your call right now."
    """What the agent says when it learns, after its decision, that the call could not be connected."""
    goodbyes: Mapping[Decision, str] = field(default_factory=lambda: GOODBYES)
    """What the agent says once its decision has been acknowledged."""
    second_decision: Decision | None = "VOICEMAIL"
    """The model's decision along with its apology."""
    reason: str = "The caller gave a name and a plausible reason."
    caller_name: str | None = "Grace"
    word_s: float = 0.05
    """Duration of a spoken word."""
    tool: str = TOOL
    """The tool that it makes its first decision with."""
    given: Mapping[str, object] | None = None
    """The arguments for that tool; None: the decision, its reason and the caller's name."""
    think_s: float = 0.15
    """How long the model takes to start, and the caller to react."""
    usage: Usage = field(default_factory=Usage)
    """Tokens billed for every response."""


@dataclass(frozen=True, slots=True)
class Turn:
    """One response of the model."""

    says: str | None
    """The sentence spoken, if any; it comes before the tool call."""
    decides: Decision | None = None
    """The decision passed to the tool, if any."""
    caller_replies: bool = False
    """The caller speaks once the sentence has been heard."""
    tool: str = TOOL
    """The tool that gets the decision."""


class ConversationState:
    """The state of the conversation, which determines the model's next response."""

    def __init__(self, script: Conversation, *, no_decision: bool = False) -> None:
        self._script = script
        self._no_decision = no_decision
        self._greeted = False
        self._lines_heard = 0
        self._decided: Decision | None = None
        self._bad_news = False

    def next_turn(self, session: Mapping[str, object], request: Mapping[str, object]) -> Turn:
        """Return what the model does now; ``request`` is the ``response`` object of a ``response.create``."""
        if self._bad_news:
            self._bad_news = False
            decision = self._script.second_decision if self._may_decide(session, request) else None
            self._decided = decision or self._decided
            return Turn(self._script.apology, decision, caller_replies=decision is None)
        if self._decided is not None:
            return Turn(self._script.goodbyes[self._decided])
        if not self._greeted:
            self._greeted = True
            _, _, told = str(request.get("instructions", "")).partition("\n")
            return Turn(told or self._script.greeting, caller_replies=True)
        forced = isinstance(request.get("tool_choice"), dict)
        heard = forced or self._lines_heard >= len(self._script.caller_lines)
        tool = TOOL if forced else self._script.tool
        if heard and self._may_decide(session, request, tool):
            self._decided = self._script.decision
            return Turn(None, self._script.decision, tool=tool)
        return Turn(self._script.more, caller_replies=True)

    def told(self, role: object) -> None:
        """Take note of an added message; a system message after the decision is bad news."""
        self._bad_news |= role == "system" and self._decided is not None

    def caller_line(self) -> str:
        """Return what the caller says next: the lines in order, over and over."""
        lines = self._script.caller_lines
        line = lines[self._lines_heard % len(lines)]
        self._lines_heard += 1
        return line

    def arguments(self, decision: Decision, tool: str = TOOL) -> str:
        """Return the JSON arguments of the tool call."""
        if tool != TOOL:
            return json.dumps(self._script.given or {})
        given = {"decision": decision, "reason": self._script.reason}
        if self._script.caller_name is not None:
            given["caller_name"] = self._script.caller_name
        return json.dumps(given)

    def _may_decide(
        self, session: Mapping[str, object], request: Mapping[str, object], tool: str = TOOL
    ) -> bool:
        if self._no_decision or self._script.decision is None:
            return False
        tools = request.get("tools", session["tools"])
        known = isinstance(tools, list) and any(as_object(each).get("name") == tool for each in tools)
        return known and request.get("tool_choice", session["tool_choice"]) != "none"
