"""The server side of a Realtime session: client events in, server events out in real order and time."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping

from proxy.lab.openai_conversation import Turn
from proxy.lab.openai_events import (
    Json,
    Reply,
    as_object,
    error,
    event,
    message_item,
    new_id,
    pieces,
    updated_session,
)
from proxy.lab.openai_voice import SessionContext, SimulatedSession

GENERATION_SHARE = 0.3
"""A sentence is generated within this part of the time that it takes to speak it."""


class RealtimeSession(SimulatedSession):
    """A Realtime session. It lives on without a socket, but events sent meanwhile are lost."""

    KIND = "openai talk"

    def __init__(self, session: Json, context: SessionContext) -> None:
        super().__init__(session, context)
        self._conversation_id = new_id("conv")
        self._active: Reply | None = None
        self._heard_from = False
        self._cut = asyncio.Event()

    def opened(self) -> Json:
        """The first event for a socket."""
        return event("session.created", session=self.session)

    def hear(self, frame: str) -> None:
        """Handle one client event; what follows from it is sent in due time."""
        try:
            message = as_object(json.loads(frame))
        except ValueError:
            self._send(error("invalid_event", "The event is not valid JSON."))
            return
        match message.get("type"):
            case "response.create":
                self._response_create(message)
            case "response.cancel":
                self._response_cancel(message)
            case "output_audio_buffer.clear":
                self._cut.set()
            case "conversation.item.create":
                self._item_create(message)
            case "session.update":
                self._session_update(message)
            case kind:
                self._refuse(message, "invalid_event", f"Invalid value: '{kind}'.", "type")

    def _response_create(self, message: Mapping[str, object]) -> None:
        request = as_object(message.get("response"))
        if request.get("conversation") == "none":
            self._run(self._aside(request))
        elif self._active is not None:
            text = f"Conversation already has an active response in progress: {self._active.id}."
            self._refuse(message, "conversation_already_has_active_response", text)
        else:
            self._respond(request)

    def _response_cancel(self, message: Mapping[str, object]) -> None:
        if self._active is None or self._turn is None:
            text = "Cancellation failed: no active response found."
            self._refuse(message, "response_cancel_not_active", text)
            return
        reply, self._active = self._active, None
        self._turn.cancel()
        details: Json = {"type": "cancelled", "reason": "client_cancelled"}
        self._send_all(reply.done("cancelled", self._script.usage, details))
        if self.speaking:
            self._run(self._play_out(reply, self._script.think_s))

    def _item_create(self, message: Mapping[str, object]) -> None:
        item = dict(as_object(message.get("item")))
        match item.get("type"):
            case "function_call_output" if item.get("call_id") not in self._calls:
                text = f"Tool call ID '{item.get('call_id')}' not found in conversation."
                self._refuse(message, "invalid_tool_call_id", text, "item.call_id")
                return
            case "function_call_output":
                pass
            case "message":
                self._conversation.told(item.get("role"))
            case kind:
                self._refuse(message, "invalid_event", f"Invalid value: '{kind}'.", "item.type")
                return
        self._add({"id": new_id("item"), "object": "realtime.item", "status": "completed", **item})

    def _session_update(self, message: Mapping[str, object]) -> None:
        change = as_object(message.get("session"))
        voice = as_object(as_object(change.get("audio")).get("output")).get("voice")
        spoken = as_object(as_object(self.session["audio"])["output"])
        if "type" not in change:
            text = "Missing required parameter: 'session.type'."
            self._refuse(message, "missing_required_parameter", text, "session.type")
        elif self._heard_from and voice not in (None, spoken["voice"]):
            text = "Cannot update a conversation's voice if assistant audio is present."
            self._refuse(message, "cannot_update_voice", text, "session.audio.output.voice")
        else:
            self.session = updated_session(self.session, change)
            self._send(event("session.updated", session=self.session))

    def _respond(self, request: Mapping[str, object]) -> None:
        reply = Reply(self.session, self._conversation_id, request.get("metadata"))
        self._active = reply
        self._send(reply.created())
        self._turn = self._run(self._take_turn(reply, self._conversation.next_turn(self.session, request)))

    async def _take_turn(self, reply: Reply, turn: Turn) -> None:
        """Generate a response, play it, and let the caller react."""
        await asyncio.sleep(self._script.think_s)
        if turn.says is None:
            await self._make(reply, turn)
        else:
            async with self._voice:  # one sentence at a time
                await self._say(reply, turn.says)
                await self._make(reply, turn)
                await self._play_out(reply, self._lasts(turn.says) * (1 - GENERATION_SHARE))
        if turn.caller_replies and self._turn is asyncio.current_task():
            await self._caller_speaks()

    async def _say(self, reply: Reply, sentence: str) -> None:
        item, begun = reply.message_begins()
        self._send_all(begun)
        self._cut.clear()
        parts = pieces(sentence)
        for number, piece in enumerate(parts):
            self._send(reply.spoken(item, piece))
            if number == 0:
                self._heard_from = True
                self._speech(True)
                self._send(event("output_audio_buffer.started", response_id=reply.id))
            await asyncio.sleep(self._lasts(sentence) * GENERATION_SHARE / len(parts))
        self._send_all(reply.message_ends(item, sentence))

    async def _make(self, reply: Reply, turn: Turn) -> None:
        """Call the tool if there is a decision, and finish the response."""
        if turn.decides is not None:
            arguments = self._conversation.arguments(turn.decides, turn.tool)
            item, begun = reply.call_begins(turn.tool)
            self._calls.add(item["call_id"])
            self._send_all(begun)
            for piece in (arguments[:18], arguments[18:]):
                self._send(reply.argument(item, piece))
                await asyncio.sleep(self._script.think_s / 4)
            self._send_all(reply.call_ends(item, arguments))
        self._active = None
        self._send_all(reply.done("completed", self._script.usage))

    async def _play_out(self, reply: Reply, seconds: float) -> None:
        """Play the buffered rest of a sentence, unless the client clears it."""
        ending = "cleared"
        try:
            async with asyncio.timeout(seconds):
                await self._cut.wait()
        except TimeoutError:
            ending = "stopped"
        self._speech(False)
        self._send(event(f"output_audio_buffer.{ending}", response_id=reply.id))

    async def _caller_speaks(self) -> None:
        """The caller says the next line; voice activity detection ends their turn, as configured."""
        await asyncio.sleep(self._script.think_s)
        line = self._conversation.caller_line()
        heard = as_object(as_object(self.session["audio"])["input"])
        detection = heard["turn_detection"]
        if detection is None:
            return
        item = message_item("user", [{"type": "input_audio", "transcript": None}])
        self._send(event("input_audio_buffer.speech_started", audio_start_ms=1000, item_id=item["id"]))
        await asyncio.sleep(self._lasts(line))
        self._send(event("input_audio_buffer.speech_stopped", audio_end_ms=2000, item_id=item["id"]))
        self._send(event("input_audio_buffer.committed", previous_item_id=None, item_id=item["id"]))
        self._add(item)
        if heard["transcription"] is not None:
            self._transcribe(item, line)
        wanted = as_object(detection).get("create_response", True)
        if wanted and self._active is None and self._turn is asyncio.current_task():
            self._respond({})

    def _transcribe(self, item: Json, line: str) -> None:
        where = {"item_id": item["id"], "content_index": 0}
        kind = "conversation.item.input_audio_transcription"
        words = len(line.split())
        given = {"text_tokens": 0, "audio_tokens": words}
        counts = {"total_tokens": 2 * words, "input_tokens": words, "output_tokens": words}
        usage = {"type": "tokens", **counts, "input_token_details": given}
        self._send(event(f"{kind}.delta", **where, delta=line))
        self._send(event(f"{kind}.completed", **where, transcript=line, usage=usage))

    async def _aside(self, request: Mapping[str, object]) -> None:
        """Generate a response outside the conversation (``conversation: "none"``): text, unspoken."""
        reply = Reply(self.session, None, request.get("metadata"))
        self._send(reply.created())
        await asyncio.sleep(self._script.think_s)
        self._send_all(reply.text(" ".join(self._script.caller_lines)))
        self._send_all(reply.done("completed", self._script.usage))

    def _add(self, item: Json) -> None:
        self._send(event("conversation.item.added", previous_item_id=None, item=item))
        self._send(event("conversation.item.done", previous_item_id=None, item=item))

    def _refuse(self, message: Mapping[str, object], code: str, text: str, param: str | None = None) -> None:
        self._send(error(code, text, param=param, event_id=message.get("event_id")))
