"""Notices as text for people: title and body, short enough for a lock screen. Pure.

Names, reasons and transcripts come from strangers: `sanitized` keeps them short, on one line, and free of
mentions and links.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping, Sequence
from datetime import datetime, tzinfo
from typing import Any

import phonenumbers

Data = Mapping[str, Any]

MAX_NAME_CHARS = 60
MAX_WHY_CHARS = 300
MAX_SAID_CHARS = 200
MAX_LINES_SAID = 3
LATE_S = 600.0
"""A notice delivered later than this says when it happened."""

_ENDED = {
    "bridged": "Put through",
    "declined": "Turned away",
    "voicemail": "Sent to voicemail",
    "caller left": "Hung up",
    "refused": "Turned away",
    "unanswered": "Not reached",
    "cut": "Cut off",
}
_STAGES = {
    "door": "before anybody had answered",
    "challenge": "when asked to press a key",
    "agent": "while the assistant was asking",
    "phone": "while the phone was ringing",
}
_EVERYONE = re.compile(r"@(?=everyone|here|channel|all\b)", re.IGNORECASE)


def message(
    event: str, data: Data, at: str, now: datetime, zone: tzinfo, link: str | None = None
) -> tuple[str, str]:
    """Title and body of a notice; `at` is when it happened, in ISO 8601."""
    match event:
        case "call.screened" | "call.missed" | "voicemail.new":
            title, lines = _of_call(event, data)
        case "budget.warning":
            title, lines = ("Budget spent" if data["reached"] else "Budget warning"), [budget(data)]
        case "model.warning":
            title, lines = ("Model shut down" if data["over"] else "Model ends soon"), [data["summary"]]
        case _:
            title, lines = "Test notice", [str(data.get("summary") or "")]
    if (late := _late(at, now, zone)) is not None:
        lines.append(late)
    return title, "\n".join([*filter(None, lines), *([link] if link else [])])


def summary(data: Data, said: Sequence[str]) -> str:
    """Result, reason and first words of a call in a few sentences; `said` are the caller's own lines."""
    parts = [_happened(data), _sentence(sanitized(data.get("why"), MAX_WHY_CHARS))]
    if data.get("message"):
        parts.append(f"Message: {_sentence(sanitized(data['message'], MAX_WHY_CHARS))}")
    if quoted := _quoted(said):
        parts.append(f"Said: {quoted}")
    return " ".join(filter(None, parts))


def budget(data: Data) -> str:
    """A budget warning in a sentence or two."""
    numbers = [number(data[key]) for key in ("dialed", "caller") if data.get(key)]
    scope = f" ({', '.join(numbers)})" if numbers else ""
    done = " Callers are no longer asked by the assistant." if data["reached"] else ""
    return f"{data['percent']} % of {data['cap']}{scope} is spent: {data['spent']}.{done}"


def caller_label(data: Data) -> str:
    """The caller for people: name and number."""
    name = sanitized(data.get("caller_name"), MAX_NAME_CHARS)
    shown = number(data.get("caller"))
    return f"{name}, {shown}" if name and data.get("caller") else name or shown


def number(text: str | None) -> str:
    """A number in international format: ``+1 415-555-0100``."""
    if not text:
        return "a withheld number"
    try:
        parsed = phonenumbers.parse(text)
    except phonenumbers.NumberParseException:
        return sanitized(text, MAX_NAME_CHARS)
    return phonenumbers.format_number(parsed, phonenumbers.PhoneNumberFormat.INTERNATIONAL)


def sanitized(text: object, max_chars: int) -> str:
    """Sanitise a stranger's text: short, one line, nothing that chat services interpret."""
    if not isinstance(text, str):
        return ""
    spaced = text[: 8 * max_chars]
    if not spaced.isprintable():
        spaced = "".join(" " if unicodedata.category(c)[0] in "CZ" else c for c in spaced)
    line = " ".join(spaced.split()).replace("<", "‹").replace(">", "›")
    clean = _EVERYONE.sub("@ ", line).replace("](", "] (")  # a Markdown link can hide its target
    return clean if len(clean) <= max_chars else clean[: max_chars - 1].rstrip() + "…"


def _of_call(event: str, data: Data) -> tuple[str, list[str]]:
    said = str(data.get("summary") or "")
    lines = [said, f"Called: {number(data['dialed'])}" if data.get("dialed") not in (None, "*") else ""]
    if event == "call.missed":
        return f"Missed call: {caller_label(data)}", lines
    if event == "voicemail.new":
        if not data.get("voicemail"):
            return f"Message from {caller_label(data)}", lines
        if heard := sanitized(data.get("voicemail_transcript"), MAX_WHY_CHARS):
            lines.insert(0, f"“{heard}”")
        return f"Voicemail from {caller_label(data)}{_length(data.get('voicemail_s'))}", lines
    return f"{_ended(data)}: {caller_label(data)}", lines


def _ended(data: Data) -> str:
    if data.get("result") == "bridged" and data.get("decision") is None:
        return "Put through unscreened"
    return _ENDED.get(str(data.get("result")), "Screened")


def _happened(data: Data) -> str:
    result = data.get("result")
    if result == "caller left":
        return f"Hung up {_STAGES.get(str(data.get('stage')), 'early')}."
    if result == "voicemail":
        left = data.get("voicemail") or data.get("message")
        return "Left a message." if left else "Was sent to voicemail, and left no message."
    said = {
        "bridged": "Put through to the phone.",
        "declined": "Turned away by the assistant.",
        "refused": "Turned away.",
        "unanswered": "Nobody took the call.",
        "cut": "The call was cut off on our side.",
    }
    return said.get(str(result), "")


def _quoted(said: Sequence[str]) -> str:
    begun = said[: 2 * MAX_LINES_SAID]  # some lines may be empty after cleaning
    lines = [line for text in begun if (line := sanitized(text, MAX_SAID_CHARS))]
    return sanitized(" ".join(f"“{line}”" for line in lines[:MAX_LINES_SAID]), 2 * MAX_SAID_CHARS)


def _sentence(text: str) -> str:
    return text if not text or text[-1] in ".!?…" else f"{text}."


def _length(seconds: object) -> str:
    if not isinstance(seconds, int | float):
        return ""
    minutes, rest = divmod(round(seconds), 60)
    return f" ({minutes}:{rest:02})"


def _late(at: str, now: datetime, zone: tzinfo) -> str | None:
    try:
        happened = datetime.fromisoformat(at)
    except ValueError:
        return None
    if (now - happened).total_seconds() < LATE_S:
        return None
    return f"On {happened.astimezone(zone):%A %d %B at %H:%M %Z}"
