"""Derives notices from call records and budget warnings. Pure."""

from __future__ import annotations

import enum
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import PurePath
from typing import Any, Protocol

from screening.contract import answered_elsewhere
from screening.notices import text

Record = Mapping[str, Any]
"""A call record as plain values, ready for JSON; missing fields count as None."""

MAX_TRANSCRIPT_CHARS = 50_000
"""Transcripts are cut after this many characters."""
_COPIED = (
    "call", "caller", "caller_name", "dialed", "began", "answered", "ended", "plan", "decision", "why",
    "trigger", "ended_by", "voicemail_s", "recording_s", "cost",
)  # fmt: skip
_FILES = ("voicemail", "recording")


class Event(enum.Enum):
    """What happened; the values are those of the settings and of a webhook's ``type``."""

    SCREENED = "call.screened"
    """A caller was screened, whatever the outcome."""
    MISSED = "call.missed"
    """A caller reached nobody, was not turned away, and left no message."""
    VOICEMAIL = "voicemail.new"
    """A caller left a message."""
    BUDGET = "budget.warning"
    """A budget is nearly spent, or spent."""
    MODEL = "model.warning"
    """A model in the settings is shut down soon, or was."""
    TEST = "test"
    """A test of the delivery; not available in the settings."""


@dataclass(frozen=True, slots=True)
class Notice:
    """One event to notify."""

    id: str
    """The same whenever it is sent."""
    event: Event
    at: str
    """When it happened, in ISO 8601."""
    data: Mapping[str, Any]
    dialed: str | None = None
    """The number that was called; None if it concerns all numbers."""

    def payload(self) -> dict[str, Any]:
        """The body of a webhook (Standard Webhooks), also stored in the outbox."""
        return {"type": self.event.value, "timestamp": self.at, "data": dict(self.data)}


class Budget(Protocol):
    """A budget warning, as `screening.costs` makes it."""

    @property
    def cap(self) -> str: ...  # its key in the settings

    @property
    def dialed(self) -> str | None: ...  # the number it applies to; None: all numbers

    @property
    def caller(self) -> str | None: ...  # the caller it applies to, if any

    @property
    def spent(self) -> str: ...  # ``4.02 of 5 USD``

    @property
    def share(self) -> float: ...  # 1.0 when it is reached

    @property
    def day(self) -> date: ...

    @property
    def reached(self) -> bool: ...  # whether callers now bypass the agent because of it


class Shutdown(Protocol):
    """The shutdown of a model, as `screening.openai` knows it."""

    @property
    def at(self) -> str: ...  # what uses the model, as in ``agent openai: model``

    @property
    def model(self) -> str: ...

    @property
    def ends(self) -> date: ...

    @property
    def instead(self) -> str: ...  # the model to use in its place

    @property
    def over(self) -> bool: ...  # whether it has been shut down

    @property
    def stage(self) -> str: ...  # there is one notice of each


def call_notices(record: Record, *, with_transcript: bool) -> list[Notice]:
    """Notices of a call that ended, the most important last. `with_transcript`: include the transcript."""
    data = _data(record, with_transcript=with_transcript)
    at = data["ended"] or data["began"] or ""
    return [
        Notice(f"{data['call']}-{event.value.replace('.', '-')}", event, at, data, data["dialed"])
        for event in _events(record)
    ]


def budget_notice(budget: Budget, at: datetime) -> Notice:
    """The notice of a budget warning; it has the same id when repeated on the same day."""
    data: dict[str, Any] = {
        "cap": budget.cap,
        "dialed": budget.dialed,
        "caller": budget.caller,
        "spent": budget.spent,
        "percent": round(100 * budget.share),
        "day": budget.day.isoformat(),
        "reached": budget.reached,
    }
    named = "-".join(str(data[key]) for key in ("cap", "dialed", "caller", "day", "reached"))
    data["summary"] = text.budget(data)
    return Notice(f"budget-{digest(named)}", Event.BUDGET, _iso(at), data, budget.dialed)


def shutdown_notice(shutdown: Shutdown, at: datetime) -> Notice:
    """The notice of a model's shutdown; it has the same id when repeated at the same stage."""
    data: dict[str, Any] = {
        "used_by": shutdown.at,
        "model": shutdown.model,
        "ends": shutdown.ends.isoformat(),
        "instead": shutdown.instead,
        "over": shutdown.over,
        "summary": str(shutdown),
    }
    named = f"{shutdown.at}-{shutdown.model}-{shutdown.ends}-{shutdown.stage}"
    return Notice(f"model-{digest(named)}", Event.MODEL, _iso(at), data)


def trial_notice(named: str, at: datetime) -> Notice:
    """A notice for testing the delivery."""
    summary = "This is a test of Screendoor's notices. If you can read it, they arrive."
    return Notice(named, Event.TEST, _iso(at), {"summary": summary})


def digest(text: str) -> str:
    """A short digest of a text, for ids."""
    return hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()[:12]


def _iso(at: datetime) -> str:
    return at.isoformat(timespec="milliseconds")


def _events(record: Record) -> list[Event]:
    found = []
    if _screened(record):
        found.append(Event.SCREENED)
    if _left_message(record):
        found.append(Event.VOICEMAIL)
    elif _missed(record):
        found.append(Event.MISSED)
    return found


def _screened(record: Record) -> bool:
    """Whether the caller talked to an agent or met the challenge."""
    kind = str(record.get("plan") or "").partition(":")[0]
    if kind == "challenge":
        return record.get("answered") is not None
    if record.get("challenge_passed"):
        return True
    return record.get("decision") is not None or (kind == "ask" and _met_agent(record))


def _met_agent(record: Record) -> bool:
    return any(leg.get("name") == "agent" and leg.get("answered") for leg in record.get("legs") or ())


def _left_message(record: Record) -> bool:
    return bool(record.get("voicemail") or record.get("message"))


def _missed(record: Record) -> bool:
    """Whether the caller reached nobody: not connected, refused or declined by the agent.

    A caller who was offered voicemail but left no message counts as missed.
    """
    missed = _result(record) in ("caller left", "unanswered", "cut", "voicemail")
    return missed and not _taken_elsewhere(record)


def _taken_elsewhere(record: Record) -> bool:
    """Whether the carrier rang several endpoints and cancelled ours because another answered."""
    legs = [leg for leg in record.get("legs") or () if leg.get("name") == "caller"]
    elsewhere = any(answered_elsewhere(leg.get("peer_reason")) for leg in legs)
    return elsewhere and record.get("answered") is None


def _result(record: Record) -> str | None:
    return (record.get("outcome") or {}).get("result")


def _data(record: Record, *, with_transcript: bool) -> dict[str, Any]:
    data = {key: _clean(record.get(key)) for key in _COPIED}
    data |= {key: PurePath(record[key]).name if record.get(key) else None for key in _FILES}
    outcome = record.get("outcome") or {}
    data["result"], data["reason"] = outcome.get("result"), _clean(outcome.get("reason"))
    data["stage"], data["message"] = _stage(record), _message(record)
    said = [line for line in record.get("transcript") or () if line.get("text")]
    data["summary"] = text.summary(data, [_clean(line["text"]) for line in _callers(said) if with_transcript])
    if with_transcript:
        data["voicemail_transcript"] = _clean(record.get("voicemail_transcript"))
        data["transcript"] = _bounded(said)
    return data


def _message(record: Record) -> str | None:
    """The text of a message that the agent took, with urgency and call-back number."""
    message = record.get("message")
    if isinstance(message, Mapping):
        back = f" Call back: {message['call_back']}" if message.get("call_back") else ""
        message = f"{'Urgent: ' if message.get('urgent') else ''}{message.get('text') or ''}{back}"
    return _clean(message) or None


def _callers(said: Sequence[Record]) -> list[Record]:
    return [line for line in said if line.get("speaker") == "caller"]


def _bounded(said: Sequence[Record]) -> list[dict[str, Any]]:
    kept, chars = [], 0
    for line in said:
        chars += len(line["text"])
        if chars > MAX_TRANSCRIPT_CHARS:
            break
        kept.append({key: _clean(value) for key, value in line.items()})
    return kept


def _stage(record: Record) -> str | None:
    """How far a missed caller got; None for other calls."""
    if not _missed(record):
        return None
    if record.get("trigger"):
        return "phone"
    if record.get("challenge_passed") is False:
        return "challenge"
    return "agent" if _met_agent(record) else "door"


def _clean(value: Any) -> Any:
    """Text that every database and receiver accepts: no lone surrogates, no NUL."""
    if isinstance(value, str) and not value.isprintable():
        return value.encode("utf-8", "replace").decode().replace("\0", "")
    return value
