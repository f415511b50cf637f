"""Messages of the Live API: session objects, client events, and the delegate's events."""

from __future__ import annotations

import time
from collections.abc import Mapping

from proxy.lab.openai_errors import ApiError
from proxy.lab.openai_events import Json, as_object, event, new_id

SESSION_FIELDS = frozenset(
    (
        "type",
        "model",
        "instructions",
        "audio",
        "delegation",
        "input",
        "safety_identifier",
        "store",
        "triggers",
    )
)
RESPONSES_FIELDS = frozenset(
    ("model", "instructions", "tools", "tool_choice", "parallel_tool_calls", "max_output_tokens")
) | frozenset(("reasoning", "service_tier", "text"))
APPENDS = ("session.instructions.append", "session.thinking.append", "session.commentary.append")
CLIENT_EVENTS: Mapping[str, frozenset[str]] = {
    **dict.fromkeys(APPENDS, frozenset(("content", "delegation_id"))),
    "response.item.create": frozenset(("item",)),
    "response.create": frozenset(),
    "session.update": frozenset(("session",)),
    "session.close": frozenset(),
    "session.input_audio.mute": frozenset(),
    "session.input_audio.unmute": frozenset(),
}
"""The fields of each event that a client may send over a sideband; all of them are required."""
MAX_CHARS = 2000
"""About the 500 tokens that an append may hold."""

DELEGATED: Json = {
    "input_tokens": 900,
    "input_tokens_details": {"cache_write_tokens": 0, "cached_tokens": 400},
    "output_tokens": 60,
    "output_tokens_details": {"reasoning_tokens": 20},
    "total_tokens": 960,
}
"""Usage billed for every response of a delegate."""


def live_session(fields: Mapping[str, object], security: str) -> Json:
    """Return the session for an accept body; raises `ApiError` for what the real API refuses."""
    if "session" not in fields:
        raise _missing("session")
    _only(fields, frozenset(("session",)), "")
    session = dict(as_object(fields["session"]))
    for name, wanted in (("type", "live"), ("model", None)):
        if name not in session:
            raise _missing(f"session.{name}")
        if wanted and session[name] != wanted:
            raise ApiError(400, "invalid_value", f"Invalid value: '{session[name]}'.", f"session.{name}")
    _only(session, SESSION_FIELDS, "session.")
    _only(as_object(session.get("audio")), frozenset(("output",)), "session.audio.")
    delegation = as_object(session.get("delegation"))
    match delegation.get("type"):
        case "responses":
            _only(
                delegation,
                frozenset(("type", "responses", "acknowledgement_delay_ms")),
                "session.delegation.",
            )
            _only(as_object(delegation.get("responses")), RESPONSES_FIELDS, "session.delegation.responses.")
        case "client" | None:
            _only(delegation, frozenset(("type", "acknowledgement_delay_ms")), "session.delegation.")
        case kind:
            raise ApiError(400, "invalid_value", f"Invalid value: '{kind}'.", "session.delegation.type")
    if security != "srtp":
        raise ApiError(400, "media_security_required", "Live SIP sessions require SRTP.")
    return session


def resource(session: Mapping[str, object], session_id: str, lasts_s: int) -> Json:
    """Return the resolved session, as events show it."""
    made: Json = {"audio": {"output": {"voice": "marin"}}, "delegation": {"type": "client"}, **session}
    fixed = {"id": session_id, "expires_at": int(time.time()) + lasts_s, "status": "active"}
    return {name: value for name, value in made.items() if name != "type"} | fixed


def client_fault(message: Mapping[str, object]) -> tuple[str, str, str] | None:
    """Return code, text and parameter of a malformed client event's error; None if it is well-formed."""
    kind = message.get("type")
    wanted = CLIENT_EVENTS.get(kind) if isinstance(kind, str) else None
    if wanted is None:
        return "invalid_event", f"Invalid value: '{kind}'.", "type"
    if missing := sorted(wanted - message.keys()):
        return "missing_required_parameter", f"Missing required parameter: '{missing[0]}'.", missing[0]
    if unknown := sorted(message.keys() - wanted - {"type", "event_id"}):
        return "unknown_parameter", f"Unknown parameter: '{unknown[0]}'.", unknown[0]
    if "content" in wanted and not (isinstance(message["content"], str) and message["content"]):
        return "invalid_type", "Invalid type for 'content': expected a string.", "content"
    if "content" in wanted and len(str(message["content"])) > MAX_CHARS:
        return "string_above_max_length", "Invalid 'content': more than 500 tokens.", "content"
    return None


def live_error(code: str, text: str, param: str | None, client_event_id: object) -> Json:
    """Return an ``error`` event, with the ``event_id`` of the client's event."""
    detail: Json = {"type": "invalid_request_error", "code": code, "message": text, "param": param}
    if isinstance(client_event_id, str):
        detail["client_event_id"] = client_event_id
    return event("error", error=detail)


class Delegate:
    """The nested events of one response of the delegate, in the order of the Responses API."""

    def __init__(self, delegation_id: str, model: object) -> None:
        self.id = new_id("resp")
        self._delegation, self._model = delegation_id, model
        self._number = 0

    def began(self) -> Json:
        return self._event("response.created", response=self._response("in_progress"))

    def ended(self, how: str = "completed", error: Json | None = None) -> Json:
        return self._event(f"response.{how}", response=self._response(how, error))

    def calls(self, name: str, call_id: str, arguments: str) -> list[Json]:
        """A function call, with its arguments in two pieces."""
        item = function_call(name, call_id, "", "in_progress")
        done = {**item, "arguments": arguments, "status": "completed"}
        place = {"item_id": item["id"], "output_index": 0}
        kind = "response.function_call_arguments"
        return [
            self._event("response.output_item.added", output_index=0, item=item),
            self._event(f"{kind}.delta", **place, delta=arguments[:18]),
            self._event(f"{kind}.delta", **place, delta=arguments[18:]),
            self._event(f"{kind}.done", **place, arguments=arguments, name=name),
            self._event("response.output_item.done", output_index=0, item=done),
        ]

    def says(self, text: str) -> list[Json]:
        """A message for the voice."""
        item = message(text)
        return [self._event("response.output_item.done", output_index=0, item=item)]

    def _event(self, kind: str, **fields: object) -> Json:
        nested = {"type": kind, "sequence_number": self._number, **fields}
        self._number += 1
        return event("response.event", delegation_id=self._delegation, event=nested)

    def _response(self, status: str, error: Json | None = None) -> Json:
        done = status == "completed"
        return response(self.id, self._model, status, []) | {
            "error": error,
            "usage": DELEGATED if done else None,
        }


def response(name: str, model: object, status: str, output: list[Json]) -> Json:
    """A response object of the Responses API."""
    return {
        "id": name,
        "object": "response",
        "created_at": int(time.time()),
        "status": status,
        "model": model,
        "output": output,
        "parallel_tool_calls": False,
        "tool_choice": "auto",
        "tools": [],
        "usage": DELEGATED,
    }


def function_call(name: str, call_id: str, arguments: str, status: str = "completed") -> Json:
    return {
        "id": new_id("fc"),
        "type": "function_call",
        "status": status,
        "call_id": call_id,
        "name": name,
        "arguments": arguments,
    }


def message(text: str) -> Json:
    part = {"type": "output_text", "text": text, "annotations": []}
    return {
        "id": new_id("msg"),
        "type": "message",
        "role": "assistant",
        "status": "completed",
        "content": [part],
    }


def _missing(name: str) -> ApiError:
    return ApiError(400, "missing_required_parameter", f"Missing required parameter: '{name}'.", name)


def _only(fields: Mapping[str, object], known: frozenset[str], at: str) -> None:
    if unknown := sorted(fields.keys() - known):
        name = f"{at}{unknown[0]}"
        raise ApiError(400, "unknown_parameter", f"Unknown parameter: '{name}'.", name)
