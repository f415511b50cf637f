"""A memory (the call database) filled with sample calls, messages and list entries."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from screening.memory import lists
from screening.memory.database import Database
from screening.memory.store import Memory
from tests.screening.memory.records import finish

BEGAN = datetime(2026, 11, 22, 9, 0, tzinfo=UTC)
ANNA, BOB = "+14155550100", "+14155550199"


def a_record(name: str, minute: int, caller: str = ANNA, **told: Any) -> dict[str, Any]:
    """The record of a call that ended in a message; `told` overrides its fields."""
    began = BEGAN + timedelta(minutes=minute)
    return {
        "call": name,
        "caller": caller,
        "caller_name": "Anna \udcff",
        "dialed": "+14155551234",
        "began": began.isoformat(timespec="milliseconds"),
        "answered": None,
        "ended": (began + timedelta(seconds=30)).isoformat(timespec="milliseconds"),
        "outcome": {"result": "voicemail", "reason": "it can wait"},
        "plan": "ask: the default",
        "decision": "VOICEMAIL",
        "trigger": None,
        "why": "Anna, about the boiler",
        "ended_by": "caller",
        "voicemail": None,
        "voicemail_s": None,
        "recording": None,
        "recording_s": None,
        "legs": [],
        "steps": ["caller answered", "voicemail"],
        "transcript": [{"speaker": "caller", "text": "It is Anna.", "at_s": 1.5}],
    } | told


TAKEN: dict[str, Any] = {
    "message": {
        "text": "The cake is ready.", "caller_name": "Bob", "call_back": "415 555 0199", "urgent": True,
    },
    "verification": {
        "result": "passed", "attest": "A", "diverted": False, "origid": None, "source": "header", "why": "",
    },
    "cost": {
        "agent": "openai", "model": "gpt-realtime-2.1", "minutes": 0.5, "tokens": 210, "money": 0.0123,
        "currency": "USD", "of_kind": {},
    },
}  # fmt: skip
"""Fields of a record for a message that the agent took."""


@contextmanager
def a_memory(tmp: Path) -> Iterator[Memory]:
    """Five calls and two list entries.

    Calls 1 to 3 have a message: one present, one missing, and one outside the messages' folder.
    """
    folder = tmp / "voicemail"
    folder.mkdir(exist_ok=True)
    (folder / "call1.wav").write_bytes(b"RIFF" + bytes(40))
    (tmp / "secret.wav").write_bytes(b"secret")
    memory = Memory(Database(f"sqlite:///{tmp}/screendoor.db"), process="test")
    memory.start()
    try:
        for n in range(5):
            finish(memory, a_record(f"call{n}", n, BOB if n == 4 else ANNA, **_message(folder, n)))
        block = lists.Entry(lists.BLOCK, "+1900*", note="dear")
        contact = lists.Entry(lists.CONTACT, ANNA, "Anna")
        for entry in (block, contact):
            memory.submit(lambda c, entry=entry: lists.put(c, entry, BEGAN)).result(10)
        yield memory
    finally:
        memory.close()


def _message(folder: Path, n: int) -> dict[str, Any]:
    files = {1: folder / "call1.wav", 2: folder / "gone.wav", 3: folder.parent / "secret.wav"}
    return {"voicemail": str(files[n]), "voicemail_s": 3.0} if n in files else {}
