"""Server events of the Realtime API, as OpenAI sends them on a sideband WebSocket."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass

Json = dict[str, object]

SPOKEN_WORDS_A_DELTA = 3
"""Words in one transcript delta."""


def new_id(prefix: str) -> str:
    """Return a new id in OpenAI's format: ``item_…``, ``resp_…``, ``call_…``."""
    return f"{prefix}_{secrets.token_hex(11)}"


def event(kind: str, **fields: object) -> Json:
    """Return a server event with a new ``event_id``."""
    return {"type": kind, "event_id": new_id("event"), **fields}


def error(code: str, message: str, *, param: str | None = None, event_id: object = None) -> Json:
    """Return an ``error`` event; ``event_id`` is that of the client's event, if it had one."""
    detail = {"type": "invalid_request_error", "code": code, "message": message, "param": param}
    return event("error", error={**detail, "event_id": event_id})


def as_object(value: object) -> Mapping[str, object]:
    """Return a JSON object unchanged, and anything else as an empty one."""
    return value if isinstance(value, dict) else {}


def pieces(text: str) -> list[str]:
    """Split a sentence into transcript deltas; joined, they give the sentence again."""
    words = text.split(" ")
    step = SPOKEN_WORDS_A_DELTA
    cut = [" ".join(words[at : at + step]) for at in range(0, len(words), step)]
    return [piece if at == 0 else f" {piece}" for at, piece in enumerate(cut)]


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens billed for one response."""

    input_text: int = 119
    input_audio: int = 13
    cached_text: int = 64
    cached_audio: int = 0
    output_text: int = 30
    output_audio: int = 91

    def as_json(self) -> Json:
        """Return the ``usage`` object of a ``response.done``."""
        cached = {"text_tokens": self.cached_text, "audio_tokens": self.cached_audio, "image_tokens": 0}
        given = self.input_text + self.input_audio
        made = self.output_text + self.output_audio
        return {
            "total_tokens": given + made,
            "input_tokens": given,
            "output_tokens": made,
            "input_token_details": {
                "text_tokens": self.input_text,
                "audio_tokens": self.input_audio,
                "image_tokens": 0,
                "cached_tokens": self.cached_text + self.cached_audio,
                "cached_tokens_details": cached,
            },
            "output_token_details": {"text_tokens": self.output_text, "audio_tokens": self.output_audio},
        }


def new_session(accepted: Mapping[str, object], expires_at: int) -> Json:
    """Return the effective session for an accept body: its fields override the defaults."""
    audio = as_object(accepted.get("audio"))
    heard: Json = {
        "format": {"type": "audio/pcmu"},
        "transcription": None,
        "noise_reduction": None,
        "turn_detection": {
            "type": "server_vad",
            "threshold": 0.5,
            "prefix_padding_ms": 300,
            "silence_duration_ms": 500,
            "idle_timeout_ms": None,
            "create_response": True,
            "interrupt_response": True,
        },
    }
    spoken: Json = {"format": {"type": "audio/pcmu"}, "voice": "marin", "speed": 1.0}
    defaults: Json = {
        "output_modalities": ["audio"],
        "instructions": "",
        "tools": [],
        "tool_choice": "auto",
        "max_output_tokens": "inf",
        "tracing": None,
        "prompt": None,
        "truncation": "auto",
        "include": None,
    }
    fixed: Json = {
        "type": "realtime",
        "object": "realtime.session",
        "id": new_id("sess"),
        "expires_at": expires_at,
        "audio": {
            "input": {**heard, **as_object(audio.get("input"))},
            "output": {**spoken, **as_object(audio.get("output"))},
        },
    }
    return {**defaults, **accepted, **fixed}


def updated_session(session: Mapping[str, object], change: Mapping[str, object]) -> Json:
    """Return the session with the given fields changed; ``audio`` is merged field by field."""
    audio, changed = as_object(session["audio"]), as_object(change.get("audio"))
    merged = {end: {**as_object(audio[end]), **as_object(changed.get(end))} for end in ("input", "output")}
    return {**session, **change, "audio": merged, "id": session["id"]}


def message_item(role: str, content: list[Json], status: str = "completed") -> Json:
    """Return a message item."""
    return {
        "id": new_id("item"),
        "object": "realtime.item",
        "type": "message",
        "status": status,
        "role": role,
        "content": content,
    }


class Reply:
    """Builds the events of one response, in the order in which OpenAI sends them."""

    def __init__(
        self, session: Mapping[str, object], conversation_id: str | None, metadata: object = None
    ) -> None:
        self.id = new_id("resp")
        self._session = session
        self._conversation_id = conversation_id
        self._metadata = metadata
        self._output: list[Json] = []

    def created(self) -> Json:
        """Start the response."""
        return event("response.created", response=self._response("in_progress", [], None))

    def done(self, status: str, usage: Usage, details: Json | None = None) -> list[Json]:
        """Finish the response; its audio may still be playing."""
        response = self._response(status, self._output, usage.as_json(), details)
        limit = {"name": "requests", "limit": 1000, "remaining": 999, "reset_seconds": 60}
        return [event("response.done", response=response), event("rate_limits.updated", rate_limits=[limit])]

    def message_begins(self) -> tuple[Json, list[Json]]:
        """Return a spoken item in progress and the events that announce it."""
        item = message_item("assistant", [], "in_progress")
        part = {"type": "audio", "transcript": ""}
        added = event("response.content_part.added", **self._place(item), content_index=0, part=part)
        return item, [*self._added(item), added]

    def spoken(self, item: Json, delta: str) -> Json:
        """A few words of the transcript."""
        place = self._place(item)
        return event("response.output_audio_transcript.delta", **place, content_index=0, delta=delta)

    def message_ends(self, item: Json, transcript: str) -> list[Json]:
        """Finish the item; the whole sentence has been generated."""
        place = self._place(item)
        part = {"type": "audio", "transcript": transcript}
        finished = {**item, "content": [{"type": "output_audio", "transcript": transcript}]}
        return [
            event("response.output_audio.done", **place, content_index=0),
            event("response.output_audio_transcript.done", **place, content_index=0, transcript=transcript),
            event("response.content_part.done", **place, content_index=0, part=part),
            *self._finished(finished),
        ]

    def text(self, text: str) -> list[Json]:
        """The events of a complete text response outside the conversation."""
        item = message_item("assistant", [{"type": "output_text", "text": text}])
        place = self._place(item)
        return [
            event("response.output_item.added", response_id=self.id, output_index=0, item=item),
            event("response.output_text.delta", **place, content_index=0, delta=text),
            event("response.output_text.done", **place, content_index=0, text=text),
            *self._finished(item)[1:],
        ]

    def call_begins(self, name: str) -> tuple[Json, list[Json]]:
        """Return a function call in progress and the events that announce it."""
        item: Json = {
            "id": new_id("item"),
            "object": "realtime.item",
            "type": "function_call",
            "status": "in_progress",
            "name": name,
            "call_id": new_id("call"),
            "arguments": "",
        }
        return item, self._added(item)

    def argument(self, item: Json, delta: str) -> Json:
        """A piece of the arguments' JSON."""
        fields = {**self._place(item), "call_id": item["call_id"]}
        return event("response.function_call_arguments.delta", **fields, delta=delta)

    def call_ends(self, item: Json, arguments: str) -> list[Json]:
        """Finish the function call."""
        fields = {**self._place(item), "call_id": item["call_id"], "name": item["name"]}
        return [
            event("response.function_call_arguments.done", **fields, arguments=arguments),
            *self._finished({**item, "arguments": arguments}),
        ]

    def _place(self, item: Json) -> Json:
        return {"response_id": self.id, "item_id": item["id"], "output_index": len(self._output)}

    def _added(self, item: Json) -> list[Json]:
        where = {"response_id": self.id, "output_index": len(self._output)}
        return [
            event("response.output_item.added", **where, item=item),
            event("conversation.item.added", previous_item_id=None, item=item),
        ]

    def _finished(self, item: Json) -> list[Json]:
        where = {"response_id": self.id, "output_index": len(self._output)}
        completed = {**item, "status": "completed"}
        self._output.append(completed)
        return [
            event("conversation.item.done", previous_item_id=None, item=completed),
            event("response.output_item.done", **where, item=completed),
        ]

    def _response(
        self, status: str, output: list[Json], usage: Json | None, details: Json | None = None
    ) -> Json:
        spoken = as_object(as_object(self._session["audio"])["output"])
        return {
            "object": "realtime.response",
            "id": self.id,
            "status": status,
            "status_details": details,
            "output": list(output),
            "conversation_id": self._conversation_id,
            "output_modalities": self._session["output_modalities"],
            "max_output_tokens": self._session["max_output_tokens"],
            "audio": {"output": {"format": spoken["format"], "voice": spoken["voice"]}},
            "usage": usage,
            "metadata": self._metadata,
        }
