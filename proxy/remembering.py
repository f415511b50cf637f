"""What the settings say of the memory, and what the house tells it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from proxy.call.record import CallRecord
from proxy.config import Settings
from proxy.config.memory import OFF

if TYPE_CHECKING:
    from screening.memory.live_lists import LiveLists
    from screening.memory.store import Memory


@dataclass(frozen=True, slots=True)
class Remembered:
    """What a running house remembers with."""

    memory: Memory
    lists: LiveLists


def memory(settings: Settings, process: str, wall_clock: Callable[[], datetime]) -> Remembered | None:
    """The memory, not started, and its lists; None where it is off. Raises `Unusable`, an OSError."""
    told = settings.memory
    if told.url == OFF:
        return None
    from screening.memory.database import Database  # here: they take a while, and not everybody needs them
    from screening.memory.live_lists import LOOK_EVERY_S, LiveLists
    from screening.memory.processes import SEEN_EVERY_S, Presence
    from screening.memory.retention import STEP_EVERY_S, Retention
    from screening.memory.store import Memory

    kept = Memory(Database(told.url), process=process, transcripts=told.transcripts == "on")
    presence, lists = Presence(process, wall_clock), LiveLists(wall_clock)
    kept.every(SEEN_EVERY_S, presence.say)
    kept.every(LOOK_EVERY_S, lists.look)
    if told.keep_days:
        kept.every(STEP_EVERY_S, Retention(told.keep_days, wall_clock).step)
    kept.at_the_end(presence.leave)
    return Remembered(kept, lists)


def lists(settings: Settings) -> LiveLists | None:
    """The lists as they are now, for the command line; None where there are none.

    Raises OSError where the database cannot be read.
    """
    told = settings.memory
    if told.url == OFF:
        return None
    from screening.memory.database import Database
    from screening.memory.errors import Away, Unusable
    from screening.memory.live_lists import LiveLists

    database = Database(told.url)
    if database.file is not None and not Path(database.file).exists():
        return None
    found = LiveLists(lambda: datetime.now(UTC))
    try:
        with database.connect() as connection, connection.begin():
            found.look(connection)
    except Away as away:
        raise Unusable(str(away)) from away
    return found


def words_to(memory: Memory) -> Callable[[CallRecord], None]:
    """Keeps what was said in messages, for `Transcribing` to tell it."""
    from screening.memory.history import set_transcript

    def told(record: CallRecord) -> None:
        if (text := record.voicemail_transcript) is not None:
            memory.later(partial(set_transcript, name=record.call, text=text))

    return told
