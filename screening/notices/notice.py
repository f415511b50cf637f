"""What the user is told of: four events, from the record of a call that is over, or by the budget. Pure."""

from __future__ import annotations

import enum
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import PurePath
from typing import Any, Protocol

from screening.notices import text

Record = Mapping[str, Any]
"""The record of a call as plain values, ready for JSON; fields that it does not have are None."""

MAX_TRANSCRIPT_CHARS = 50_000
"""Of what was said; the lines after that are left out."""
_COPIED = (
    "call", "caller", "caller_name", "dialed", "began", "answered", "ended", "plan", "decision", "why",
    "trigger", "ended_by", "voicemail_s", "recording_s", "cost",
)  # fmt: skip
_FILES = ("voicemail", "recording")
ANSWERED_ELSEWHERE = "sip;cause=200"
"""In what a CANCEL gave for its reason."""


class Event(enum.Enum):
    """What has happened; the words are those of the settings and of a webhook's ``type``."""

    SCREENED = "call.screened"
    """A caller was asked in, whatever came of it."""
    MISSED = "call.missed"
    """A caller left, or was left, without anybody having been reached, turned away or left a message."""
    VOICEMAIL = "voicemail.new"
    """A caller left a message."""
    BUDGET = "budget.warning"
    """A limit of the costs comes near, or is reached."""
    TEST = "test"
    """Somebody wants to know whether notices arrive; no settings name it."""


@dataclass(frozen=True, slots=True)
class Notice:
    """One thing to tell."""

    id: str
    """The same however often it is told."""
    event: Event
    at: str
    """When it happened, in ISO 8601."""
    data: Mapping[str, Any]
    dialed: str | None = None
    """The number that was called; None for what concerns all of them."""

    def payload(self) -> dict[str, Any]:
        """What a webhook gets, and what is kept until it is told (Standard Webhooks)."""
        return {"type": self.event.value, "timestamp": self.at, "data": dict(self.data)}


class Budget(Protocol):
    """A limit of the costs that comes near, or is reached, as those who count them say it."""

    @property
    def cap(self) -> str: ...  # its key in the settings

    @property
    def dialed(self) -> str | None: ...  # the number that it is of; None for the one over all

    @property
    def caller(self) -> str | None: ...  # the caller that it is of, if it is one's

    @property
    def spent(self) -> str: ...  # ``4.02 of 5 USD``

    @property
    def share(self) -> float: ...  # 1.0 once it is reached

    @property
    def day(self) -> date: ...

    @property
    def reached(self) -> bool: ...  # whether callers are no longer asked because of it


def of_call(record: Record, *, words: bool) -> list[Notice]:
    """What is told of a call that is over, the most telling last; `words`: what was said may be told, too."""
    data = _data(record, words=words)
    at = data["ended"] or data["began"] or ""
    return [
        Notice(f"{data['call']}-{event.value.replace('.', '-')}", event, at, data, data["dialed"])
        for event in _events(record)
    ]


def of_budget(budget: Budget, at: datetime) -> Notice:
    """What is told of a limit; the same of the same day is the same notice."""
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
    return Notice(f"budget-{short(named)}", Event.BUDGET, _iso(at), data, budget.dialed)


def of_test(named: str, at: datetime) -> Notice:
    """Something to see whether it arrives."""
    summary = "This is a test of Screendoor's notices. If you can read it, they arrive."
    return Notice(named, Event.TEST, _iso(at), {"summary": summary})


def short(text: str) -> str:
    """A few characters that stand for a text, fit for an id."""
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
    """Whether an agent spoke with the caller, or a gate was before him; not where it never came to that."""
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
    """Whether nobody was reached: not where the caller was connected, turned away, or declined by the agent.

    Whoever had the chance to leave a message, and left none, was missed.
    """
    missed = _result(record) in ("caller left", "unanswered", "cut", "voicemail")
    return missed and not _taken_elsewhere(record)


def _taken_elsewhere(record: Record) -> bool:
    """Whether the carrier rang others beside us, and took its call back as one of them had answered."""
    legs = [leg for leg in record.get("legs") or () if leg.get("name") == "caller"]
    told = any(ANSWERED_ELSEWHERE in (leg.get("peer_reason") or "").lower() for leg in legs)
    return told and record.get("answered") is None


def _result(record: Record) -> str | None:
    return (record.get("outcome") or {}).get("result")


def _data(record: Record, *, words: bool) -> dict[str, Any]:
    data = {key: _clean(record.get(key)) for key in _COPIED}
    data |= {key: PurePath(record[key]).name if record.get(key) else None for key in _FILES}
    outcome = record.get("outcome") or {}
    data["result"], data["reason"] = outcome.get("result"), _clean(outcome.get("reason"))
    data["stage"], data["message"] = _stage(record), _message(record)
    said = [line for line in record.get("transcript") or () if line.get("text")]
    data["summary"] = text.summary(data, [_clean(line["text"]) for line in _callers(said) if words])
    if words:
        data["voicemail_transcript"] = _clean(record.get("voicemail_transcript"))
        data["transcript"] = _bounded(said)
    return data


def _message(record: Record) -> str | None:
    """The message that the agent took for the user: with the number to call back, if one was said."""
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
    """How far a caller got who reached nobody; None for the others."""
    if not _missed(record):
        return None
    if record.get("trigger"):
        return "phone"
    if record.get("challenge_passed") is False:
        return "challenge"
    return "agent" if _met_agent(record) else "door"


def _clean(value: Any) -> Any:
    """Text as every store and reader takes it: no half characters, no NUL."""
    if isinstance(value, str) and not value.isprintable():
        return value.encode("utf-8", "replace").decode().replace("\0", "")
    return value
