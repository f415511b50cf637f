"""Builds the call memory from the settings, and the functions through which other parts write to it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import structlog

from proxy.call.record import CallRecord
from proxy.config import Settings
from proxy.config.memory import OFF
from proxy.observe.capture import Capture
from proxy.observe.trace import TracedMessage
from proxy.services import policy_setup
from screening.callers.recent import MAX_CALLERS, RecentCalls
from screening.contract import Caller, Wish
from screening.screener import ANY_NUMBER

log = structlog.get_logger("screendoor")

if TYPE_CHECKING:
    from screening.memory.live_lists import LiveLists
    from screening.memory.store import Memory

RESTORE_TIMEOUT_S = 10.0
"""How long restoring waits for the memory."""
ONE_DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class RunningMemory:
    """The memory of a running process, and its live lists."""

    memory: Memory
    lists: LiveLists


def build_memory(
    settings: Settings,
    process: str,
    wall_clock: Callable[[], datetime],
    clock: Callable[[], float] = time.monotonic,
) -> RunningMemory | None:
    """The memory, not yet started, and its lists; None if disabled. Raises `Unusable`, an OSError.

    `clock` is monotonic.
    """
    config = settings.memory
    if config.url == OFF:
        return None
    from screening.memory.database import Database  # imported here: slow, and not always needed
    from screening.memory.live_lists import REFRESH_S, LiveLists
    from screening.memory.orphaned_files import CallFolders
    from screening.memory.processes import HEARTBEAT_S, ProcessRegistration
    from screening.memory.retention import STEP_S, Retention
    from screening.memory.store import Memory

    built = Memory(Database(config.url), process=process, transcripts=config.transcripts == "on", clock=clock)
    files = CallFolders(settings.screening.voicemail_dir, settings.screening.recording_dir)
    presence = ProcessRegistration(process, wall_clock, folders=files, clock=clock)
    lists = LiveLists(wall_clock, built.enqueue)
    built.every(HEARTBEAT_S, presence.heartbeat)
    built.every(REFRESH_S, lists.refresh)
    if config.keep_days:
        built.every(STEP_S, Retention(config.keep_days, wall_clock, clock=clock).step)
    built.on_close(presence.leave)
    return RunningMemory(built, lists)


def load_lists(settings: Settings) -> LiveLists | None:
    """A snapshot of the database's lists for the command line; None if there is no database.

    Raises OSError if it cannot be read.
    """
    config = settings.memory
    if config.url == OFF:
        return None
    from screening.memory.database import Database
    from screening.memory.errors import Unavailable, Unusable
    from screening.memory.live_lists import LiveLists

    database = Database(config.url)
    if database.file is not None and not Path(database.file).exists():
        return None
    found = LiveLists(lambda: datetime.now(UTC))
    try:
        with database.transaction(read_only=True) as connection:
            found.refresh(connection)
    except Unavailable as away:
        raise Unusable(str(away)) from away
    return found


def wish_recorder(
    memory: Memory, settings: Settings, wall_clock: Callable[[], datetime]
) -> Callable[[Caller, Wish], None]:
    """Make the callback that stores whom the user blocks or trusts by a key, for the number they called."""
    from screening.memory.lists import ALLOW, BLOCK, Entry, normalized, put

    countries = {number.dialed: policy_setup.country(settings, number) for number in settings.numbers}

    def remember(caller: Caller, wish: Wish) -> None:
        which = BLOCK if wish is Wish.BLOCK else ALLOW
        try:
            number = normalized(which, caller.number or "", countries[caller.dialed])
        except ValueError as error:
            log.warning("not remembered", call=caller.call, wish=wish.value, why=str(error))
            return
        dialed = None if caller.dialed == ANY_NUMBER else caller.dialed
        entry = Entry(which, number, caller.name, dialed, note="by a key at the phone")
        memory.enqueue(lambda connection: put(connection, entry, wall_clock()))
        log.info("remembered", call=caller.call, wish=wish.value)

    return remember


async def restore(recent: RecentCalls, memory: Memory, now: datetime, again: bool = False) -> bool:
    """Restore the callers of the last day, so that a repeated call is recognised after a restart.

    `now` is when we started. Returns False if the database is unavailable; the warning is logged unless
    `again`.
    """
    from screening.memory.errors import Unavailable
    from screening.memory.history import recent_callers

    try:
        async with asyncio.timeout(RESTORE_TIMEOUT_S):
            calls = await memory.ask(
                lambda connection: recent_callers(connection, now - ONE_DAY, now, MAX_CALLERS, memory.process)
            )
    except (Unavailable, TimeoutError) as error:
        why = str(error) or f"it took longer than {RESTORE_TIMEOUT_S:g} s"
        if not again:
            log.warning("callers before this start are not known yet", why=why)
        return False
    recent.restore(calls)
    return True


def sip_capture(settings: Settings, memory: Memory | None) -> Capture | None:
    """A SIP capture that stores its traces in the memory, if enabled."""
    if memory is None or settings.memory.sip == "off":
        return None
    from screening.memory import sip_trace

    def keep(call: str, messages: Sequence[TracedMessage]) -> None:
        if memory.outage:  # large, and an outage may last hours
            log.warning("SIP of a call not kept", call=call, why=memory.outage)
        else:
            memory.enqueue(
                lambda connection: sip_trace.store(connection, call, [each.as_dict() for each in messages])
            )

    return Capture(keep)


def transcript_recorder(memory: Memory) -> Callable[[CallRecord], None]:
    """Make the callback that stores voicemail transcripts, for `VoicemailTranscriber`."""
    from screening.memory.history import set_transcript

    def store_transcript(record: CallRecord) -> None:
        if (text := record.voicemail_transcript) is not None:
            memory.enqueue(partial(set_transcript, name=record.call, text=text))

    return store_transcript
