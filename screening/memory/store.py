"""`Memory`: the database worker, one thread with one connection, so that no call ever waits for a disk.

Writes are queued, gathered for a moment, and committed in one transaction. While the database is unavailable
the queue is kept, up to a limit, and retried.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from threading import Event, Lock, Thread
from typing import Any, TypeVar

import structlog
from sqlalchemy import Connection

from screening.memory.database import Database
from screening.memory.errors import Unavailable
from screening.memory.rows import Began, Finished
from screening.memory.writer import Work, Writer

log = structlog.get_logger("screendoor")

MAX_WAITING = 10_000
"""Maximum queued writes; beyond it the oldest are dropped."""
GATHER_S = 0.2
"""How long writes are gathered into one transaction, unless somebody asks or the memory closes. A kill loses
that much.

One transaction with its fsync costs as much as thirty rows, two milliseconds on cold caches: with one for
nearly every row, storing a call cost more than carrying it.
"""
RETRY_S = (0.5, 1.0, 2.0, 5.0)
"""Delays before retrying after consecutive failures; the last one repeats."""

MAX_SLEEP_S = 60.0
START_S = 15.0
"""How long startup waits for the database; exceeds the connection and lock timeouts."""
ANSWER_S = 30.0
"""How long a question waits: a server, or a pooler before it, may accept a query and never reply."""
NO_REPLY = "the database does not answer"

T = TypeVar("T")


@dataclass(slots=True)
class _Question:
    """Work whose result somebody awaits."""

    work: Callable[[Connection], Any]
    answer: Future[Any]

    def refuse(self, why: str) -> None:
        if self.answer.set_running_or_notify_cancel():
            self.answer.set_exception(Unavailable(why))


@dataclass(slots=True)
class _Chore:
    """Periodic work."""

    every_s: float
    work: Work
    due: float = 0.0


class Memory:
    """The worker, used from the thread that made it; the database is touched only by its own thread."""

    def __init__(
        self,
        database: Database,
        *,
        process: str,
        transcripts: bool = True,
        max_waiting: int = MAX_WAITING,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`process` identifies this one in the rows of its calls. Without `transcripts`, none are stored."""
        self.database, self.process = database, process
        self._writer = Writer(database, process, transcripts)
        self._max_waiting, self._clock = max_waiting, clock
        self._lock, self._wake = Lock(), Event()
        self._waiting: list[Began | Finished | Work] = []
        self._questions: list[_Question] = []
        self._chores: list[_Chore] = []
        self._on_close: list[Work] = []
        self._thread: Thread | None = None
        self._closing = False
        self._failures, self._outage, self._overflowing = 0, "", False
        self._away_since = self._retry_at = self._write_at = float("-inf")
        self.lost = 0
        """Writes dropped since the start."""
        self.failures = 0
        """Times the database was found unavailable, since the start."""

    @property
    def waiting(self) -> int:
        """Number of queued writes."""
        return len(self._waiting)

    @property
    def outage(self) -> str:
        """Why the database is unavailable; empty if it is not."""
        return self._outage

    def start(self) -> None:
        """Start the thread: open the database and run each chore once. Raises `Unusable`; blocks for seconds.

        A database that is unavailable or does not answer is logged once and retried later.
        """
        opened: Future[None] = Future()
        self._thread = Thread(target=self._run, args=(opened,), name="memory", daemon=True)
        self._thread.start()
        try:
            opened.result(START_S)
        except TimeoutError:
            if not opened.cancel():
                opened.result()  # it finished at the last moment
            else:
                self._failed(NO_REPLY)

    def close(self, within_s: float = 5.0) -> bool:
        """Write the queue and stop.

        Returns False if it takes too long or the queue cannot be written. Blocks.
        """
        self._closing = True
        self._wake.set()
        if self._thread is not None:
            self._thread.join(within_s)
            if self._thread.is_alive():
                log.warning("memory not closed in time", waiting=self.waiting)
                return False
        return not self._waiting

    def began(self, call: str, at: datetime, caller: str | None, name: str | None, dialed: str) -> None:
        """Queue a call that came in. Returns at once, as do `finished` and `enqueue`."""
        self._append(Began(call, at, caller, name, dialed))

    def finished(self, record: Callable[[], Mapping[str, Any]], json: Callable[[], str]) -> None:
        """Queue a call that ended.

        `record` gives `CallRecord.as_dict`, `json` the same without the transcript. Both are called in the
        memory's thread, and must return the same whenever that is.
        """
        self._append(Finished(record, json))

    def enqueue(self, work: Work) -> None:
        """Queue a write that survives an unavailable database. It may run twice."""
        self._append(work)

    async def ask(self, work: Callable[[Connection], T]) -> T:
        """Run `work` in a transaction and return its result. Raises `Unavailable`, and what `work` raises."""
        waiting = asyncio.timeout(ANSWER_S)
        try:
            async with waiting:
                return await asyncio.wrap_future(self.submit(work))
        except TimeoutError:
            if not waiting.expired():
                raise
            if not self._outage:
                self._failed(NO_REPLY)
            raise Unavailable(NO_REPLY) from None

    def submit(self, work: Callable[[Connection], T]) -> Future[T]:
        """`ask` for callers outside the event loop: a concurrent future."""
        answer: Future[T] = Future()
        if self._thread is None or self._closing:
            answer.set_exception(Unavailable("the memory is closed"))
            return answer
        if self._outage == NO_REPLY:
            answer.set_exception(Unavailable(NO_REPLY))
            return answer
        with self._lock:
            self._questions.append(_Question(work, answer))
        self._wake.set()
        return answer

    def every(self, seconds: float, work: Work) -> None:
        """Run `work` periodically, each time in a transaction of its own. Call before `start`."""
        self._chores.append(_Chore(seconds, work))

    def on_close(self, work: Work) -> None:
        """Run `work` on close, if possible. Call before `start`."""
        self._on_close.append(work)

    def _append(self, entry: Began | Finished | Work) -> None:
        waiting = self._waiting
        waiting.append(entry)  # no lock: the thread takes only what stands before it
        if len(waiting) == 1:  # wake the thread once per batch
            self._write_at = self._clock() + GATHER_S
            self._schedule_wake()
        elif len(waiting) > self._max_waiting:
            with self._lock:
                self._drop_oldest()

    def _schedule_wake(self) -> None:
        """Wake the thread when the batch is due; without an event loop at once, to wait by itself."""
        try:
            asyncio.get_running_loop().call_later(GATHER_S, self._wake.set)
        except RuntimeError:
            self._wake.set()

    def _run(self, opened: Future[None]) -> None:
        if not self._open(opened):
            return
        while not self._closing:
            self._wake.wait(self._sleep_s())
            self._wake.clear()
            try:
                self._run_once()
            except Unavailable as away:
                self._failed(str(away))
            except Exception:  # a bug must not stop the memory
                log.exception("memory failed")
        self._shut_down()

    def _open(self, opened: Future[None]) -> bool:
        """Open the database and run each chore; False if `start` was told of a permanent error."""
        try:
            self._writer.open()
            self._do_chores()
        except Unavailable as away:
            self._failed(str(away))
        except Exception as error:
            if opened.set_running_or_notify_cancel():
                self._closing = True
                opened.set_exception(error)
                return False
            self._failed(str(error))
            return True
        if opened.set_running_or_notify_cancel():
            opened.set_result(None)
        return True

    def _sleep_s(self) -> float:
        """How long the thread may sleep unless something new is queued."""
        now = self._clock()
        due = [chore.due for chore in self._chores]
        if self._waiting:
            due.append(self._write_at)
        soonest = self._retry_at if self._outage else min(due, default=now + MAX_SLEEP_S)
        return max(0.0, soonest - now)

    def _run_once(self) -> None:
        if self._outage and self._clock() < self._retry_at:
            return self._refuse_questions(self._outage)
        # taken before writing, so that each sees what was queued before it
        questions = self._take_questions()
        try:
            gathered = bool(questions) or self._write_at <= self._clock()
            if self._outage or (self._waiting and gathered):
                self._write()
        except Unavailable as away:
            _refuse(questions, str(away))
            raise
        self._answer(questions)
        self._do_chores()
        self._recovered()

    def _do_chores(self) -> None:
        for chore in self._chores:
            if chore.due <= self._clock():
                chore.due = self._clock() + chore.every_s
                try:
                    self._writer.do(chore.work)
                except Unavailable:
                    chore.due = self._clock()  # due again: the database counts as back only when it succeeds
                    raise

    def _write(self) -> None:
        with self._lock:
            taken = self._waiting[:]
            del self._waiting[: len(taken)]
        try:
            self.lost += self._writer.write(taken)
        except Unavailable:
            with self._lock:
                self._waiting[:0] = taken
                self._drop_oldest()
            raise

    def _recovered(self) -> None:
        if self._outage:
            log.info(
                "database written again", after_s=round(self._clock() - self._away_since, 1), lost=self.lost
            )
            self._outage, self._failures, self._overflowing = "", 0, False

    def _drop_oldest(self) -> None:
        """Drop the oldest writes beyond the limit; called under the lock."""
        too_many = len(self._waiting) - self._max_waiting
        if too_many > 0:
            del self._waiting[:too_many]
            self.lost += too_many
            if not self._overflowing:
                self._overflowing = True
                log.error("database queue full: the oldest entry is lost", waiting=self._max_waiting)

    def _answer(self, questions: Sequence[_Question]) -> None:
        """Answer each in a transaction of its own, so that a failing one affects no other."""
        for n, question in enumerate(questions):
            if not question.answer.set_running_or_notify_cancel():
                continue
            try:
                question.answer.set_result(self._writer.do(question.work))
            except Unavailable as away:
                question.answer.set_exception(away)
                _refuse(questions[n + 1 :], str(away))
                raise
            except Exception as error:
                question.answer.set_exception(error)

    def _take_questions(self) -> list[_Question]:
        with self._lock:
            questions, self._questions = self._questions, []
        return questions

    def _refuse_questions(self, why: str) -> None:
        _refuse(self._take_questions(), why)

    def _failed(self, why: str) -> None:
        now = self._clock()
        self.failures += 1
        if not self._outage:
            self._away_since = now
        if why != self._outage:
            log.warning(
                "database unavailable: calls go on, and are written later", problem=why, waiting=self.waiting
            )
        self._retry_at = now + RETRY_S[min(self._failures, len(RETRY_S) - 1)]
        self._outage, self._failures = why, self._failures + 1
        self._refuse_questions(why)

    def _shut_down(self) -> None:
        try:
            self._write()
        except Unavailable as away:
            log.error("database closed: the queued entries are lost", problem=str(away), lost=self.waiting)
        with suppress(Exception):
            for work in self._on_close:
                self._writer.do(work)
        self._writer.close()
        self._refuse_questions("closed")


def _refuse(questions: Sequence[_Question], why: str) -> None:
    for question in questions:
        question.refuse(why)
