"""Stored calls, voicemails and lists for the API; queries run in the memory's thread."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import Connection

from proxy.config import Settings
from proxy.observe.pcapng import pcapng
from proxy.observe.trace import TracedMessage
from proxy.services import costs, erasure, number_matching, policy_setup
from proxy.transport.flow import format_address
from proxy.web.api.backend import BackendUnavailable, CallFilter, InvalidRequest, Row
from screening.callers.contacts import Contacts, read
from screening.memory import errors, history, lists, privacy, sip_trace
from screening.memory.store import Memory

T = TypeVar("T")
DATABASE_NAMES = {"contacts": lists.CONTACT}
"""Lists that have another name in the database."""
MAX_REMARKS = 100


class StoredArchive:
    """Implements `web.api.backend.Archive` on a started memory."""

    def __init__(self, settings: Settings, memory: Memory) -> None:
        self._settings, self._memory = settings, memory
        self._folder = settings.screening.voicemail_dir
        self._importing = asyncio.Lock()

    async def calls(self, sought: CallFilter, after: Sequence[Any] | None, limit: int) -> Sequence[Row]:
        """Calls, newest first."""
        wanted = history.CallFilter(
            sought.since,
            sought.until,
            caller=(caller := sought.caller and self._caller(sought.caller)),
            dialed=sought.dialed and number_matching.dialed_of(self._settings, sought.dialed),
            result=sought.result,
            decision=sought.decision and sought.decision.upper(),
            same_caller=number_matching.same_caller(self._settings, caller or ""),
        )
        cursor = _cursor(after)
        return await self._ask(lambda c: history.find_calls(c, wanted, after=cursor, limit=limit))

    async def call(self, name: str) -> Row | None:
        """One call in detail."""
        row = await self._ask(lambda c: history.get_call(c, name))
        return None if row is None else call_row(row)

    async def trace(self, call: str) -> Sequence[Row]:
        """Its SIP messages, as the API shows them."""
        return [trace_row(message) for message in await self._messages(call)]

    async def capture(self, call: str) -> bytes:
        """Its SIP messages as pcapng; empty if none are stored."""
        messages = await self._messages(call)
        return await asyncio.to_thread(pcapng, messages) if messages else b""

    async def _messages(self, call: str) -> list[TracedMessage]:
        return [TracedMessage.of(each) for each in await self._ask(lambda c: sip_trace.load(c, call))]

    async def entries(
        self, name: str, number: str | None, after: Sequence[Any] | None, limit: int
    ) -> Sequence[Row]:
        """Entries of a list, newest first."""
        which, cursor = DATABASE_NAMES.get(name, name), _id_cursor(after)
        sought = None if number is None else self._written(which, number, None)
        return await self._ask(
            lambda c: lists.find_entries(c, which, number=sought, after=cursor, limit=limit)
        )

    async def entry(self, name: str, number: int) -> Row | None:
        """One entry."""
        return await self._ask(lambda c: lists.get_entry(c, number, DATABASE_NAMES.get(name, name)))

    async def put(self, name: str, entry: Row, number: int | None) -> tuple[Row, bool]:
        """Insert or replace an entry."""
        which = DATABASE_NAMES.get(name, name)
        if entry["dialed"] is not None and entry["dialed"] not in (n.dialed for n in self._settings.numbers):
            raise InvalidRequest("dialed: none of the numbers of the settings")
        if entry["calls"] is not None and which != lists.EXPECTED:
            raise InvalidRequest("calls: only expected ones are counted")
        now = datetime.now(UTC)
        if entry["until"] is not None and entry["until"] <= now:
            raise InvalidRequest("until: it is over")
        made = lists.Entry(
            which,
            self._written(which, entry["number"], entry["dialed"]),
            entry["name"],
            entry["dialed"],
            entry["until"],
            entry["note"],
            entry["calls"],
        )

        def work(connection: Connection) -> tuple[Row, bool]:
            entry_id, new = lists.put(connection, made, now, number)
            kept = lists.get_entry(connection, entry_id)
            assert kept is not None, "within one transaction"
            return kept, new

        return await self._ask(work)

    async def remove(self, name: str, number: int) -> bool:
        """Delete an entry from its list."""
        return await self._ask(lambda c: lists.remove(c, number, DATABASE_NAMES.get(name, name)))

    async def imported(self, file: bytes) -> Row:
        """Import the contacts of a file, one file at a time."""
        async with self._importing:
            imported_file = await asyncio.to_thread(read, file, self._country(None))
            if not imported_file.rows and not imported_file.without_number:
                raise InvalidRequest(str(imported_file.bad[0]) if imported_file.bad else "no contacts in it")
            new, renamed = await self._put_contacts(imported_file.contacts)
        remarks = [str(bad) for bad in imported_file.bad[:MAX_REMARKS]]
        return {
            "rows": imported_file.rows,
            "new": new,
            "renamed": renamed,
            "without_number": imported_file.without_number,
            "bad": len(imported_file.bad),
            "remarks": remarks,
        }

    async def _put_contacts(self, contacts: Contacts) -> tuple[int, int]:
        """Write in batches, so that other writes do not wait for a long import."""
        now = datetime.now(UTC)
        new = renamed = 0
        for part in lists.batches(contacts.items()):
            put = partial(lists.put_contacts, names=part, now=now, tell=False)
            more = await self._ask(put)
            new, renamed = new + more[0], renamed + more[1]
        await self._ask(lists.mark_changed)
        return new, renamed

    async def voicemails(self, heard: bool | None, after: Sequence[Any] | None, limit: int) -> Sequence[Row]:
        """Voicemails, newest first."""
        cursor = _cursor(after)
        return await self._ask(lambda c: history.find_voicemails(c, heard=heard, after=cursor, limit=limit))

    async def voicemail(self, call: str) -> Row | None:
        """One voicemail."""
        return await self._ask(lambda c: history.get_voicemail(c, call))

    async def audio(self, call: str) -> Path | None:
        """Path of its audio: always a WAV file inside the voicemail folder."""
        row = await self.voicemail(call)
        if row is None or not row["file"]:
            return None
        return await asyncio.to_thread(audio_file, Path(row["file"]), self._folder)

    async def heard(self, call: str, heard: bool) -> bool:
        """Mark a voicemail as heard or new."""

        def work(connection: Connection) -> bool:
            row = history.get_voicemail(connection, call)
            if row is None or (row["heard_at"] is not None) == heard:
                return row is not None
            return history.set_heard(connection, call, datetime.now(UTC) if heard else None)

        return await self._ask(work)

    async def delete_voicemail(self, call: str) -> bool:
        """Delete a voicemail and its files."""
        return await self._ask(lambda c: history.delete_voicemail(c, call))

    async def forget(self, caller: str) -> Row:
        """Delete everything stored about a caller, in steps, so that calls are stored meanwhile."""
        number = self._caller(caller)
        same_caller = number_matching.same_caller(self._settings, number)
        try:
            outside = await asyncio.to_thread(erasure.erase_caller, self._settings, number)
        except OSError as error:
            raise BackendUnavailable(str(error)) from error
        deleted = privacy.CallerDeletion(number, same_caller=same_caller)
        while await self._ask(deleted.step):
            pass  # what was queued meanwhile is written before the next step
        kept = {"calls": deleted.calls, "files": deleted.files, "going_on": deleted.going_on}
        return {**kept, "records": outside.records, "spoken": outside.spoken}

    async def export(self, caller: str) -> Row:
        """Everything stored about a caller."""
        number = self._caller(caller)
        same_caller = number_matching.same_caller(self._settings, number)
        return (await self._ask(lambda c: privacy.export_caller(c, number, same_caller=same_caller))).data

    async def costs(self) -> Sequence[Row]:
        """Costs of today and this month by number; the total last."""
        return await self._ask(lambda c: costs.spent(c, self._settings, datetime.now(UTC)))

    async def _ask(self, work: Callable[[Connection], T]) -> T:
        try:
            return await self._memory.ask(work)
        except errors.Unavailable as away:
            raise BackendUnavailable(str(away)) from away

    def _country(self, dialed: str | None) -> str:
        numbers = self._settings.numbers
        number = next((each for each in numbers if each.dialed == dialed), numbers[0])
        return policy_setup.country(self._settings, number)

    def _caller(self, text: str) -> str:
        return number_matching.caller_of(self._settings, text)

    def _written(self, which: str, number: str, dialed: str | None) -> str:
        try:
            return lists.normalized(which, number, self._country(dialed))
        except ValueError as error:
            raise InvalidRequest(f"number: {error}") from error


def call_row(row: Row) -> Row:
    """The API representation of a stored call."""
    record = row["record"] or {}
    message = row["voicemail"]
    return {
        **row,
        "legs": list(record.get("legs") or ()),
        "story": list(record.get("steps") or ()),
        "voicemail": message is not None,
        "voicemail_transcript": message and message["transcript"],
        **{name: record.get(name) for name in ("message", "verification", "cost")},
    }


def trace_row(seen: TracedMessage) -> Row:
    """The API representation of a SIP message."""
    return {
        "at": datetime.fromtimestamp(seen.at, UTC),
        "leg": seen.leg,
        "sent": seen.sent,
        "transport": seen.transport,
        "local": format_address(seen.local),
        "remote": format_address(seen.remote),
        "message": seen.octets.decode("utf-8", "replace"),
    }


def audio_file(path: Path, folder: Path) -> Path | None:
    """The file of a voicemail if it is inside this folder."""
    whole = path.resolve()
    inside = whole.is_relative_to(folder.resolve()) and whole.suffix == ".wav"
    return whole if inside and whole.is_file() else None


def _cursor(after: Sequence[Any] | None) -> history.Cursor | None:
    if after is None:
        return None
    try:
        at, name = after
        time = datetime.fromisoformat(at)
        if time.tzinfo is None or not time.year > 1:
            raise ValueError
    except ValueError:
        raise InvalidRequest("the cursor is none of ours") from None
    return time.astimezone(UTC), name


def _id_cursor(after: Sequence[Any] | None) -> int | None:
    if after is None:
        return None
    if len(after) == 1 and after[0].isdecimal() and len(after[0]) < 19:
        return int(after[0])
    raise InvalidRequest("the cursor is none of ours")
