"""The server side of a Live session: an instructed voice, and a delegate that calls the tools."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping

from proxy.lab.openai_conversation import TOOL, Turn
from proxy.lab.openai_events import Json, as_object, event, new_id, pieces
from proxy.lab.openai_live_events import (
    APPENDS,
    Delegate,
    client_fault,
    function_call,
    live_error,
    message,
    response,
)
from proxy.lab.openai_realtime_session import GENERATION_SHARE
from proxy.lab.openai_voice import SessionContext, SimulatedSession

SPEAK = "speak now"
"""Prefix of an instruction that the simulated voice follows at once; others are only noted."""
ACTIVE = "conversation_already_has_active_response"


class LiveSession(SimulatedSession):
    """A Live session. It lives on without a socket; its latest events are replayed to one that attaches."""

    KIND = "openai live talk"

    def __init__(self, session: Json, context: SessionContext) -> None:
        super().__init__(session, context)
        self._loop = asyncio.get_running_loop()
        self._began = self._loop.time()
        delegation = as_object(session["delegation"])
        self._target = str(delegation.get("type", "client"))
        self._backend = as_object(delegation.get("responses"))
        self._delegations: set[object] = set()
        self._active: Delegate | None = None
        self._results = False
        self._thought: Turn | None = None

    def opened(self) -> Json:
        """The first event for a socket."""
        return event("session.started", session=self.session)

    def closed(self, reason: str) -> Json:
        """The last event for every socket."""
        return event("session.closed", reason=reason, session=self.session, usage=self._usage())

    def hear(self, frame: str) -> None:
        """Handle one client event."""
        try:
            told = as_object(json.loads(frame))
        except ValueError:
            self._send(live_error("invalid_event", "The event is not valid JSON.", None, None))
            return
        fault = client_fault(told) or self._fault(told)
        if fault is not None:
            self._send(live_error(*fault, told.get("event_id")))
            return
        match told["type"]:
            case kind if kind in APPENDS:
                self._append(str(kind), told)
            case "response.item.create":
                self._calls.discard(as_object(told["item"]).get("call_id"))
                self._results = True
            case "response.create":
                self._results = False
                self._run(self._go_on())

    def think(self) -> Json:
        """Answer ``POST /responses`` from the client's own delegate; it decides once it is due."""
        output = message("Ask what it is about.")
        if (turn := self._thought) is not None and turn.decides is not None:
            self._thought = None
            arguments = self._conversation.arguments(turn.decides, turn.tool)
            output = function_call(turn.tool, new_id("call"), arguments)
        return response(new_id("resp"), "a delegate", "completed", [output])

    def _fault(self, told: Mapping[str, object]) -> tuple[str, str, str] | None:
        """Return what is wrong with a well-formed client event in the current state."""
        kind, delegation = told["type"], told.get("delegation_id")
        if (
            kind in APPENDS
            and delegation is not None
            and (self._target != "client" or delegation not in self._delegations)
        ):
            return "invalid_delegation", f"No client delegation '{delegation}'.", "delegation_id"
        if kind in ("response.item.create", "response.create") and self._target != "responses":
            return "invalid_event", f"{kind} requires Responses delegation.", "type"
        item = as_object(told.get("item"))
        if item.get("type") == "function_call_output" and item.get("call_id") not in self._calls:
            return "invalid_value", f"No tool call found for '{item.get('call_id')}'.", "item.call_id"
        if kind == "response.create" and self._active is not None:
            return ACTIVE, f"A response is in progress: {self._active.id}.", "type"
        if kind == "response.create" and (self._calls or not self._results):
            return "invalid_event", "There are no tool results to continue with.", "type"
        changed = as_object(told.get("session")).keys() - {"delegation", "triggers"}
        return ("unknown_parameter", f"Unknown parameter: '{min(changed)}'.", "session") if changed else None

    def _append(self, kind: str, told: Mapping[str, object]) -> None:
        now_ms, named = self._now_ms(), told.get("event_id")
        echo: Json = {"client_event_id": named} if isinstance(named, str) else {}
        self._send(event(kind.replace(".append", ".appended"), start_ms=now_ms, end_ms=now_ms, **echo))
        content = str(told["content"])
        if kind == "session.instructions.append" and content.lower().startswith(SPEAK):
            self._react(content[len(SPEAK) :].lstrip(". "))
        elif kind == "session.instructions.append":
            self._conversation.told("system")
        elif kind == "session.commentary.append":
            self._run(self._say(content))

    def _react(self, told: str = "") -> None:
        """The voice takes a turn, according to the script or as instructed by `told`."""
        known = [{"name": TOOL}, {"name": self._script.tool}]
        session: Json = {"tools": self._backend.get("tools", known), "tool_choice": "auto"}
        request: Json = {"instructions": told}
        if f"call {TOOL} now" in told:
            request["tool_choice"] = {"type": "function", "name": TOOL}
        self._turn = self._run(self._take_turn(self._conversation.next_turn(session, request)))

    async def _take_turn(self, turn: Turn) -> None:
        await asyncio.sleep(self._script.think_s)
        if turn.says is not None:
            await self._say(turn.says)
        if turn.decides is not None:
            await self._delegate(turn)
        if turn.caller_replies and self._turn is asyncio.current_task():
            await self._caller_speaks()

    async def _say(self, sentence: str) -> None:
        """Speak a sentence; its transcript is sent faster than it is heard."""
        async with self._voice:
            self._speech(True)
            lasts_s, parts = self._lasts(sentence), pieces(sentence)
            at_ms = self._now_ms()
            for number, piece in enumerate(parts):
                span_ms = round(1000 * lasts_s / len(parts))
                self._piece("output", piece, at_ms + number * span_ms, span_ms)
                await asyncio.sleep(lasts_s * GENERATION_SHARE / len(parts))
            await asyncio.sleep(lasts_s * (1 - GENERATION_SHARE))
            self._speech(False)
        self._send(event("session.usage.updated", usage=self._usage()))

    async def _caller_speaks(self) -> None:
        await asyncio.sleep(self._script.think_s)
        line = self._conversation.caller_line()
        parts = pieces(line)
        for piece in parts:
            began_ms = self._now_ms()
            await asyncio.sleep(self._lasts(line) / len(parts))
            self._piece("input", piece, began_ms, self._now_ms() - began_ms)
        if self._turn is asyncio.current_task():
            self._react()

    async def _delegate(self, turn: Turn) -> None:
        assert turn.decides is not None
        name = new_id("dlg")
        self._delegations.add(name)
        if self._target == "client":
            self._thought = turn
            self._delegated({"id": name, "target": "client", "type": "delegation"})
            return
        delegate = self._active = Delegate(name, self._backend.get("model"))
        self._delegated({"id": name, "target": "responses", "type": "delegation", "response_id": delegate.id})
        self._send(delegate.began())
        await asyncio.sleep(self._script.think_s)
        call = new_id("call")
        self._calls.add(call)
        self._send_all(delegate.calls(turn.tool, call, self._conversation.arguments(turn.decides, turn.tool)))
        await asyncio.sleep(self._script.think_s / 4)
        self._active = None
        self._send(delegate.ended())

    async def _go_on(self) -> None:
        """The delegate gets its tool results, and ends with a short message."""
        delegate = self._active = Delegate(new_id("dlg"), self._backend.get("model"))
        self._send(delegate.began())
        await asyncio.sleep(self._script.think_s)
        self._send_all(delegate.says("Done."))
        self._active = None
        self._send(delegate.ended())

    def _delegated(self, delegation: Json) -> None:
        self._send(event("session.delegation.created", delegation=delegation, offset_ms=self._now_ms()))

    def _piece(self, who: str, text: str, start_ms: int, span_ms: int) -> None:
        kind = f"session.{who}_transcript.delta"
        self._send(event(kind, delta=text, start_ms=start_ms, end_ms=start_ms + span_ms))

    def _usage(self) -> Json:
        return {"seconds": round(self._loop.time() - self._began, 3)}

    def _now_ms(self) -> int:
        return round(1000 * (self._loop.time() - self._began))
