"""Call records for the memory tests."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from screening.memory.store import Memory

AT = datetime(2026, 11, 22, 9, 0, tzinfo=UTC)
CALLER = "+13475550148"


def a_record(call: str = "c1", **told: Any) -> dict[str, Any]:
    """A record as `CallRecord.as_dict` gives it."""
    return {
        "call": call,
        "caller": CALLER,
        "dialed": "+14155551234",
        "began": "2026-11-22T09:00:00.000+00:00",
        "caller_name": "Grace",
        "answered": "2026-11-22T09:00:01.000+00:00",
        "ended": "2026-11-22T09:01:00.000+00:00",
        "outcome": {"result": "bridged", "reason": "the caller talked to the phone"},
        "plan": "ask: level: the caller is not known (unknown)",
        "decision": "ALLOW",
        "trigger": "refer",
        "why": "a plausible reason",
        "ended_by": "caller",
        "voicemail": None,
        "voicemail_s": None,
        "recording": None,
        "recording_s": None,
        "announced": None,
        "legs": [],
        "steps": ["caller answered"],
        "transcript": [
            {"speaker": "agent", "text": "Who is calling?", "at_s": 0.5},
            {"speaker": "caller", "text": "Grace.", "at_s": 2.0},
        ],
    } | told


def finish(memory: Memory, record: Mapping[str, Any]) -> None:
    """End the call of this record."""
    kept = {name: value for name, value in record.items() if name != "transcript"}
    memory.finished(lambda: record, lambda: json.dumps(kept, ensure_ascii=False))
