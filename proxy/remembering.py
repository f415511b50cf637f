"""What the settings say of the memory, and what the house tells it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING

from proxy.config import Settings

if TYPE_CHECKING:
    from screening.memory.store import Memory


def memory(settings: Settings, process: str, wall_clock: Callable[[], datetime]) -> Memory | None:
    """The memory, not started; None where it is off. Raises `Unusable`, which is an OSError."""
    told = settings.memory
    if told.url == "off":
        return None
    from screening.memory.database import Database  # here: they take a while, and whoever has it off has none
    from screening.memory.processes import SEEN_EVERY_S, Presence
    from screening.memory.store import Memory

    kept = Memory(Database(told.url), process=process, transcripts=told.transcripts == "on")
    presence = Presence(process, wall_clock)
    kept.every(SEEN_EVERY_S, presence.say)
    kept.at_the_end(presence.leave)
    return kept
