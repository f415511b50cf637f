"""Call records for the notice tests."""

from __future__ import annotations

from typing import Any

CALLER, DIALED = "+14155550148", "+14155551234"


def leg(name: str, *, answered: bool = True) -> dict[str, Any]:
    return {"name": name, "answered": "2026-11-22T09:00:01.000+00:00" if answered else None}


def record(result: str = "bridged", *legs: dict[str, Any], **more: Any) -> dict[str, Any]:
    """A call that the agent allowed and that was put through, with changes."""
    return {
        "call": "9c3adbea6361",
        "caller": CALLER,
        "dialed": DIALED,
        "began": "2026-11-22T09:00:00.000+00:00",
        "answered": "2026-11-22T09:00:01.000+00:00",
        "ended": "2026-11-22T09:01:00.000+00:00",
        "outcome": {"result": result, "reason": "so it went"},
        "plan": "ask: level: the caller is not known (unknown)",
        "decision": "ALLOW",
        "trigger": None,
        "why": "Calls about the delivery",
        "ended_by": "caller",
        "voicemail": None,
        "voicemail_s": None,
        "recording": None,
        "recording_s": None,
        "legs": list(legs) or [leg("caller"), leg("agent")],
        "steps": [],
        "transcript": [
            {"speaker": "agent", "text": "Who is calling, please?", "at_s": 0.5},
            {"speaker": "caller", "text": "It is Anna, about the parcel.", "at_s": 2.0},
        ],
    } | more
